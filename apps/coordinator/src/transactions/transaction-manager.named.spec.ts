import { describe, expect, it, jest } from '@jest/globals';
import { LogUnavailableError } from '../decision-log/decision-log.js';
import { HOLDER_CHECK_MS } from './leadership/holder-watch.js';
import { DEFAULT_TRANSACTION_OPTIONS } from './options.js';
import { DECIDED, ENDED, Harness, work } from './testing/harness.js';

const BEGIN_DELAY_MS = 25;
const REPORTED = { wait: 'reported', waitMs: 30_000 } as const;
const BEGIN = { protocol: '2pc', timeoutMs: 30_000, metadata: {} } as const;

/** Coordinators with direct streams, to which process `1` of each participant is connected. */
function withStreams(isConnected: (participant: string) => boolean = () => true): Harness {
  const harness = new Harness({ options: { beginDelayMs: BEGIN_DELAY_MS } });
  harness.bus.instances = { has: (participant, instance) => instance === '1' && isConnected(participant) };
  return harness;
}

const held = (harness: Harness, participant: string) => ({ participant, branchId: harness.newId(), instance: '1' });

describe('a deferred begin', () => {
  it('is answered before it is in the log, and shares a write with what comes next', async () => {
    const harness = withStreams();
    harness.log.held = true;
    const { id } = await harness.manager.begin({ ...BEGIN, deferred: true });
    expect(harness.log.proposed).toEqual([]);
    harness.watch(harness.manager.commit(id, { ...DECIDED, branches: [held(harness, 'bank-a')] }));
    await harness.settle();
    expect(harness.log.proposed.map(({ type }) => type)).toEqual(['begin', 'enlist', 'commit-requested']);
  });

  it('is in the log after a moment, if nothing comes', async () => {
    const harness = withStreams();
    const { id } = await harness.manager.begin({ ...BEGIN, deferred: true });
    await harness.pass(BEGIN_DELAY_MS);
    expect(harness.recordsOf(id)).toEqual(['begin']);
  });

  it('goes into the log before an enlistment', async () => {
    const harness = withStreams();
    const { id } = await harness.manager.begin({ ...BEGIN, deferred: true });
    await harness.manager.enlist(id, held(harness, 'bank-a'));
    expect(harness.recordsOf(id)).toEqual(['begin', 'enlist']);
  });

  it('that is lost with its leader leaves a transaction that nobody knows', async () => {
    const harness = withStreams();
    const { id } = await harness.manager.begin({ ...BEGIN, deferred: true });
    harness.log.follow();
    harness.log.lead();
    await expect(harness.manager.commit(id, DECIDED)).rejects.toMatchObject({ code: 'TRANSACTION_NOT_FOUND' });
    const branchId = harness.inquire(id);
    await harness.settle();
    expect(harness.bus.of('decision')).toMatchObject([{ branchId, decision: 'abort' }]);
  });

  it('that the log does not take fails who waits for the transaction', async () => {
    const harness = withStreams();
    const { id } = await harness.manager.begin({ ...BEGIN, deferred: true });
    harness.log.overloaded = true;
    const commit = harness.watch(harness.manager.commit(id, DECIDED));
    await harness.pass(BEGIN_DELAY_MS);
    expect(commit.error).toMatchObject({ code: 'LOG_UNAVAILABLE' });
  });
});

