import { describe, expect, it } from '@jest/globals';
import { COORDINATOR_PROPOSER, FIRST_BALLOT, type Ballot } from '../ballots/ballot.js';
import type { Refusal } from './apply-result.js';
import { DecisionState } from './decision-state.js';
import { PlainEndedTransactions } from '../testing/plain-ended-transactions.js';
import type { BallotBasis, BranchReport, DecideRecord, LogRecord, PreCommitRecord } from './records.js';
import { AT, beginOf, branchOf, idOf, preparedBranch } from '../testing/leader-driver.js';
import type { BranchEnd, Decision, Vote } from '../vocabulary/types.js';
import { TWO, decide, COMMIT_REQUESTED, after } from '../testing/decision-machine.js';

describe('protocol 6: the replicated state and ballots', () => {
  const THREE = beginOf([branchOf(1), branchOf(2), branchOf(3)], { protocol: '3pc' });
  const PREPARED = beginOf([preparedBranch(1), preparedBranch(2)], { protocol: '3pc', closed: false });
  const ALL = ['yes', 'yes', 'yes'] as const;
  const READ_ONLY = ['read-only', 'read-only', 'read-only'] as const;
  const round = (number: number): Ballot => ({ round: number, proposer: COORDINATOR_PROPOSER });
  const preCommit = (
    votes: readonly Vote[] = ALL,
    ballot: Ballot = FIRST_BALLOT,
    changes: Partial<PreCommitRecord> = {},
  ): PreCommitRecord => {
    const reports = votes.map((vote, i): BranchReport => ({ branchId: idOf(1, i + 1), vote }));
    return { type: 'pre-commit', transactionId: idOf(1), ballot, reports, at: AT + 4, ...changes };
  };
  const next = (number: number): PreCommitRecord => preCommit([], round(number));
  const byBallot = (number: number, ...branches: readonly number[]): { basis: BallotBasis } => {
    return { basis: { type: 'ballot', ballot: round(number), acceptedBy: branches.map((branch) => idOf(1, branch)) } };
  };
  const byBranch = (branch: number): { basis: BallotBasis } => {
    return { basis: { type: 'branches', toldBy: idOf(1, branch) } };
  };
  const twice: BranchReport[] = [1, 1, 2].map((branch) => ({ branchId: idOf(1, branch), vote: 'read-only' }));

  it.each<[string, readonly LogRecord[], LogRecord, Refusal]>([
    ['a ballot of an unknown transaction', [], preCommit(), 'UNKNOWN_TRANSACTION'],
    ['a ballot in two phases', [TWO], preCommit(['yes', 'yes']), 'BALLOT_REFUSED'],
    ['a ballot before the set of branches is fixed', [PREPARED], preCommit(['yes', 'yes']), 'BALLOT_REFUSED'],
    [
      'a ballot about a delegated commit',
      [beginOf([branchOf(1)], { protocol: '3pc', delegateTo: idOf(1, 1) })],
      preCommit(['yes']),
      'BALLOT_REFUSED',
    ],
    ['a ballot without acceptors', [beginOf([], { protocol: '3pc' })], preCommit([]), 'BALLOT_REFUSED'],
    ['a ballot of a branch', [THREE], preCommit(ALL, { round: 0, proposer: 1 }), 'BALLOT_REFUSED'],
    ['a first ballot that is not the first round', [THREE], preCommit(ALL, round(1)), 'BALLOT_REFUSED'],
    ['the first ballot twice', [THREE, preCommit()], preCommit(), 'BALLOT_REFUSED'],
    ['a later ballot twice', [THREE, preCommit(), next(4)], next(4), 'BALLOT_REFUSED'],
    ['a ballot below the last one', [THREE, preCommit(), next(4)], next(3), 'BALLOT_REFUSED'],
    ['a ballot beyond the last round', [THREE, preCommit()], next(2 ** 31), 'BALLOT_REFUSED'],
    ['a later ballot of a branch', [THREE, preCommit()], preCommit([], { round: 4, proposer: 2 }), 'BALLOT_REFUSED'],
    ['a ballot without one vote', [THREE], preCommit(['yes', 'yes']), 'VOTES_MISSING'],
    ['a ballot without votes', [THREE], preCommit([]), 'VOTES_MISSING'],
    ['a ballot after a no', [THREE], preCommit(['yes', 'no', 'yes']), 'VOTES_MISSING'],
    [
      'a ballot with votes of enlistment only, which bind no acceptor',
      [PREPARED, COMMIT_REQUESTED],
      preCommit([]),
      'VOTES_MISSING',
    ],
    ['a ballot after a commit', [THREE, preCommit(), decide('commit', [], byBranch(1))], next(1), 'DECIDED'],
    ['a ballot after an abort', [THREE, decide('abort')], preCommit(), 'DECIDED'],

    ['a commit without a ballot', [THREE], decide('commit', ALL), 'BALLOT_UNDECIDED'],
    ['a commit without a ballot, by a majority', [THREE], decide('commit', ALL, byBallot(0, 1, 2)), 'BALLOT_UNDECIDED'],
    ['a commit without a ballot, told by a branch', [THREE], decide('commit', ALL, byBranch(1)), 'BALLOT_UNDECIDED'],
    [
      'a commit without a ballot when one branch holds something',
      [THREE],
      decide('commit', ['read-only', 'read-only', 'yes']),
      'BALLOT_UNDECIDED',
    ],
    [
      'a commit without a ballot when a branch was enlisted with more than reading',
      [PREPARED, COMMIT_REQUESTED],
      decide('commit', [], { reports: twice.slice(0, 2) }),
      'BALLOT_UNDECIDED',
    ],
    ['a commit without votes', [THREE], decide('commit'), 'VOTES_MISSING'],
    ['a commit by nobody', [THREE, preCommit()], decide('commit'), 'BALLOT_UNDECIDED'],
    ['a commit by half', [THREE, preCommit()], decide('commit', [], byBallot(0, 2)), 'BALLOT_UNDECIDED'],
    [
      'a commit by one that is counted twice',
      [THREE, preCommit()],
      decide('commit', [], byBallot(0, 2, 2)),
      'BALLOT_UNDECIDED',
    ],
    ['a commit by strangers', [THREE, preCommit()], decide('commit', [], byBallot(0, 2, 8, 9)), 'BALLOT_UNDECIDED'],
    [
      'a commit by an earlier ballot',
      [THREE, preCommit(), next(3)],
      decide('commit', [], byBallot(0, 1, 2, 3)),
      'BALLOT_UNDECIDED',
    ],
    [
      'a commit by a ballot that is not in the log',
      [THREE, preCommit()],
      decide('commit', [], byBallot(1, 1, 2, 3)),
      'BALLOT_UNDECIDED',
    ],
    ['a commit told by a stranger', [THREE, preCommit()], decide('commit', [], byBranch(9)), 'BALLOT_UNDECIDED'],
    ['an abort after the first ballot', [THREE, preCommit()], decide('abort'), 'BALLOT_UNDECIDED'],
    ['an abort by half', [THREE, preCommit(), next(1)], decide('abort', [], byBallot(1, 3)), 'BALLOT_UNDECIDED'],
    [
      'an abort by the first ballot, in which nothing but commit is proposed',
      [THREE, preCommit()],
      decide('abort', [], byBallot(0, 1, 2, 3)),
      'BALLOT_UNDECIDED',
    ],
    ['an abort told by a stranger', [THREE, preCommit()], decide('abort', [], byBranch(9)), 'BALLOT_UNDECIDED'],
    [
      'a second decision, told by a branch',
      [THREE, preCommit(), decide('commit', [], byBallot(0, 1, 2))],
      decide('abort', [], byBranch(1)),
      'DECIDED',
    ],
  ])('refuses %s', (_name, before, record, refusal) => {
    expect(after(...before).refusal(record)).toBe(refusal);
  });

  it.each<[string, readonly LogRecord[], DecideRecord, readonly (BranchEnd | undefined)[]]>([
    ['a commit by a majority', [preCommit()], decide('commit', [], byBallot(0, 1, 3)), []],
    ['a commit that a branch tells of', [preCommit()], decide('commit', [], byBranch(2)), []],
    ['a commit by a later ballot', [preCommit(), next(7)], decide('commit', [], byBallot(7, 2, 3)), []],
    ['an abort by a later ballot', [preCommit(), next(7)], decide('abort', [], byBallot(7, 2, 3)), []],
    ['an abort that a branch tells of', [preCommit()], decide('abort', [], byBranch(2)), []],
    ['an abort before any ballot', [], decide('abort', ['yes']), []],
    ['an abort before any ballot, told by a branch', [], decide('abort', ['yes'], byBranch(2)), []],
    ['a commit of what only read', [], decide('commit', READ_ONLY), ['read-only', 'read-only', 'read-only']],
    [
      'an abort under ballot of what only read in part',
      [preCommit(['yes', 'read-only', 'yes'])],
      decide('abort', [], byBranch(1)),
      [undefined, 'read-only', undefined],
    ],
  ])('takes %s', (_name, before, record, ends) => {
    const machine = after(THREE, ...before);
    expect(machine.refusal(record)).toBeUndefined();
    expect(machine.transaction?.decision).toBe(record.decision);
    if (ends.length > 0) expect(machine.transaction?.branches.map(({ end }) => end)).toEqual(ends);
  });

  it('keeps votes and results of the first ballot until the decision', () => {
    const first = preCommit(ALL);
    const reports = first.reports.map((report, i) => ({ ...report, results: [i] }));
    const machine = after(THREE, { ...first, reports }, next(2), decide('commit', [], byBranch(3)));
    expect(machine.transaction).toMatchObject({
      preCommit: round(2),
      branches: [
        { vote: 'yes', results: [0] },
        { vote: 'yes', results: [1] },
        { vote: 'yes', results: [2] },
      ],
    });
  });

  it('takes votes that branches gave as acceptors after they were enlisted with them', () => {
    const machine = after(PREPARED, COMMIT_REQUESTED);
    expect(machine.refusal(preCommit(['yes', 'yes']))).toBeUndefined();
    expect(machine.refusal(decide('commit', [], byBallot(0, 1, 2)))).toBeUndefined();
  });

  it('goes on from a snapshot under ballot as it would have without', () => {
    const machine = after(THREE, preCommit(), next(2));
    const text = JSON.stringify(machine.state.takeSnapshot());
    machine.state.restoreSnapshot(JSON.parse(text) as ReturnType<DecisionState['takeSnapshot']>);
    expect(machine.refusal(next(2))).toBe('BALLOT_REFUSED');
    expect(machine.refusal(decide('abort'))).toBe('BALLOT_UNDECIDED');
    expect(machine.refusal(next(3))).toBeUndefined();
    expect(machine.refusal(decide('abort', [], byBallot(3, 1, 2)))).toBeUndefined();
  });

  it('keeps what the handlers returned with a commit, and of an abort nothing', () => {
    const reports = preCommit().reports.map((report): BranchReport => ({ ...report, results: ['done'] }));
    const begun = [THREE, preCommit(ALL, FIRST_BALLOT, { reports })];
    const resultsAfter = (decision: Decision): unknown[] => {
      const state = new DecisionState(new PlainEndedTransactions());
      const decide: LogRecord = {
        type: 'decide',
        transactionId: idOf(1),
        decision,
        reports: [],
        at: AT + 6,
        ...byBranch(2),
      };
      for (const [index, record] of [...begun, decide].entries())
        expect(state.apply(record, index + 1).refusal).toBeUndefined();
      return state.find(idOf(1))!.branches.map(({ results }) => results);
    };
    expect(resultsAfter('commit')).toEqual([['done'], ['done'], ['done']]);
    expect(resultsAfter('abort')).toEqual([undefined, undefined, undefined]);
  });
});
