import { describe, expect, it } from '@jest/globals';
import type { BeginRecord } from '@concordat/commit-protocol';
import type { OutgoingMessage } from '@concordat/messaging';
import { DECIDED, Harness, transfer, type HarnessOptions } from '../testing/harness.js';

const HOUR_MS = 3_600_000;
const MANY = 2_000;
/** More than any slice has. */
const MAXIMUM_SLICE = 300;

interface Opened {
  readonly id: string;
  readonly branchId: string;
}

/** A harness whose log holds many transactions with one branch each; nobody leads yet. */
function harnessWith(
  kind: 'active' | 'closed' | 'decided',
  changes: Partial<BeginRecord> = {},
  options: HarnessOptions = {},
): { harness: Harness; opened: Opened[] } {
  const harness = new Harness({ ...options, leading: false });
  const at = harness.clock.now();
  const opened = Array.from({ length: MANY }, (): Opened => {
    const [id, branchId] = [harness.newId(), harness.newId()];
    const operations = [{ operation: 'debit', payload: {}, keys: [] }];
    harness.log.apply({
      type: 'begin',
      transactionId: id,
      protocol: '2pc',
      branches: [{ branchId, participant: 'bank-a', operations }],
      closed: kind !== 'active',
      at,
      deadline: at + HOUR_MS,
      metadata: {},
      ...changes,
    });
    if (kind === 'decided') {
      const reports = [{ branchId, vote: 'yes' as const }];
      harness.log.apply({ type: 'decide', transactionId: id, decision: 'commit', reports, at });
    }
    return { id, branchId };
  });
  return { harness, opened };
}

/** Sizes of the publications, and those that are not acknowledged yet. */
function slowBus(harness: Harness): { sizes: number[]; acknowledge: () => void } {
  const sizes: number[] = [];
  const waiting: (() => void)[] = [];
  harness.bus.publish = (messages: readonly OutgoingMessage[]) => {
    sizes.push(messages.length);
    harness.bus.sent.push(...messages);
    return new Promise((resolve) => waiting.push(resolve));
  };
  return { sizes, acknowledge: () => waiting.splice(0).forEach((resolve) => resolve()) };
}

describe('a new leader of many open transactions', () => {
  it.each(['closed', 'decided'] as const)('asks again in slices, at the pace of the bus: %s', async (kind) => {
    const { harness, opened } = harnessWith(kind);
    const { sizes, acknowledge } = slowBus(harness);
    harness.log.lead();
    for (let turn = 0; turn < 50; turn++) await harness.pass(0);
    expect(sizes).toHaveLength(1); // the rest waits for the acknowledgement, whatever else goes on
    while (harness.bus.sent.length < MANY) {
      acknowledge();
      await harness.pass(0);
    }
    expect(Math.max(...sizes)).toBeLessThan(MAXIMUM_SLICE);
    expect(new Set(harness.bus.sent.map(({ message }) => 'transactionId' in message && message.transactionId))).toEqual(
      new Set(opened.map(({ id }) => id)),
    );
  });

  it('answers and serves at once, also about what it has not come to', async () => {
    const { harness, opened } = harnessWith('active');
    harness.log.lead();
    const last = opened.at(-1)!;
    const answer = harness.watch(harness.manager.abort(last.id, DECIDED));
    const fresh = harness.watch(harness.execute(transfer()));
    await harness.answerPrepares('yes');
    expect(answer.value).toMatchObject({ settled: true, transaction: { outcome: 'aborted' } });
    expect(fresh.value).toMatchObject({ settled: true, transaction: { outcome: 'committed' } });
  });

  it('takes over on the spot what a branch answers for', async () => {
    const { harness, opened } = harnessWith('closed');
    slowBus(harness);
    harness.log.lead();
    const { id, branchId } = opened.at(-1)!;
    const answered = { transactionId: id, branchId, participant: 'bank-a' };
    harness.manager.onReply({ type: 'vote', ...answered, vote: 'yes', results: [{}] });
    await harness.settle();
    expect((await harness.manager.get(id, 'stale')).value).toMatchObject({ outcome: 'committed' });
  });

  it('lets nobody who comes later take keys before those that wait for them', async () => {
    const operations = [{ operation: 'debit', payload: {}, keys: ['acc-1'] }];
    const { harness, opened } = harnessWith('active');
    const before = opened.map(({ id, branchId }) => {
      const branch = { branchId, participant: 'bank-a', operations };
      harness.log.apply({ type: 'enlist', transactionId: id, branch, at: harness.clock.now() });
      harness.log.apply({ type: 'commit-requested', transactionId: id, at: harness.clock.now() });
      return id;
    });
    harness.log.lead();
    harness.watch(harness.execute(transfer(undefined, ['acc-1'])));
    for (let turn = 0; turn < 50; turn++) await harness.pass(0);
    const asked = harness.bus.of('prepare').filter(({ participant }) => participant === 'bank-a');
    expect(asked.map(({ transactionId }) => transactionId)).toEqual([before[0]]);
    expect(harness.manager.figures().waitingForKeys).toBe(MANY);
  });

  it('aborts those whose deadline has passed in slices, at the pace of the log', async () => {
    const { harness } = harnessWith('active');
    harness.log.lead();
    for (let turn = 0; turn < 50; turn++) await harness.pass(0);
    harness.log.held = true;
    await harness.pass(2 * HOUR_MS);
    const atOnce = harness.log.proposed.length;
    expect(atOnce).toBeGreaterThan(0);
    expect(atOnce).toBeLessThan(MAXIMUM_SLICE);
    harness.log.held = false;
    harness.log.applyAll();
    for (let turn = 0; turn < 100; turn++) await harness.pass(0);
    expect(harness.log.state.openCount).toBe(0);
  });

  it('asks the less often the more are open', async () => {
    const { harness } = harnessWith('decided', {}, { options: { resendBaseMs: 100, resendCapMs: 100 } });
    harness.log.lead();
    const passSeconds = async (seconds: number): Promise<void> => {
      for (let tenth = 0; tenth < 10 * seconds; tenth++) await harness.pass(100);
    };
    await passSeconds(5);
    harness.bus.forget();
    await passSeconds(5);
    expect(harness.bus.sent.length / 5).toBeGreaterThan(500);
    expect(harness.bus.sent.length / 5).toBeLessThan(2_000);
  });
});

describe('what is in doubt, of many', () => {
  it('comes in pages, and is counted without them', async () => {
    const { harness, opened } = harnessWith('decided');
    harness.log.lead();
    await harness.pass(5_000);
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await harness.manager.inDoubt('linearizable', {
        limit: 300,
        ...(cursor !== undefined && { cursor }),
      });
      expect(page.value.length).toBeLessThanOrEqual(300);
      seen.push(...page.value.map(({ transactionId }) => transactionId));
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    expect(seen).toEqual(opened.map(({ id }) => id).sort());
    expect(harness.manager.figures().inDoubt).toBe(MANY);
  });
});
