import { describe, expect, it } from '@jest/globals';
import type { BranchEnd, PrepareMessage, RulingAction } from '@concordat/commit-protocol';
import { ENDED, Harness, key, transfer, work } from './testing/harness.js';
import type { ResolveRequest, TransactionView } from './transactions.api.js';

const HOUR_MS = 3_600_000;

function ruling(action: RulingAction, changes: Partial<ResolveRequest> = {}): ResolveRequest {
  return { action, operator: 'ann', reason: 'the bank is gone', force: false, ...changes };
}

/** A transfer whose two branches have been asked for their votes. */
async function asked(harness: Harness): Promise<readonly [PrepareMessage, PrepareMessage]> {
  harness.watch(harness.execute());
  await harness.settle();
  const [first, second] = harness.bus.of('prepare');
  return [first!, second!];
}

async function committing(harness: Harness): Promise<readonly [PrepareMessage, PrepareMessage]> {
  const prepares = await asked(harness);
  await harness.answerPrepares('yes');
  return prepares;
}

async function done(harness: Harness, { transactionId, branchId, participant }: PrepareMessage, end: BranchEnd) {
  harness.manager.onReply({ type: 'done', transactionId, branchId, participant, end });
  await harness.pass(100);
}

async function shown(harness: Harness, id: string): Promise<TransactionView> {
  return (await harness.manager.get(id, 'linearizable')).value;
}

async function inDoubt(harness: Harness) {
  return (await harness.manager.inDoubt('linearizable')).value;
}

