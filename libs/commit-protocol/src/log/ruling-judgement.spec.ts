import { describe, expect, it } from '@jest/globals';
import { FIRST_BALLOT } from '../ballots/ballot.js';
import type { Refusal } from './apply-result.js';
import { DecisionState } from './decision-state.js';
import { PlainEndedTransactions } from '../testing/plain-ended-transactions.js';
import { MAXIMUM_OLD_RULINGS } from './old-rulings.js';
import type { BranchReport, DecideRecord, LogRecord, PreCommitRecord, ResolveRecord } from './records.js';
import { MAXIMUM_RULINGS } from './ruling-judgement.js';
import { AT, LeaderDriver, beginOf, branchOf, idOf, preparedBranch } from '../testing/leader-driver.js';
import type { BranchEnd, Decision, RulingAction, Vote } from '../vocabulary/types.js';

const TWO = beginOf([branchOf(1), branchOf(2)]);
const OPEN = beginOf([], { closed: false });
const DELEGATED = beginOf([branchOf(1)], { delegateTo: idOf(1, 1) });
const { deadline: DEADLINE } = DELEGATED;
const LATE = { at: DEADLINE };
const CLAIM = { key: 'key-1', bodyHash: 'aa' };

function reports(votes: readonly Vote[]): BranchReport[] {
  return votes.map((vote, i) => ({ branchId: idOf(1, i + 1), vote }));
}

function resolve(action: RulingAction, changes: Partial<ResolveRecord> = {}): ResolveRecord {
  return {
    type: 'resolve',
    transactionId: idOf(1),
    action,
    operator: 'ann',
    reason: 'the bank is gone',
    force: false,
    reports: [],
    at: AT + 20,
    ...changes,
  };
}

const GIVEN_UP = resolve('forget', { force: true, ...LATE });

function decide(decision: Decision, votes: readonly Vote[]): LogRecord {
  return { type: 'decide', transactionId: idOf(1), decision, reports: reports(votes), at: AT + 5 };
}

function done(branch: number, end: BranchEnd): LogRecord {
  const items = [{ transactionId: idOf(1), branchId: idOf(1, branch), end }];
  return { type: 'branches-done', items, publishedIndex: 0, at: AT + 9 };
}

function enlist(branch: number, vote: Vote): LogRecord {
  return { type: 'enlist', transactionId: idOf(1), branch: preparedBranch(branch, vote), at: AT };
}

const preCommit: PreCommitRecord = {
  type: 'pre-commit',
  transactionId: idOf(1),
  ballot: FIRST_BALLOT,
  reports: reports(['yes', 'yes']),
  at: AT + 4,
};
const decideByBallot: LogRecord = {
  type: 'decide',
  transactionId: idOf(1),
  decision: 'commit',
  reports: [],
  basis: { type: 'ballot', ballot: FIRST_BALLOT, acceptedBy: [idOf(1, 1), idOf(1, 2)] },
  at: AT + 5,
};
const COMMITTED = [TWO, decide('commit', ['yes', 'yes'])];
const ABORTED = [TWO, decide('abort', ['yes'])];
const branch = (number: number): { branchId: string } => ({ branchId: idOf(1, number) });
const force = { force: true };

/** All but log time, which every record may move on. */
function textOf(state: DecisionState): string {
  return JSON.stringify({ ...state.takeSnapshot(), time: undefined });
}

class Log {
  readonly state = new DecisionState(new PlainEndedTransactions());
  private index = 0;

  constructor() {
    this.state.apply({ type: 'group-born', at: AT - 1_000 }, 0);
  }

  apply(...records: readonly LogRecord[]): this {
    for (const record of records) {
      const { refusal } = this.state.apply(record, ++this.index);
      if (refusal !== undefined) throw new Error(`${record.type} is refused: ${refusal}`);
    }
    return this;
  }

  refusal(record: LogRecord): Refusal | undefined {
    const before = textOf(this.state);
    const { refusal } = this.state.apply(record, ++this.index);
    if (refusal) expect(textOf(this.state)).toBe(before);
    return refusal;
  }

  get transaction() {
    return this.state.find(idOf(1))!;
  }
}

function after(...records: readonly LogRecord[]): Log {
  return new Log().apply(...records);
}

