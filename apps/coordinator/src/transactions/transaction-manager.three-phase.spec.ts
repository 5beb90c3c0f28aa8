import { describe, expect, it } from '@jest/globals';
import type { BallotAnswer, BallotRequestMessage } from '@concordat/commit-protocol';
import { DEFAULT_TRANSACTION_OPTIONS } from './options.js';
import { DECIDED, Harness, transfer, work, type Watched } from './testing/harness.js';
import type { ExecuteRequest, Settlement } from './transactions.api.js';

const THREE: ExecuteRequest = {
  ...transfer(),
  protocol: '3pc',
  branches: [work('bank-a'), work('bank-b', 'credit'), work('bank-c', 'credit')],
};

/** A transaction in three phases of which all branches have voted yes. */
async function preCommitted(harness: Harness, request = THREE): Promise<Watched<Settlement>> {
  const answer = harness.watch(harness.execute(request));
  await harness.answerPrepares('yes');
  return answer;
}

function say(
  harness: Harness,
  { transactionId, branchId, participant }: BallotRequestMessage,
  answer: BallotAnswer,
): void {
  harness.manager.onReply({ type: 'ballot-answer', transactionId, branchId, participant, answer });
}

/** Answers requests of a ballot as acceptors do that have heard of nothing else. */
async function accept(harness: Harness, count: number): Promise<void> {
  const requests = harness.bus.of('ballot-request').slice(0, count);
  harness.bus.forget();
  for (const message of requests) {
    const { request } = message;
    const type = request.type === 'promise' ? 'promised' : 'accepted';
    say(harness, message, { type, ballot: request.ballot });
  }
  await harness.settle();
}

