import { describe, expect, it } from '@jest/globals';
import { RESERVED_FOR_MS } from './leadership/reserved-ids.js';
import { DECIDED, Harness } from './testing/harness.js';

const BEGIN = { protocol: '2pc', timeoutMs: 30_000, metadata: {} } as const;

/** Coordinators to which process `1` of each participant is connected. */
function withStreams(): Harness {
  const harness = new Harness({ options: { beginDelayMs: 25 } });
  harness.bus.instances = { has: (_participant, instance) => instance === '1' };
  return harness;
}

const held = (harness: Harness, participant: string) => ({ participant, branchId: harness.newId(), instance: '1' });

async function reserved(harness: Harness, owner?: string): Promise<string> {
  const begun = await harness.manager.begin({ ...BEGIN, deferred: true, reserve: 1, ...(owner && { owner }) });
  return begun.reserved![0]!;
}

describe('ids for transactions to come', () => {
  it('are as many as were wanted, each another one, and begin nothing', async () => {
    const harness = withStreams();
    const { id, reserved: ids } = await harness.manager.begin({ ...BEGIN, reserve: 64 });
    expect(new Set([id, ...ids!]).size).toBe(65);
    await expect(harness.manager.get(ids![0]!, 'linearizable')).rejects.toMatchObject({
      code: 'TRANSACTION_NOT_FOUND',
    });
    expect(await harness.manager.begin(BEGIN)).not.toHaveProperty('reserved');
  });

  it('begin a transaction with the request to commit it, by one record and one write', async () => {
    const harness = withStreams();
    const id = await reserved(harness);
    await harness.pass(25); // the other begin
    const branches = [held(harness, 'bank-a'), held(harness, 'bank-b')];
    harness.log.held = true;
    const answer = harness.watch(harness.manager.commit(id, { ...DECIDED, branches, begin: BEGIN }));
    await harness.settle();
    expect(harness.bus.of('prepare')).toMatchObject(
      branches.map(({ instance, ...branch }) => ({ ...branch, heldBy: instance, operations: [], attempt: 0 })),
    );
    await harness.answerPrepares('yes');
    expect(harness.log.proposed.map(({ type }) => type)).toEqual(['begin', 'decide']);
    expect(answer.isSettled).toBe(false);
    harness.log.held = false;
    harness.log.applyAll();
    await harness.settle();
    expect(answer.value?.transaction).toMatchObject({ id, outcome: 'committed', branches });
  });

  it('begin it once, however often the request comes', async () => {
    const harness = withStreams();
    const id = await reserved(harness);
    const request = { ...DECIDED, branches: [held(harness, 'bank-a')], begin: BEGIN };
    const answers = [1, 2].map(() => harness.watch(harness.manager.commit(id, request)));
    await harness.answerPrepares('yes');
    const repeated = await harness.manager.commit(id, request);
    for (const answer of [...answers.map(({ value }) => value), repeated])
      expect(answer?.transaction.outcome).toBe('committed');
    expect(harness.recordsOf(id)).toEqual(['begin', 'decide']);
    const more = { ...request, branches: [held(harness, 'bank-b')] };
    await expect(harness.manager.commit(id, more)).rejects.toMatchObject({ code: 'TRANSACTION_DECIDED' });
  });

  it('may be begun before, by a request of its own, as often as it comes', async () => {
    const harness = withStreams();
    const id = await reserved(harness);
    for (let time = 0; time < 2; time++) {
      expect(await harness.manager.begin({ ...BEGIN, id, deferred: true })).toMatchObject({ id, status: 'active' });
    }
    await harness.manager.enlist(id, held(harness, 'bank-a'));
    const branches = [held(harness, 'bank-b')];
    const answer = harness.watch(harness.manager.commit(id, { ...DECIDED, branches, begin: BEGIN }));
    await harness.answerPrepares('yes');
    expect(answer.value?.transaction).toMatchObject({ outcome: 'committed', branches: [{}, {}] });
    expect(harness.recordsOf(id)).toEqual(['begin', 'enlist', 'enlist', 'commit-requested', 'decide']);
  });

  it('commit nothing where a branch votes no, or is not known to anybody', async () => {
    const harness = withStreams();
    const id = await reserved(harness);
    const commit = (participant: string) =>
      harness.manager.commit(id, { ...DECIDED, branches: [held(harness, participant)], begin: BEGIN });
    await expect(commit('nobody')).rejects.toMatchObject({ code: 'UNKNOWN_PARTICIPANT' });
    const answer = harness.watch(commit('bank-a'));
    await harness.answerPrepares('no', 'SOLD_OUT');
    expect(answer.value?.transaction).toMatchObject({ outcome: 'aborted', cause: { participantCode: 'SOLD_OUT' } });
  });

  it('end with the leadership: no other leader begins what this one may have begun', async () => {
    const harness = withStreams();
    const id = await reserved(harness);
    const request = { ...DECIDED, branches: [held(harness, 'bank-a')], begin: BEGIN };
    harness.log.held = true;
    const lost = harness.watch(harness.manager.commit(id, request));
    await harness.settle();
    expect(harness.bus.of('prepare')).toHaveLength(1);
    harness.log.follow(); // the begin is gone, and the branch may be prepared
    harness.log.held = false;
    harness.bus.forget();
    harness.log.lead();
    await harness.settle();
    expect(lost.error?.code).toBe('LOG_UNAVAILABLE');
    const { branchId } = request.branches[0]!;
    harness.inquire(id, 'bank-a', branchId);
    await harness.settle();
    expect(harness.bus.of('decision')).toMatchObject([{ branchId, decision: 'abort' }]);
    await expect(harness.manager.commit(id, request)).rejects.toMatchObject({ code: 'TRANSACTION_NOT_FOUND' });
    await expect(harness.manager.begin({ ...BEGIN, id })).rejects.toMatchObject({ code: 'TRANSACTION_NOT_FOUND' });
    expect(harness.bus.of('prepare')).toEqual([]);
  });

  it('are used up by a begin that the log does not take', async () => {
    const harness = withStreams();
    const id = await reserved(harness);
    await harness.pass(25);
    const request = { ...DECIDED, branches: [held(harness, 'bank-a')], begin: BEGIN };
    harness.log.overloaded = true;
    const refused = harness.watch(harness.manager.commit(id, request));
    await harness.pass(25);
    expect(refused.error).toMatchObject({ code: 'LOG_UNAVAILABLE' });
    harness.log.overloaded = false;
    await expect(harness.manager.commit(id, request)).rejects.toMatchObject({ code: 'TRANSACTION_NOT_FOUND' });
  });

  it('are used up by a presumed abort', async () => {
    const harness = withStreams();
    const id = await reserved(harness);
    const branchId = harness.inquire(id);
    await harness.settle();
    expect(harness.bus.of('decision')).toMatchObject([{ branchId, decision: 'abort' }]);
    const commit = harness.manager.commit(id, { ...DECIDED, branches: [held(harness, 'bank-a')], begin: BEGIN });
    await expect(commit).rejects.toMatchObject({ code: 'TRANSACTION_NOT_FOUND' });
  });

  it('are used up by an abort that finds nothing: a commit that was on its way begins nothing', async () => {
    const harness = withStreams();
    const id = await reserved(harness);
    await expect(harness.manager.abort(id, DECIDED)).rejects.toMatchObject({ code: 'TRANSACTION_NOT_FOUND' });
    const commit = harness.manager.commit(id, { ...DECIDED, branches: [held(harness, 'bank-a')], begin: BEGIN });
    await expect(commit).rejects.toMatchObject({ code: 'TRANSACTION_NOT_FOUND' });
    expect(harness.bus.of('prepare')).toEqual([]);
  });

  it('serve only for half a minute, and only their principal', async () => {
    const harness = withStreams();
    const id = await reserved(harness, 'alice');
    const begin = { ...BEGIN, id };
    await expect(harness.manager.begin({ ...begin, owner: 'bob' })).rejects.toMatchObject({
      code: 'TRANSACTION_NOT_FOUND',
    });
    await harness.pass(RESERVED_FOR_MS + 1);
    await expect(harness.manager.begin({ ...begin, owner: 'alice' })).rejects.toMatchObject({
      code: 'TRANSACTION_NOT_FOUND',
    });
  });

  it('are those of a leader: any other id begins nothing', async () => {
    const harness = withStreams();
    const id = harness.newId();
    await expect(harness.manager.begin({ ...BEGIN, id })).rejects.toMatchObject({ code: 'TRANSACTION_NOT_FOUND' });
    const commit = harness.manager.commit(id, { ...DECIDED, branches: [held(harness, 'bank-a')], begin: BEGIN });
    await expect(commit).rejects.toMatchObject({ code: 'TRANSACTION_NOT_FOUND' });
  });
});