describe('rulings', () => {
  it('abort what is not decided: audited, told to the branches, counted, and the waiting client hears why', async () => {
    const harness = new Harness();
    const client = harness.watch(harness.execute());
    await harness.settle();
    const [first] = harness.bus.of('prepare');
    harness.vote(first!, 'yes');
    const { transactionId } = first!;
    const { ruling: recorded, transaction } = await harness.manager.resolve(transactionId, ruling('abort'));
    expect(recorded).toEqual({
      action: 'abort',
      operator: 'ann',
      reason: 'the bank is gone',
      force: false,
      effect: 'decided',
      at: '2026-01-01T00:00:00.000Z',
    });
    expect(transaction).toMatchObject({
      status: 'aborting',
      reason: 'OPERATOR',
      detail: 'ruled by ann: the bank is gone',
      branches: [{ vote: 'yes' }, {}],
      rulings: [recorded],
    });
    await harness.settle();
    expect(client.value?.transaction).toMatchObject({ decision: 'abort', reason: 'OPERATOR' });
    expect(harness.bus.of('decision').map(({ decision }) => decision)).toEqual(['abort', 'abort']);
    expect(harness.manager.figures().rulings).toEqual({ commit: 0, abort: 1, forget: 0 });
  });

  it('give up a delegated transaction whose branch never answers: listed, mixed, and a late commit is an alert', async () => {
    const harness = new Harness();
    const client = harness.watch(
      harness.execute({ ...transfer(), branches: [work('bank-a')] }, { wait: 'ended', waitMs: 600_000 }),
    );
    await harness.settle();
    const [message] = harness.bus.of('commit-one-phase');
    const { transactionId: id } = message!;
    const forced = ruling('forget', { force: true });
    await expect(harness.manager.resolve(id, forced)).rejects.toMatchObject({ code: 'RULING_NOT_POSSIBLE' });
    await harness.pass(30_000);
    expect(await inDoubt(harness)).toEqual([]);
    await harness.pass(5_000);
    expect(await inDoubt(harness)).toMatchObject([
      {
        branchId: message!.branchId,
        state: 'in-doubt',
        since: '2026-01-01T00:00:30.000Z',
        reason: 'the decision was left to it, and bank-a has not answered since the deadline',
        rulings: [{ action: 'forget', force: true }],
      },
    ]);
    expect(harness.manager.figures().inDoubt).toBe(1);
    await expect(harness.manager.resolve(id, ruling('forget'))).rejects.toMatchObject({ code: 'RULING_NEEDS_FORCE' });
    expect(await harness.manager.resolve(id, forced)).toMatchObject({
      ruling: { effect: 'forgotten' },
      transaction: { status: 'mixed', decision: 'abort', reason: 'OPERATOR', branches: [{ state: 'forgotten' }] },
    });
    await harness.settle();
    expect(client.value).toMatchObject({ settled: true, transaction: { outcome: 'mixed' } });
    expect([await inDoubt(harness), harness.manager.figures().open]).toEqual([[], 0]);
    harness.bus.forget();
    await harness.pass(60_000);
    expect(harness.bus.of('commit-one-phase')).toEqual([]);
    harness.done(message!, 'committed');
    await harness.settle();
    expect(harness.manager.figures().alerts).toBe(1);
  });

  it('are listed as possible, and one branch is ended against the decision: mixed, alerted, counted', async () => {
    const harness = new Harness();
    const [first, second] = await committing(harness);
    await harness.pass(5_000);
    const against = [
      { action: 'abort', force: true },
      { action: 'forget', force: true },
    ];
    expect((await inDoubt(harness)).map(({ rulings }) => rulings)).toEqual([against, against]);
    const { transactionId, branchId } = first;
    harness.bus.forget();
    const { ruling: recorded } = await harness.manager.resolve(
      transactionId,
      ruling('abort', { branchId, force: true }),
    );
    expect(recorded).toMatchObject({ branchId, effect: 'branch-ruled', force: true });
    await harness.settle();
    expect(harness.bus.of('ruling')).toMatchObject([{ branchId, ruling: 'abort' }]);
    expect((await inDoubt(harness))[0]).toMatchObject({
      reason: 'decided to commit, and ruled to abort by an operator; bank-a has not confirmed it yet',
      rulings: [{ action: 'forget', force: true }],
    });
    await done(harness, first, 'heuristic-rollback');
    await done(harness, second, 'committed');
    expect(await shown(harness, transactionId)).toMatchObject({
      status: 'mixed',
      decision: 'commit',
      endedAt: null,
      branches: [{ state: 'heuristic-rollback', ruling: 'abort' }, { state: 'committed' }],
    });
    expect(harness.alerts).toHaveLength(1);
    expect(harness.manager.figures()).toMatchObject({ hazards: 1, inDoubt: 1, rulings: { abort: 1 } });
    expect(await inDoubt(harness)).toMatchObject([
      {
        state: 'heuristic-rollback',
        reason: 'an operator ended the branch, against the decision to commit',
        rulings: [{ action: 'forget', force: false }],
      },
    ]);
  });

  it('forget a hazard: the transaction ends as mixed, its outcome is published, its client is answered', async () => {
    const harness = new Harness();
    const client = harness.watch(harness.execute(undefined, ENDED));
    await harness.settle();
    const [first, second] = harness.bus.of('prepare');
    await harness.answerPrepares('yes');
    await done(harness, first!, 'aborted');
    await done(harness, second!, 'committed');
    expect(client.isSettled).toBe(false);
    const { transactionId } = first!;
    const { transaction } = await harness.manager.resolve(transactionId, ruling('forget'));
    expect(transaction).toMatchObject({ status: 'mixed', outcome: 'mixed', rulings: [{ effect: 'forgotten' }] });
    expect(transaction?.endedAt).not.toBeNull();
    await harness.settle();
    expect(client.value?.transaction.outcome).toBe('mixed');
    expect(harness.bus.of('outcome')).toMatchObject([{ transactionId, outcome: 'mixed' }]);
    expect(harness.manager.figures()).toMatchObject({ hazards: 0, inDoubt: 0, open: 0, rulings: { forget: 1 } });
    expect((await harness.manager.resolve(transactionId, ruling('forget'))).ruling).toBeNull();
  });

  it('forget a branch whose participant is gone for good, only by force', async () => {
    const harness = new Harness();
    const [first, second] = await committing(harness);
    await done(harness, second, 'committed');
    const { transactionId, branchId } = first;
    await expect(harness.manager.resolve(transactionId, ruling('forget'))).rejects.toMatchObject({
      code: 'RULING_NEEDS_FORCE',
    });
    const { transaction } = await harness.manager.resolve(transactionId, ruling('forget', { branchId, force: true }));
    expect(transaction).toMatchObject({ outcome: 'mixed', branches: [{ state: 'forgotten' }, { state: 'committed' }] });
    await harness.settle();
    harness.bus.forget();
    harness.inquire(transactionId, 'bank-a', branchId); // it comes back after all: it hears the decision
    await harness.settle();
    expect(harness.bus.of('decision')).toMatchObject([{ branchId, decision: 'commit' }]);
  });

  it.each<[string, Partial<ResolveRequest> & { action: RulingAction }, string]>([
    ['against the decision', { action: 'abort' }, 'RULING_CONTRADICTS_DECISION'],
    ['against the decision as a whole, by force', { action: 'abort', force: true }, 'RULING_CONTRADICTS_DECISION'],
    ['on a branch of another transaction', { action: 'abort', branchId: 'other', force: true }, 'BRANCH_NOT_FOUND'],
  ])('%s are refused, and nothing is logged', async (_name, request, code) => {
    const harness = new Harness();
    const [{ transactionId }] = await committing(harness);
    const records = harness.log.applied.length;
    await expect(harness.manager.resolve(transactionId, ruling(request.action, request))).rejects.toMatchObject({
      code,
    });
    expect(harness.log.applied).toHaveLength(records);
  });

  it('do nothing, and log nothing, where the decision is the same', async () => {
    const harness = new Harness();
    const [{ transactionId }] = await committing(harness);
    const records = harness.log.applied.length;
    const { ruling: recorded, transaction } = await harness.manager.resolve(transactionId, ruling('commit'));
    expect([recorded, transaction?.decision]).toEqual([null, 'commit']);
    expect(harness.log.applied).toHaveLength(records);
  });

  it('never make up for a vote, and are judged by what the log says when they get there', async () => {
    const harness = new Harness();
    const [first, second] = await asked(harness);
    const { transactionId } = first;
    const forced = ruling('commit', { force: true });
    await expect(harness.manager.resolve(transactionId, forced)).rejects.toMatchObject({ code: 'RULING_NOT_POSSIBLE' });
    harness.log.held = true;
    harness.vote(first, 'yes');
    harness.vote(second, 'yes'); // the decision is on its way, in front of the ruling
    const late = harness.watch(harness.manager.resolve(transactionId, ruling('abort')));
    await harness.settle();
    harness.log.release();
    await harness.settle();
    expect(late.error?.code).toBe('RULING_CONTRADICTS_DECISION');
    expect((await shown(harness, transactionId)).rulings).toEqual([]);
  });

  it('are made once with the same key, and refused with another body', async () => {
    const harness = new Harness();
    const [{ transactionId }] = await asked(harness);
    const request = ruling('abort', { idempotency: key('k') });
    const [first, second] = await Promise.all([
      harness.manager.resolve(transactionId, request),
      harness.manager.resolve(transactionId, request),
    ]);
    expect(first.ruling?.effect).toBe('decided');
    expect(second).toEqual(first);
    expect(second.transaction?.rulings).toHaveLength(1);
    await expect(
      harness.manager.resolve(transactionId, ruling('abort', { idempotency: key('k', 'other') })),
    ).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
  });

  it('need a leader, and a transaction', async () => {
    const harness = new Harness();
    await expect(harness.manager.resolve(harness.newId(), ruling('abort'))).rejects.toMatchObject({
      code: 'TRANSACTION_NOT_FOUND',
    });
    harness.log.follow();
    await expect(harness.manager.resolve(harness.newId(), ruling('abort'))).rejects.toMatchObject({
      reason: 'no-leader',
    });
  });
});