describe('a request to commit that names branches', () => {
  it('enlists them and asks them, before the log has any of it', async () => {
    const harness = withStreams();
    const { id } = await harness.manager.begin({ ...BEGIN, deferred: true });
    harness.log.held = true;
    const branches = [held(harness, 'bank-a'), held(harness, 'bank-b')];
    const answer = harness.watch(harness.manager.commit(id, { ...DECIDED, branches }));
    await harness.settle();
    expect(harness.bus.of('prepare')).toMatchObject(
      branches.map(({ instance, ...branch }) => ({ ...branch, heldBy: instance, operations: [], attempt: 0 })),
    );
    await harness.answerPrepares('yes');
    expect(answer.isSettled).toBe(false);
    harness.log.held = false;
    harness.log.applyAll();
    await harness.settle();
    expect(answer.value?.transaction).toMatchObject({ outcome: 'committed', branches });
    expect(harness.bus.of('prepare')).toEqual([]);
  });

  it('may name branches that are enlisted, and may be repeated', async () => {
    const harness = withStreams();
    const id = await harness.begin();
    const branches = [held(harness, 'bank-a'), held(harness, 'bank-b')];
    await harness.manager.enlist(id, branches[0]!);
    const answers = [1, 2].map(() => harness.watch(harness.manager.commit(id, { ...DECIDED, branches })));
    await harness.answerPrepares('yes');
    const repeated = harness.watch(harness.manager.commit(id, { ...DECIDED, branches }));
    await harness.settle();
    for (const { value } of [...answers, repeated]) expect(value?.transaction.outcome).toBe('committed');
    expect(harness.recordsOf(id)).toEqual(['begin', 'enlist', 'enlist', 'commit-requested', 'decide']);
  });

  it('is refused with another branch than the request before, which may be committed without it', async () => {
    const harness = withStreams();
    const id = await harness.begin();
    harness.watch(harness.manager.commit(id, { ...DECIDED, branches: [held(harness, 'bank-a')] }));
    await harness.settle();
    const more = harness.manager.commit(id, { ...DECIDED, branches: [held(harness, 'bank-b')] });
    await expect(more).rejects.toMatchObject({ code: 'TRANSACTION_CLOSED' });
    await harness.answerPrepares('yes');
    const late = harness.manager.commit(id, { ...DECIDED, branches: [held(harness, 'bank-c')] });
    await expect(late).rejects.toMatchObject({ code: 'TRANSACTION_DECIDED' });
  });

  it('does nothing when it contradicts an enlistment, or names somebody unknown', async () => {
    const harness = withStreams();
    const id = await harness.begin();
    const branch = held(harness, 'bank-a');
    await harness.manager.enlist(id, branch);
    const commit = (branches: readonly (typeof branch)[]) => harness.manager.commit(id, { ...DECIDED, branches });
    await expect(commit([{ ...branch, instance: '2' }])).rejects.toMatchObject({ code: 'BRANCH_CONFLICT' });
    await expect(commit([held(harness, 'nobody')])).rejects.toMatchObject({ code: 'UNKNOWN_PARTICIPANT' });
    const many = Array.from({ length: 64 }, () => held(harness, 'bank-b'));
    await expect(commit(many)).rejects.toMatchObject({ code: 'TOO_MANY_BRANCHES' });
    harness.bus.instances = undefined;
    await expect(commit([branch])).rejects.toMatchObject({ code: 'NOT_ADDRESSABLE' });
    expect(harness.recordsOf(id)).toEqual(['begin', 'enlist']);
  });

  it('survives its leader: the branches are asked again', async () => {
    const harness = withStreams();
    const { id } = await harness.manager.begin({ ...BEGIN, deferred: true });
    const branches = [held(harness, 'bank-a')];
    harness.watch(harness.manager.commit(id, { ...DECIDED, branches }));
    await harness.settle();
    harness.log.follow();
    harness.bus.forget();
    harness.log.lead();
    await harness.settle();
    expect(harness.bus.of('prepare')).toMatchObject([{ branchId: branches[0]!.branchId, heldBy: '1', attempt: 1 }]);
  });

  it('that is lost with its leader leaves an open transaction; the repeat commits it', async () => {
    const harness = withStreams();
    const id = await harness.begin();
    const branches = [held(harness, 'bank-a')];
    harness.log.held = true;
    harness.watch(harness.manager.commit(id, { ...DECIDED, branches }));
    await harness.settle();
    expect(harness.bus.of('prepare')).toHaveLength(1);
    harness.log.follow(); // the proposals are gone
    harness.log.held = false;
    harness.bus.forget();
    harness.log.lead();
    const again = harness.watch(harness.manager.commit(id, { ...DECIDED, branches }));
    await harness.answerPrepares('yes');
    expect(again.value?.transaction.outcome).toBe('committed');
  });

  it('is not in the log without them, and a repeat brings them', async () => {
    const harness = withStreams();
    const id = await harness.begin();
    const branches = [held(harness, 'bank-a')];
    jest
      .spyOn(harness.log, 'append')
      .mockRejectedValueOnce(new LogUnavailableError('overloaded', 'the log takes no more for now'));
    harness.watch(harness.manager.commit(id, { ...DECIDED, branches }));
    await harness.settle();
    expect(harness.log.state.find(id)).toMatchObject({ closed: false, branches: [] });
    const again = harness.watch(harness.manager.commit(id, { ...DECIDED, branches }));
    await harness.pass(2_000);
    await harness.answerPrepares('yes');
    expect(again.value?.transaction).toMatchObject({ outcome: 'committed', branches: [{ participant: 'bank-a' }] });
    expect(harness.manager.figures().alerts).toBe(0);
  });
});

