import { describe, expect, it } from '@jest/globals';
import { DECIDED, Harness, transfer, work } from './testing/harness.js';

describe('a transaction with one writing participant (protocol 4.7)', () => {
  async function delegated(harness: Harness, timeoutMs = 30_000): Promise<string> {
    harness.watch(harness.execute({ ...transfer(), timeoutMs, branches: [work('bank-a'), work('bank-a')] }));
    await harness.settle();
    const [transaction] = harness.log.state.openTransactions();
    return transaction!.transactionId;
  }

  it('is decided by its branch', async () => {
    const harness = new Harness();
    const id = await delegated(harness);
    const [message] = harness.bus.of('commit-one-phase');
    expect(message?.operations).toHaveLength(2);
    harness.done(message!, 'committed');
    await harness.settle();
    expect((await harness.manager.get(id, 'linearizable')).value).toMatchObject({
      status: 'committed',
      outcome: 'committed',
    });
    expect(harness.bus.of('decision')).toEqual([]);
    expect(harness.recordsOf(id)).toEqual(['begin', 'decide']);
  });

  it('is never decided by the coordinator, not at the deadline and not for the client', async () => {
    const harness = new Harness();
    const id = await delegated(harness, 1_000);
    const abort = harness.watch(harness.manager.abort(id, DECIDED));
    await harness.pass(20_000);
    expect(harness.recordsOf(id)).toEqual(['begin']);
    expect(abort.isSettled).toBe(false);
    const repeated = harness.bus.of('commit-one-phase');
    expect(repeated.length).toBeGreaterThan(2);
    expect(repeated.map(({ attempt }) => attempt)).toEqual(repeated.map((_, position) => position));
    harness.done(repeated[0]!, 'aborted');
    await harness.settle();
    expect(abort.value?.transaction).toMatchObject({ outcome: 'aborted', reason: 'PARTICIPANT_REFUSED' });
  });

  it('becomes one when an interactive transaction is closed with a single branch', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    await harness.enlist(id);
    const answer = harness.watch(harness.manager.commit(id, DECIDED));
    await harness.settle();
    expect(harness.bus.of('prepare')).toEqual([]);
    harness.done(harness.bus.of('commit-one-phase')[0]!, 'committed');
    await harness.settle();
    expect(answer.value?.transaction.status).toBe('committed');
  });
});