describe('three phases', () => {
  it('logs the ballot before anybody is asked, and commits when a majority has accepted', async () => {
    const harness = new Harness();
    harness.log.held = true;
    const answer = harness.watch(harness.execute(THREE));
    await harness.answerPrepares('yes');
    expect(harness.bus.of('ballot-request')).toEqual([]);
    harness.log.release();
    harness.log.held = false;
    await harness.settle();
    const requests = harness.bus.of('ballot-request').map(({ request }) => request);
    expect(requests).toHaveLength(3);
    for (const one of requests)
      expect(one).toEqual({ type: 'accept', ballot: { round: 0, proposer: 0 }, value: 'commit' });
    await accept(harness, 1);
    expect(answer.isSettled).toBe(false);
    harness.log.held = false;
    const [transaction] = harness.log.state.openTransactions();
    expect((await harness.manager.get(transaction!.transactionId, 'stale')).value.status).toBe('precommitted');
    const [second] = transaction!.branches.slice(1);
    const { transactionId } = transaction!;
    harness.manager.onReply({
      type: 'ballot-answer',
      transactionId,
      branchId: second!.branchId,
      participant: second!.participant,
      answer: { type: 'accepted', ballot: { round: 0, proposer: 0 } },
    });
    await harness.settle();
    expect(answer.value?.transaction).toMatchObject({ outcome: 'committed', warnings: [] });
    expect(harness.bus.of('decision')).toHaveLength(3);
    expect(harness.recordsOf(transactionId)).toEqual(['begin', 'pre-commit', 'decide']);
  });

  it('keeps the results of the handlers over the ballot, and shows them with the commit only', async () => {
    const harness = new Harness();
    const answer = await preCommitted(harness);
    const [transaction] = harness.log.state.openTransactions();
    const { value } = await harness.manager.get(transaction!.transactionId, 'stale');
    expect(value.branches.map(({ operations }) => operations[0]?.result)).toEqual([undefined, undefined, undefined]);
    await accept(harness, 3);
    const results = answer.value?.transaction.branches.map(({ operations }) => operations[0]?.result);
    expect(results).toEqual([{ by: 'bank-a' }, { by: 'bank-b' }, { by: 'bank-c' }]);
  });

  it('a new leader opens a higher ballot and asks for promises; what was accepted is committed', async () => {
    const harness = new Harness();
    const answer = await preCommitted(harness);
    harness.log.follow();
    harness.bus.forget();
    harness.log.lead();
    await harness.pass(DEFAULT_TRANSACTION_OPTIONS.resendCapMs);
    const requests = harness.bus.of('ballot-request');
    for (const { request } of requests) expect(request).toEqual({ type: 'promise', ballot: { round: 1, proposer: 0 } });
    const accepted = { ballot: { round: 0, proposer: 0 }, value: 'commit' } as const;
    harness.bus.forget();
    say(harness, requests[0]!, { type: 'promised', ballot: { round: 1, proposer: 0 }, accepted });
    say(harness, requests[1]!, { type: 'promised', ballot: { round: 1, proposer: 0 } });
    await harness.settle();
    await accept(harness, 2);
    expect(answer.value?.transaction.outcome ?? 'unanswered').toBe('committed');
  });

  it('decides nothing at the deadline, nor by a client, once a ballot is open', async () => {
    const harness = new Harness();
    const answer = await preCommitted(harness);
    const [transaction] = harness.log.state.openTransactions();
    await harness.pass(60_000);
    const abort = harness.watch(harness.manager.abort(transaction!.transactionId, { ...DECIDED, waitMs: 10 }));
    await harness.pass(10);
    expect(abort.value?.settled).toBe(false);
    expect(transaction!.decision).toBeUndefined();
    await accept(harness, 3);
    expect(transaction!.decision).toBe('commit');
    expect(answer.value?.transaction.outcome ?? 'the wait had ended').toBeDefined();
  });

  it('records what the branches decided while nobody led', async () => {
    const harness = new Harness();
    const answer = await preCommitted(harness);
    const [transaction] = harness.log.state.openTransactions();
    const { transactionId, branches } = transaction!;
    const { branchId, participant } = branches[2]!;
    harness.manager.onReply({ type: 'branches-decided', transactionId, branchId, participant, decision: 'abort' });
    await harness.settle();
    expect(answer.error ?? answer.value?.transaction).toMatchObject({ outcome: 'aborted', reason: 'BRANCHES_DECIDED' });
  });

  it('shows whose database has lost its vote or abstains, from when it is heard of, and for good', async () => {
    const harness = new Harness();
    const answer = await preCommitted(harness);
    const [transaction] = harness.log.state.openTransactions();
    const { transactionId } = transaction!;
    const [first, second, third] = harness.bus.of('ballot-request');
    const ballot = { round: 0, proposer: 0 };
    say(harness, first!, { type: 'abstains', ballot, dissents: true });
    say(harness, second!, { type: 'abstains', ballot });
    await harness.pass(DEFAULT_TRANSACTION_OPTIONS.inDoubtAfterMs);
    const warnings = [
      expect.stringMatching(new RegExp(`^ACCEPTOR_AMNESIA: branch ${first!.branchId} of bank-a has no vote`)),
      expect.stringMatching(new RegExp(`^DATABASE_CHANGED: branch ${second!.branchId} of bank-b abstains`)),
    ];
    expect((await harness.manager.get(transactionId, 'linearizable')).value).toMatchObject({
      status: 'precommitted',
      warnings,
    });
    const { value: items } = await harness.manager.inDoubt('linearizable');
    expect(items.map(({ reason }) => reason)).toEqual([
      expect.stringContaining('is not decided yet; the branch has no vote on record'),
      expect.stringContaining('is not decided yet; the branch abstains'),
      'voted yes; the transaction is not decided yet',
    ]);
    expect(harness.alerts).toHaveLength(1);

    say(harness, second!, { type: 'accepted', ballot }); // an operator has ended the abstention
    say(harness, third!, { type: 'accepted', ballot });
    await harness.settle();
    expect(answer.value?.transaction ?? 'unanswered').toMatchObject({ decision: 'commit', warnings });
    harness.log.follow();
    expect((await harness.manager.get(transactionId, 'stale')).value.warnings).toEqual(warnings);
  });

  it('says that the database has lost a branch that is told to commit and is not there', async () => {
    const harness = new Harness();
    await preCommitted(harness);
    const requests = harness.bus.of('ballot-request');
    const ballot = { round: 0, proposer: 0 };
    say(harness, requests[0]!, { type: 'abstains', ballot, dissents: true });
    for (const request of requests.slice(1)) say(harness, request, { type: 'accepted', ballot });
    await harness.settle();
    const { transactionId, branchId, participant } = requests[0]!;
    harness.manager.onReply({ type: 'done', transactionId, branchId, participant, end: 'heuristic-rollback' });
    await harness.pass(1_000);
    expect((await harness.manager.inDoubt('linearizable')).value).toMatchObject([
      {
        state: 'heuristic-rollback',
        reason: 'the database of bank-a has lost the branch, against the decision to commit',
      },
    ]);
  });

  it('does not believe in a commit that nobody has proposed', async () => {
    const harness = new Harness();
    harness.watch(harness.execute(THREE));
    await harness.settle();
    const [prepare] = harness.bus.of('prepare');
    const { transactionId, branchId, participant } = prepare!;
    harness.manager.onReply({ type: 'branches-decided', transactionId, branchId, participant, decision: 'commit' });
    await harness.settle();
    expect(harness.log.state.find(transactionId)?.decision).toBeUndefined();
    expect(harness.alerts.join()).toContain('which nobody has proposed');
  });

  it('answers an inquiry about an undecided transaction, so that its branches wait', async () => {
    const harness = new Harness();
    harness.watch(harness.execute(THREE));
    await harness.settle();
    const { transactionId, branchId } = harness.bus.of('prepare')[0]!;
    harness.inquire(transactionId, 'bank-a', branchId);
    await harness.settle();
    expect(harness.bus.of('undecided')).toMatchObject([{ transactionId, branchId, participant: 'bank-a' }]);
  });

  it('names all branches in every prepare', async () => {
    const harness = new Harness();
    harness.watch(harness.execute(THREE));
    await harness.settle();
    const prepares = harness.bus.of('prepare');
    const acceptors = prepares.map(({ branchId, participant }) => ({ branchId, participant }));
    expect(prepares).toMatchObject([{ acceptors }, { acceptors }, { acceptors }]);
  });

  it.each([
    [2, /blocks as 2pc does/],
    [1, /one phase/],
  ])('warns with %d branches that it is no better', async (count, warning) => {
    const harness = new Harness();
    harness.watch(harness.execute({ ...THREE, branches: THREE.branches.slice(0, count) }));
    await harness.settle();
    const [transaction] = harness.log.state.openTransactions();
    const { value } = await harness.manager.get(transaction!.transactionId, 'stale');
    expect(value.warnings).toEqual([expect.stringMatching(warning)]);
  });

  it('needs no ballot when nothing was written', async () => {
    const harness = new Harness();
    const answer = harness.watch(harness.execute(THREE));
    await harness.answerPrepares('read-only');
    expect(answer.value?.transaction).toMatchObject({ outcome: 'committed' });
    expect(harness.bus.of('ballot-request')).toEqual([]);
  });

  it('aborts without a ballot as long as none is open', async () => {
    const harness = new Harness();
    const answer = harness.watch(harness.execute(THREE));
    await harness.answerPrepares('no', 'INSUFFICIENT_FUNDS');
    expect(answer.error ?? answer.value?.transaction).toMatchObject({ outcome: 'aborted' });
    expect(harness.bus.of('ballot-request')).toEqual([]);
  });
});