describe('a request to abort that names branches', () => {
  it('enlists them, so that they are told', async () => {
    const harness = withStreams();
    const { id } = await harness.manager.begin({ ...BEGIN, deferred: true });
    const branch = held(harness, 'bank-a');
    await harness.manager.abort(id, { ...DECIDED, branches: [branch] });
    expect(harness.bus.of('decision')).toMatchObject([{ decision: 'abort', branchId: branch.branchId, heldBy: '1' }]);
  });

  it('leaves them out when the transaction is closed', async () => {
    const harness = withStreams();
    const id = await harness.begin();
    await harness.manager.enlist(id, work('bank-a'));
    await harness.enlist(id, 'bank-b');
    harness.watch(harness.manager.commit(id, DECIDED));
    await harness.settle();
    const settled = await harness.manager.abort(id, { ...DECIDED, branches: [held(harness, 'bank-c')] });
    expect(settled.transaction).toMatchObject({ outcome: 'aborted', branches: [{}, {}] });
  });
});

describe('waiting for the reports of all branches', () => {
  it('ends before the log has them', async () => {
    const harness = withStreams();
    const id = await harness.begin();
    const branches = [held(harness, 'bank-a'), held(harness, 'bank-b')];
    const reported = harness.watch(harness.manager.commit(id, { ...REPORTED, branches }));
    await harness.answerPrepares('yes');
    const [one, other] = harness.bus.of('decision');
    harness.done(one!, 'committed');
    await harness.settle();
    expect(reported.isSettled).toBe(false);
    harness.done(other!, 'committed');
    await harness.settle();
    expect(reported.value).toMatchObject({ settled: true, transaction: { outcome: 'committed', endedAt: null } });
    expect((await harness.manager.commit(id, REPORTED)).settled).toBe(true);
    const ended = harness.watch(harness.manager.commit(id, ENDED));
    await harness.pass(DEFAULT_TRANSACTION_OPTIONS.doneDelayMs);
    expect(ended.value?.transaction.endedAt).not.toBeNull();
  });

  it('ends with the transaction under a new leader', async () => {
    const harness = withStreams();
    const id = await harness.begin();
    const reported = harness.watch(harness.manager.commit(id, { ...REPORTED, branches: [held(harness, 'bank-a')] }));
    await harness.answerPrepares('yes');
    harness.log.follow();
    harness.bus.forget();
    harness.log.lead();
    await harness.obeyDecisions();
    expect(reported.value).toMatchObject({ settled: true });
  });

  it('ends at once when no branch has anything to report', async () => {
    const harness = withStreams();
    const id = await harness.begin();
    expect((await harness.manager.commit(id, REPORTED)).transaction.outcome).toBe('committed');
  });
});

describe('the process that began a transaction', () => {
  it('aborts it when it is away for longer than the grace period', async () => {
    let isThere = true;
    const harness = withStreams(() => isThere);
    const beginner = { participant: 'bank-a', instance: '1' };
    const { id } = await harness.manager.begin({ ...BEGIN, deferred: true, beginner });
    isThere = false;
    const graceMs = DEFAULT_TRANSACTION_OPTIONS.instanceGraceMs;
    for (let left = graceMs; left > 0; left -= HOLDER_CHECK_MS) await harness.pass(HOLDER_CHECK_MS);
    expect(harness.log.state.find(id)?.decision).toBeUndefined();
    for (let looks = 0; looks < 2; looks++) await harness.pass(HOLDER_CHECK_MS);
    expect(harness.log.state.find(id)).toMatchObject({
      decision: 'abort',
      cause: {
        reason: 'CLIENT_ABORTED',
        detail: expect.stringContaining('of bank-a began the transaction and is gone'),
      },
    });
  });

  it('is not missed over Kafka alone, where nobody knows', async () => {
    const harness = new Harness();
    const { id } = await harness.manager.begin({ ...BEGIN, beginner: { participant: 'bank-a', instance: '1' } });
    const graceMs = DEFAULT_TRANSACTION_OPTIONS.instanceGraceMs;
    for (let left = 2 * graceMs; left > 0; left -= HOLDER_CHECK_MS) await harness.pass(HOLDER_CHECK_MS);
    expect(harness.log.state.find(id)?.decision).toBeUndefined();
  });
});