describe('what a ruling may not do', () => {
  it.each<[string, readonly LogRecord[], ResolveRecord, Refusal]>([
    ['nothing is known of another transaction', [], resolve('abort'), 'UNKNOWN_TRANSACTION'],
    ['AC3 commit without votes', [TWO], resolve('commit'), 'VOTES_MISSING'],
    ['AC3 commit without votes, by force', [TWO], resolve('commit', force), 'VOTES_MISSING'],
    ['AC3 commit without one vote', [TWO], resolve('commit', { reports: reports(['yes']), ...force }), 'VOTES_MISSING'],
    ['AC3 commit after a no', [TWO], resolve('commit', { reports: reports(['yes', 'no']), ...force }), 'VOTES_MISSING'],
    ['commit what the client did not ask to commit', [OPEN, enlist(1, 'yes')], resolve('commit'), 'NEEDS_FORCE'],
    ['AC1 decide for one branch', [TWO], resolve('abort', branch(1)), 'WHOLE_TRANSACTION'],
    ['name a branch of another transaction', [TWO], resolve('abort', branch(9)), 'BRANCH_UNKNOWN'],
    ['forget what is not decided', [TWO], resolve('forget', force), 'UNDECIDED'],
    ['4.7 abort what is delegated', [DELEGATED], resolve('abort', { ...force, ...LATE }), 'DELEGATED'],
    ['4.7 commit what is delegated', [DELEGATED], resolve('commit', { ...force, ...LATE }), 'DELEGATED'],
    ['4.7 give up what may still be at work', [DELEGATED], resolve('forget', force), 'BEFORE_DEADLINE'],
    ['4.7 give up what may have committed, without force', [DELEGATED], resolve('forget', LATE), 'NEEDS_FORCE'],
    [
      '4.7 give up another branch',
      [DELEGATED],
      resolve('forget', { ...branch(2), ...force, ...LATE }),
      'BRANCH_UNKNOWN',
    ],
    ['4.7 give up what was given up', [DELEGATED, GIVEN_UP], GIVEN_UP, 'NOTHING_TO_DO'],
    ['6 abort what is under ballot', [{ ...TWO, protocol: '3pc' }, preCommit], resolve('abort', force), 'BALLOT'],
    ['6 commit what is under ballot', [{ ...TWO, protocol: '3pc' }, preCommit], resolve('commit', force), 'BALLOT'],
    ['6 forget what is under ballot', [{ ...TWO, protocol: '3pc' }, preCommit], resolve('forget', force), 'UNDECIDED'],
    [
      '6 decide for one branch under ballot',
      [{ ...TWO, protocol: '3pc' }, preCommit],
      resolve('abort', { ...branch(1), ...force }),
      'WHOLE_TRANSACTION',
    ],
    [
      '6 commit without a ballot what its client left behind',
      [{ ...OPEN, protocol: '3pc' }, enlist(1, 'yes')],
      resolve('commit', force),
      'BALLOT',
    ],
    [
      '6 abort what a ballot committed',
      [{ ...TWO, protocol: '3pc' }, preCommit, decideByBallot],
      resolve('abort'),
      'CONTRADICTS_DECISION',
    ],
    [
      '6 commit without a ballot',
      [{ ...TWO, protocol: '3pc' }],
      resolve('commit', { reports: preCommit.reports, ...force }),
      'BALLOT',
    ],
    ['repeat the decision: commit', COMMITTED, resolve('commit'), 'NOTHING_TO_DO'],
    ['repeat the decision: abort', ABORTED, resolve('abort'), 'NOTHING_TO_DO'],
    ['repeat the decision for one branch', COMMITTED, resolve('commit', branch(1)), 'NOTHING_TO_DO'],
    ['AC2 abort what is committed', COMMITTED, resolve('abort'), 'CONTRADICTS_DECISION'],
    ['AC2 commit what is aborted', ABORTED, resolve('commit', branch(1)), 'CONTRADICTS_DECISION'],
    ['AC2 change a decision by force', COMMITTED, resolve('abort', force), 'BRANCH_NEEDED'],
    ['AC3 commit a branch that never voted', ABORTED, resolve('commit', { ...branch(2), ...force }), 'NOT_IN_DOUBT'],
    [
      'end a branch that has ended',
      [...COMMITTED, done(1, 'committed')],
      resolve('abort', { ...branch(1), ...force }),
      'NOT_IN_DOUBT',
    ],
    [
      'end a branch of an ended transaction',
      [...COMMITTED, done(1, 'committed'), done(2, 'committed')],
      resolve('abort', { ...branch(1), ...force }),
      'CONTRADICTS_DECISION',
    ],
    [
      'rule twice alike',
      [...COMMITTED, resolve('abort', { ...branch(1), ...force })],
      resolve('abort', { ...branch(1), ...force }),
      'NOTHING_TO_DO',
    ],
    [
      'take a ruling back',
      [...COMMITTED, resolve('abort', { ...branch(1), ...force })],
      resolve('commit', branch(1)),
      'RULED_OTHERWISE',
    ],
    ['forget a branch that may still answer', COMMITTED, resolve('forget', branch(1)), 'NEEDS_FORCE'],
    [
      'forget everything while a branch may still answer',
      [...COMMITTED, done(1, 'heuristic-rollback')],
      resolve('forget'),
      'NEEDS_FORCE',
    ],
    [
      'forget a branch that has ended',
      [...COMMITTED, done(1, 'committed')],
      resolve('forget', branch(1)),
      'NOTHING_TO_DO',
    ],
    ['use a key twice', [{ ...TWO, idempotency: CLAIM }], resolve('abort', { idempotency: CLAIM }), 'KEY_IN_USE'],
  ])('%s', (_name, before, record, refusal) => {
    expect(after(...before).refusal(record)).toBe(refusal);
  });

  it('be more than are kept', () => {
    const log = after(...COMMITTED, done(1, 'heuristic-rollback'));
    log.transaction.rulings = Array.from({ length: MAXIMUM_RULINGS }, () => {
      return { action: 'forget', operator: 'ann', reason: 'x', force: false, effect: 'forgotten', at: AT };
    });
    expect(log.refusal(resolve('forget', branch(1)))).toBe('TOO_MANY_RULINGS');
  });
});

