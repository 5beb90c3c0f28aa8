import { describe, expect, it } from '@jest/globals';
import { UuidV7Generator, SeededRandom } from '@concordat/foundation';
import type { GroupClocks } from './group-clocks.js';
import { DECIDED, Harness, transfer } from '../testing/harness.js';

const HOUR_MS = 3_600_000;

function idOf(unixMs: number): string {
  return new UuidV7Generator(() => unixMs, new SeededRandom(3)).next();
}

describe('the birth of the group', () => {
  it('is what its first leader logs first', async () => {
    const harness = new Harness({ born: false });
    await harness.settle();
    harness.watch(harness.execute());
    await harness.settle();
    const records = harness.log.applied.map(({ record: { type } }) => type).filter((type) => type !== 'participant');
    expect(records.slice(0, 2)).toEqual(['group-born', 'begin']);
    expect(harness.log.state.bornAt).toBe(harness.clock.now());
  });

  it('comes before every answer: a leader of an unborn group presumes nothing', async () => {
    const harness = new Harness({ born: false, leading: false });
    harness.log.held = true;
    harness.log.lead();
    harness.inquire(harness.newId());
    await harness.pass(1_000);
    expect(harness.bus.sent).toEqual([]);
    await expect(harness.manager.execute(transfer(), DECIDED)).rejects.toMatchObject({ reason: 'no-leader' });
    harness.log.release();
    await harness.settle();
    harness.inquire(harness.newId());
    await harness.settle();
    expect(harness.bus.of('decision')).toMatchObject([{ decision: 'abort' }]);
  });

  it('is not logged a second time, by any leader', async () => {
    const harness = new Harness({ born: false });
    await harness.settle();
    harness.log.follow();
    harness.log.lead();
    await harness.settle();
    expect(harness.log.applied.filter(({ record: { type } }) => type === 'group-born')).toHaveLength(1);
  });

  it('is proposed again when the log did not take it, and never by who leads no more', async () => {
    const harness = new Harness({ born: false, leading: false });
    harness.log.overloaded = true;
    harness.log.lead();
    await harness.pass(200);
    harness.log.overloaded = false;
    await harness.pass(100);
    expect(harness.log.state.bornAt).toBeDefined();
    const other = new Harness({ born: false, leading: false });
    other.log.held = true;
    other.log.lead();
    other.log.follow();
    await other.pass(1_000);
    expect([other.log.state.bornAt, other.log.proposed]).toEqual([undefined, []]);
  });

  it('keeps for the operator what is older: prepared before the group lost its data', async () => {
    const harness = new Harness({ born: false });
    await harness.settle();
    const old = idOf(harness.clock.now() - 1);
    harness.inquire(old);
    await harness.settle();
    expect(harness.bus.of('decision')).toEqual([]);
    expect(harness.bus.of('unknown-old')).toMatchObject([{ transactionId: old }]);
    expect((await harness.manager.inDoubt('linearizable')).value).toMatchObject([
      { transactionId: old, state: 'unknown-old' },
    ]);
    await expect(harness.manager.get(old, 'linearizable')).rejects.toMatchObject({ code: 'TRANSACTION_EXPIRED' });
    await expect(harness.manager.get(harness.newId(), 'linearizable')).rejects.toMatchObject({
      code: 'TRANSACTION_NOT_FOUND',
    });
    expect(harness.alerts).toHaveLength(1);
  });

  it('waits until the clocks of a majority are known, and is the latest of them', async () => {
    let ahead: number[] = [];
    const groupClocks: GroupClocks = {
      voters: 3,
      readings: () =>
        ahead.map((by) => ({ unixMs: harness.clock.now() + by, readAt: harness.clock.monotonic(), errorMs: 0 })),
    };
    const harness = new Harness({ born: false, groupClocks });
    await harness.pass(1_000);
    expect(harness.log.state.bornAt).toBeUndefined();
    ahead = [HOUR_MS];
    await harness.pass(200);
    const { bornAt } = harness.log.state;
    expect(bornAt! - harness.clock.now()).toBeGreaterThan(HOUR_MS - 1_000);
    // and so is every id from now on
    const id = await harness.begin();
    expect(harness.log.state.mayHaveExpired(id)).toBe(false);
  });
});
