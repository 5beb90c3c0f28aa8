import { describe, expect, it } from '@jest/globals';
import { Harness, transfer } from '../testing/harness.js';

describe('what the simulation of the whole system found in a leadership', () => {
  it('is a deposed leader that hears the work of its successor, and raises no alarm', async () => {
    const harness = new Harness();
    harness.watch(harness.execute());
    await harness.settle();
    const [prepare] = harness.bus.of('prepare');
    harness.log.confirmationsHeld = true; // cut off: no quorum answers
    harness.done({ ...prepare!, type: 'decision', decision: 'commit', attempt: 0 }, 'committed');
    await harness.settle();
    harness.log.follow();
    await harness.settle();
    expect(harness.alerts).toEqual([]);
  });

  it('is a leader that is confirmed, and alerts to a branch that somebody committed by hand', async () => {
    const harness = new Harness();
    harness.watch(harness.execute());
    await harness.settle();
    const [prepare] = harness.bus.of('prepare');
    harness.done({ ...prepare!, type: 'decision', decision: 'commit', attempt: 0 }, 'committed');
    await harness.settle();
    expect(harness.alerts).toEqual([expect.stringContaining('before any decision')]);
  });

  it('is a decision that overtook its Begin: it is proposed again', async () => {
    let goOn: (() => void) | undefined;
    const held = new Promise<void>((resolve) => (goOn = resolve));
    const failpoints = { hit: (name: string) => (name === 'coordinator.begin.before-append' ? held : undefined) };
    const harness = new Harness({ failpoints });
    const answer = harness.watch(harness.execute());
    await harness.answerPrepares('yes'); // the decision is refused: nobody knows the transaction
    goOn?.();
    await harness.settle();
    expect(harness.log.applied.slice(-3).map(({ record, result }) => [record.type, result.refusal])).toEqual([
      ['decide', 'UNKNOWN_TRANSACTION'],
      ['begin', undefined],
      ['decide', undefined],
    ]);
    expect(answer.value?.transaction.outcome).toBe('committed');
  });

  it('is a transaction whose Begin and decision were refused: it is not driven any more', async () => {
    const harness = new Harness();
    harness.log.held = true;
    const answer = harness.watch(harness.execute(transfer()));
    await harness.answerPrepares('yes');
    harness.log.refuseNext();
    harness.log.refuseNext();
    await harness.settle();
    expect(answer.error).toMatchObject({ reason: 'overloaded' });
    harness.bus.forget();
    await harness.pass(60_000);
    expect(harness.log.proposed).toEqual([]);
    expect(harness.bus.of('prepare')).toEqual([]);
  });
});