describe('what a ruling does', () => {
  it.each([undefined, idOf(1, 1)])('gives up a delegated transaction: over, and nobody knows how (%p)', (branchId) => {
    const { transaction } = after(DELEGATED, { ...GIVEN_UP, ...(branchId && { branchId }) });
    expect(transaction).toMatchObject({
      decision: 'abort',
      outcome: 'mixed',
      cause: { reason: 'OPERATOR', detail: 'ann gave up its only branch, which may have committed: the bank is gone' },
      decidedAt: DEADLINE,
      endedAt: DEADLINE,
      branches: [{ forgotten: true }],
      rulings: [{ action: 'forget', effect: 'forgotten', force: true }],
    });
    expect(transaction.branches[0]!.end).toBeUndefined();
  });

  it('leaves no way for what the branch says afterwards, or said just before', () => {
    const log = after(DELEGATED, GIVEN_UP);
    const late = { ...decide('commit', ['yes']), delegatedEnd: 'committed' } as DecideRecord;
    expect(log.refusal(late)).toBe('DECIDED');
    expect(after(DELEGATED, late).refusal(GIVEN_UP)).toBe('NOTHING_TO_DO');
  });

  it('aborts an undecided transaction, with the cause and the audit', () => {
    const { transaction } = after(TWO, resolve('abort', { reports: reports(['yes']), idempotency: CLAIM }));
    expect(transaction).toMatchObject({
      decision: 'abort',
      outcome: 'aborted',
      cause: { reason: 'OPERATOR', detail: 'ruled by ann: the bank is gone' },
      decidedAt: AT + 20,
      branches: [{ vote: 'yes' }, {}],
      rulings: [{ action: 'abort', operator: 'ann', reason: 'the bank is gone', effect: 'decided', at: AT + 20 }],
      claims: [{ ...CLAIM, ruling: 0 }],
    });
    expect(transaction.endedAt).toBeUndefined();
  });

  it('aborts in three phases what no ballot was opened for, and no ballot is opened afterwards', () => {
    const log = after({ ...TWO, protocol: '3pc' }, resolve('abort', { reports: reports(['yes', 'yes']) }));
    expect(log.transaction).toMatchObject({ decision: 'abort', cause: { reason: 'OPERATOR' } });
    expect(log.refusal(preCommit)).toBe('DECIDED');
  });

  it('ends one branch against what a ballot decided', () => {
    const log = after(
      { ...TWO, protocol: '3pc' },
      preCommit,
      decideByBallot,
      resolve('abort', { ...branch(2), ...force }),
    );
    expect(log.transaction).toMatchObject({ decision: 'commit', branches: [{}, { ruling: 'abort' }] });
  });

  it('commits what every branch has voted for', () => {
    expect(after(TWO, resolve('commit', { reports: reports(['yes', 'read-only']) })).transaction).toMatchObject({
      decision: 'commit',
      outcome: 'committed',
      branches: [{ vote: 'yes' }, { vote: 'read-only', end: 'read-only' }],
    });
  });

  it('commits by force what its client left behind, when all of it is prepared', () => {
    const { transaction } = after(OPEN, enlist(1, 'yes'), resolve('commit', force));
    expect(transaction).toMatchObject({ decision: 'commit', closed: true, rulings: [{ force: true }] });
  });

  it('ends one branch against the decision, which stays what it is', () => {
    const log = after(...COMMITTED, resolve('abort', { ...branch(2), ...force }), done(1, 'committed'));
    expect(log.transaction).toMatchObject({
      decision: 'commit',
      outcome: 'committed',
      branches: [{}, { ruling: 'abort' }],
    });
    log.apply(done(2, 'heuristic-rollback'));
    expect(log.transaction).toMatchObject({ decision: 'commit', outcome: 'mixed' });
    expect(log.transaction.endedAt).toBeUndefined();
  });

  it('changes nothing that the decision had done before', () => {
    const { transaction } = after(
      ...COMMITTED,
      resolve('abort', { ...branch(2), ...force }),
      done(1, 'committed'),
      done(2, 'committed'),
    );
    expect(transaction).toMatchObject({ outcome: 'committed', endedAt: AT + 20 });
  });

  it('lets a transaction end in spite of its hazard', () => {
    const log = after(...COMMITTED, done(1, 'heuristic-rollback'), done(2, 'committed'), resolve('forget'));
    expect(log.transaction).toMatchObject({ outcome: 'mixed', endedAt: AT + 20, rulings: [{ effect: 'forgotten' }] });
    expect([log.state.openCount, log.state.unpublishedCount]).toEqual([0, 1]);
  });

  it('forgets one hazard, and still waits for the other branch', () => {
    const log = after(...COMMITTED, done(1, 'heuristic-rollback'), resolve('forget', branch(1)));
    expect(log.transaction.endedAt).toBeUndefined();
    expect(log.apply(done(2, 'committed')).transaction).toMatchObject({ outcome: 'mixed', endedAt: AT + 20 });
  });

  it('leaves a commit mixed when a branch was never heard of', () => {
    const log = after(...COMMITTED, done(1, 'committed'), resolve('forget', { ...branch(2), ...force }));
    expect(log.transaction).toMatchObject({ outcome: 'mixed', endedAt: AT + 20 });
  });

  it('leaves an abort aborted when a branch was never heard of', () => {
    const { transaction } = after(...ABORTED, resolve('forget', force));
    expect(transaction).toMatchObject({ outcome: 'aborted', endedAt: AT + 20 });
  });

  it('leaves a commit committed when a forgotten branch is heard of in time', () => {
    const log = after(...COMMITTED, resolve('forget', { ...branch(1), ...force }), done(1, 'committed'));
    expect(log.apply(done(2, 'committed')).transaction).toMatchObject({ outcome: 'committed', endedAt: AT + 20 });
  });

  it('survives a snapshot', () => {
    const log = after(...COMMITTED, resolve('abort', { ...branch(2), ...force, idempotency: CLAIM }));
    const copy = new DecisionState(new PlainEndedTransactions());
    copy.restoreSnapshot(
      JSON.parse(JSON.stringify(log.state.takeSnapshot())) as ReturnType<DecisionState['takeSnapshot']>,
    );
    expect(copy.takeSnapshot()).toEqual(log.state.takeSnapshot());
    expect(copy.findClaim('key-1')?.transaction.rulings).toHaveLength(1);
  });
});