describe('rulings on branches that nobody remembers', () => {
  /** A branch of a forgotten transaction has been asked about. */
  async function listed(): Promise<{ harness: Harness; old: string; branchId: string }> {
    const harness = new Harness();
    const old = harness.newId();
    await harness.pass(25 * HOUR_MS);
    harness.log.apply({ type: 'expire', before: harness.clock.now() - 24 * HOUR_MS });
    const branchId = harness.inquire(old);
    await harness.settle();
    harness.bus.forget();
    return { harness, old, branchId };
  }

  it('are sent as a decision, again when the branch asks again, also by the next leader', async () => {
    const { harness, old, branchId } = await listed();
    expect(harness.manager.figures().unknownOld).toBe(1);
    expect(await inDoubt(harness)).toMatchObject([{ rulings: [{ action: 'commit' }, { action: 'abort' }, {}] }]);
    const answer = await harness.manager.resolve(old, ruling('commit', { branchId }));
    expect(answer).toMatchObject({ ruling: { effect: 'unknown-old', branchId }, transaction: null });
    await harness.settle();
    const decision = { transactionId: old, branchId, participant: 'bank-a', decision: 'commit' };
    expect(harness.bus.of('decision')).toMatchObject([decision]);
    expect(await inDoubt(harness)).toEqual([]);
    harness.log.follow();
    harness.log.lead();
    harness.inquire(old, 'bank-a', branchId);
    await harness.settle();
    expect(harness.bus.of('decision')).toMatchObject([decision, decision]);
    expect(harness.manager.figures()).toMatchObject({ unknownOld: 0, rulings: { commit: 1 } });
    expect((await harness.manager.resolve(old, ruling('commit', { branchId }))).ruling).toBeNull();
    await expect(harness.manager.resolve(old, ruling('abort', { branchId, force: true }))).rejects.toMatchObject({
      code: 'RULING_CONTRADICTS_DECISION',
    });
  });

  it('take a branch off the list that was ended by hand; it is back on it when it asks again', async () => {
    const { harness, old, branchId } = await listed();
    await harness.manager.resolve(old, ruling('forget', { branchId }));
    expect(await inDoubt(harness)).toEqual([]);
    expect(harness.bus.of('decision')).toEqual([]);
    harness.inquire(old, 'bank-a', branchId);
    await harness.settle();
    expect(await inDoubt(harness)).toHaveLength(1);
  });

  it('are refused for a branch that nobody has asked about, and without a branch', async () => {
    const { harness, old } = await listed();
    for (const request of [ruling('commit'), ruling('commit', { branchId: harness.newId() })]) {
      await expect(harness.manager.resolve(old, request)).rejects.toMatchObject({ code: 'TRANSACTION_EXPIRED' });
    }
  });
});