describe('rulings on branches of forgotten transactions', () => {
  const EXPIRED: LogRecord = { type: 'expire', before: AT + 1 };
  const old = (action: RulingAction, number: number, changes: Partial<ResolveRecord> = {}): ResolveRecord =>
    resolve(action, { ...branch(number), participant: 'bank-1', ...changes });

  it.each<[string, readonly LogRecord[], ResolveRecord, Refusal]>([
    ['of a transaction that cannot have been forgotten', [], old('commit', 1), 'UNKNOWN_TRANSACTION'],
    ['that nobody has asked about', [EXPIRED], resolve('commit', branch(1)), 'UNKNOWN_TRANSACTION'],
    ['without its id', [EXPIRED], resolve('commit', { participant: 'bank-1' }), 'BRANCH_NEEDED'],
    ['twice alike', [EXPIRED, old('commit', 1)], old('commit', 1), 'NOTHING_TO_DO'],
    ['AC2 twice differently', [EXPIRED, old('commit', 1)], old('abort', 1, force), 'CONTRADICTS_DECISION'],
    ['AC1 differently from another', [EXPIRED, old('commit', 1)], old('abort', 2), 'CONTRADICTS_DECISION'],
  ])('are refused for one %s', (_name, before, record, refusal) => {
    expect(after(...before).refusal(record)).toBe(refusal);
  });

  it('stand, in snapshots too, until the retention ends', () => {
    const log = after(EXPIRED, old('abort', 1), old('forget', 2), old('abort', 2), old('commit', 3, force));
    const copy = new DecisionState(new PlainEndedTransactions());
    copy.restoreSnapshot(log.state.takeSnapshot());
    const actions = [1, 2, 3].map((number) => copy.oldRulings.get(idOf(1, number))?.action);
    expect(actions).toEqual(['abort', 'abort', 'commit']);
    copy.apply({ type: 'expire', before: AT + 21 }, 99);
    expect(copy.oldRulings.get(idOf(1, 1))).toBeUndefined();
  });

  it('are bounded: the oldest goes', () => {
    const log = after(EXPIRED);
    for (let number = 1; number <= MAXIMUM_OLD_RULINGS + 1; number++) log.apply(old('commit', number));
    expect(log.state.oldRulings.get(idOf(1, 1))).toBeUndefined();
    expect(log.state.oldRulings.get(idOf(1, 2))).toBeDefined();
  });
});

describe('the leader and a ruling', () => {
  function committed(): LeaderDriver {
    const driver = new LeaderDriver().begun(TWO).vote(1, 'yes').vote(2, 'yes').applyAll();
    driver.takeSent();
    return driver;
  }

  it('tells an abort by an operator like any other, and its own decision comes too late', () => {
    const driver = new LeaderDriver().begun(TWO).vote(1, 'yes');
    driver.propose(resolve('abort', { reports: driver.machine!.reportsFor('abort') })).vote(2, 'yes');
    expect(driver.proposed()).toEqual(['resolve', 'decide commit']);
    driver.applyAll();
    expect(driver.takeSent()).toEqual(['abort 1', 'abort 2']);
    expect(driver.transaction.decision).toBe('abort');
  });

  it('comes too late behind the decision', () => {
    const driver = new LeaderDriver().begun(TWO).vote(1, 'yes').vote(2, 'yes').propose(resolve('abort')).applyAll();
    expect(driver.transaction).toMatchObject({ decision: 'commit' });
    expect(driver.transaction.rulings).toBeUndefined();
  });

  it('tells one branch the ruling and the other the decision, again and again, over a fail-over too', () => {
    const driver = committed()
      .propose(resolve('abort', { ...branch(2), ...force }))
      .applyAll();
    expect(driver.takeSent()).toEqual(['commit 1', 'ruling 2']);
    driver.handle({ type: 'resend' }).handle({ type: 'inquiry', branchId: idOf(1, 2), participant: 'bank-2' });
    expect(driver.takeSent()).toEqual(['commit 1', 'ruling 2', 'ruling 2']);
    driver.failOver();
    expect(driver.takeSent()).toEqual(['commit 1', 'ruling 2']);
    driver.ended(1, 'committed').ended(2, 'heuristic-rollback').flushDone().applyAll();
    expect(driver.transaction.outcome).toBe('mixed');
    expect(driver.alerts).toEqual([expect.stringContaining('heuristic-rollback, against the decision')]);
    expect(driver.resend).toBeUndefined();
  });

  it('does not rule what has said how it ended, although the log does not know it yet', () => {
    const driver = committed()
      .ended(2, 'committed')
      .propose(resolve('abort', { ...branch(2), ...force }))
      .applyAll();
    expect(driver.takeSent()).toEqual(['commit 1']);
    driver.ended(1, 'committed').flushDone().applyAll();
    expect(driver.transaction.outcome).toBe('committed');
  });

  it('sends nothing more to forgotten branches, and answers one that comes back', () => {
    const driver = committed().ended(1, 'committed').flushDone().propose(resolve('forget', force)).applyAll();
    expect(driver.resend).toBeUndefined();
    expect(driver.transaction).toMatchObject({ outcome: 'mixed', endedAt: AT + 20 });
    driver.handleEnded({ type: 'inquiry', branchId: idOf(1, 2), participant: 'bank-2' });
    expect(driver.takeSent()).toEqual(['commit 2']);
    const message = { type: 'done', ...branch(2), transactionId: idOf(1), participant: 'bank-2' } as const;
    driver.handleEnded({ type: 'done', message: { ...message, end: 'committed' } });
    expect(driver.done).toEqual([]);
  });
});
