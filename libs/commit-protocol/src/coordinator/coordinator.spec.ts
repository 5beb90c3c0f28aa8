import { describe, expect, it } from '@jest/globals';
import { LIMITS } from '../vocabulary/limits.js';
import { delegate } from '../log/transaction-state.js';
import type { DoneMessage } from '../vocabulary/messages.js';
import type { DecideRecord } from '../log/records.js';
import { AT, DEADLINE, LeaderDriver, beginOf, branchOf, idOf, preparedBranch } from '../testing/leader-driver.js';
import type { AbortReason, BranchEnd, Vote } from '../vocabulary/types.js';

const TWO = beginOf([branchOf(1), branchOf(2)]);
const OPEN = beginOf([branchOf(1), branchOf(2)], { closed: false });
const DELEGATED = beginOf([branchOf(1)], { delegateTo: idOf(1, 1) });

function doneOf(end: BranchEnd): DoneMessage {
  return { type: 'done', transactionId: idOf(1), branchId: idOf(1, 1), participant: 'bank-1', end };
}

function leader(): LeaderDriver {
  return new LeaderDriver();
}

/** Decided to commit, told to both branches. */
function committed(votes: readonly [Vote, Vote] = ['yes', 'yes']): LeaderDriver {
  const driver = leader().begun(TWO).vote(1, votes[0]).vote(2, votes[1]).applyAll();
  driver.sent = [];
  return driver;
}

function aborted(): LeaderDriver {
  const driver = leader().begun(TWO).vote(1, 'yes').handle({ type: 'deadline' }).applyAll();
  driver.sent = [];
  return driver;
}

function decisionIn(driver: LeaderDriver): DecideRecord {
  const record = driver.inFlight.find((candidate): candidate is DecideRecord => candidate.type === 'decide');
  if (!record) throw new Error('no decision is proposed');
  return record;
}

describe('protocol 3: what is applied before which message leaves', () => {
  it('3.1 prepare leaves together with the proposal of Begin', () => {
    const driver = leader().begin(TWO);
    expect(driver.proposed()).toEqual(['begin']);
    expect(driver.takeSent()).toEqual(['prepare 1', 'prepare 2']);
  });

  it('3 no commit message leaves before Decide is applied', () => {
    const driver = leader().begun(TWO).vote(1, 'yes').vote(2, 'yes');
    expect(driver.proposed()).toEqual(['decide commit']);
    driver.handle({ type: 'resend' }).handle({ type: 'inquiry', branchId: idOf(1, 1), participant: 'bank-1' });
    expect(driver.takeSent()).toEqual([]);
    driver.applyAll();
    expect(driver.takeSent()).toEqual(['commit 1', 'commit 2']);
  });

  it('3 no abort message leaves before Decide is applied', () => {
    const driver = leader().begun(TWO).vote(1, 'yes').vote(2, 'no');
    expect([driver.proposed(), driver.takeSent()]).toEqual([['decide abort'], []]);
    driver.applyAll();
    expect(driver.takeSent()).toEqual(['abort 1']);
  });

  it('3 votes that overtake Begin are counted, and Decide is proposed behind it', () => {
    const driver = leader().begin(TWO).vote(1, 'yes').vote(2, 'yes');
    expect(driver.proposed()).toEqual(['begin', 'decide commit']);
    driver.takeSent();
    driver.applyNext();
    expect(driver.takeSent()).toEqual([]);
    driver.applyNext();
    expect(driver.takeSent()).toEqual(['commit 1', 'commit 2']);
  });

  it('3 commit-one-phase waits for Begin with Delegate', () => {
    const driver = leader().begin(DELEGATED).handle({ type: 'resend' });
    expect(driver.takeSent()).toEqual([]);
    driver.applyAll();
    expect(driver.takeSent()).toEqual(['commit-one-phase 1']);
  });

  it('3 a transaction ends when all its branches are done, not before', () => {
    const driver = committed().ended(1, 'committed').flushDone().applyAll();
    expect(driver.transaction.endedAt).toBeUndefined();
    driver.ended(2, 'committed').flushDone().applyAll();
    expect(driver.transaction).toMatchObject({ outcome: 'committed', endedAt: AT });
    expect(driver.resend).toBeUndefined();
  });

  it('3 an inquiry about a proposal in flight waits', () => {
    const driver = leader().begin(TWO);
    driver.takeSent();
    driver.handle({ type: 'inquiry', branchId: idOf(1, 9), participant: 'bank-9' });
    driver.handle({ type: 'inquiry', branchId: idOf(1, 1), participant: 'bank-1' });
    expect(driver.takeSent()).toEqual([]);
  });

  it('3 an inquiry before the decision waits, and after it is answered', () => {
    const driver = leader()
      .begun(TWO)
      .handle({ type: 'inquiry', branchId: idOf(1, 1), participant: 'bank-1' });
    expect(driver.takeSent()).toEqual([]);
    const decided = committed().handle({ type: 'inquiry', branchId: idOf(1, 1), participant: 'bank-1' });
    expect(decided.takeSent()).toEqual(['commit 1']);
  });

  it('3 a branch that a closed transaction does not have is presumed aborted; an open one may still get it', () => {
    const inquiry = { type: 'inquiry', branchId: idOf(1, 9), participant: 'bank-9' } as const;
    expect(leader().begun(TWO).handle(inquiry).takeSent()).toEqual(['abort 9']);
    expect(committed().handle(inquiry).takeSent()).toEqual(['abort 9']);
    expect(leader().begun(OPEN).handle(inquiry).takeSent()).toEqual([]);
  });
});

describe('protocol 4: the leader', () => {
  it('4.1 a new leader sends an undecided transaction again, marked as a repeat and with its own epoch', () => {
    const driver = leader().begun(TWO).vote(1, 'yes').failOver();
    expect(driver.sent).toMatchObject([
      { type: 'prepare', branchId: idOf(1, 1), attempt: 1, epoch: { term: 2 } },
      { type: 'prepare', branchId: idOf(1, 2), attempt: 1, epoch: { term: 2 } },
    ]);
  });

  it('4.1 a new leader tells what is decided', () => {
    const driver = committed().failOver();
    expect(driver.takeSent()).toEqual(['commit 1', 'commit 2']);
    expect(driver.resend).toBe(0);
  });

  it('4.2 prepare is sent again to branches without a vote only, later each time', () => {
    const driver = leader().begin(TWO).vote(1, 'yes');
    expect(driver.sent.map((message) => 'attempt' in message && message.attempt)).toEqual([0, 0]);
    driver.takeSent();
    driver.handle({ type: 'resend' });
    expect(driver.sent).toMatchObject([{ type: 'prepare', branchId: idOf(1, 2), attempt: 1 }]);
    expect(driver.resend).toBe(1);
    driver.handle({ type: 'resend' });
    expect(driver.resend).toBe(2);
  });

  it('4.2 past the deadline abort is proposed, naming who is missing', () => {
    const driver = leader().begun(TWO).vote(1, 'yes').handle({ type: 'deadline' });
    expect(decisionIn(driver)).toMatchObject({
      decision: 'abort',
      cause: { reason: 'DEADLINE_EXCEEDED', detail: expect.stringContaining('bank-2') },
    });
    expect(driver.applyAll().takeSent()).toEqual(['abort 1', 'abort 2']);
  });

  it('4.2 past the deadline of an open transaction abort is proposed; branches never asked have nothing to undo', () => {
    const begin = beginOf([branchOf(1), preparedBranch(2)], { closed: false });
    const driver = leader().begun(begin).handle({ type: 'deadline' });
    expect(decisionIn(driver).cause?.detail).toContain('not requested');
    expect(driver.applyAll().takeSent()).toEqual(['abort 2']);
    expect(driver.endOf(1)).toBe('aborted');
  });

  it('4.2 a transaction whose keys never became free is aborted as such, and its work was never sent', () => {
    const driver = new LeaderDriver(idOf(1), false).begun(TWO).handle({ type: 'resend' });
    expect(driver.takeSent()).toEqual([]);
    expect(decisionIn(driver.handle({ type: 'deadline' })).cause?.reason).toBe('ADMISSION_TIMEOUT');
  });

  it('4.2 the decision is sent for ever, later each time, to branches that are not done', () => {
    const driver = committed().ended(1, 'committed');
    for (let attempt = 1; attempt <= 50; attempt++) {
      driver.handle({ type: 'resend' });
      expect(driver.sent).toMatchObject([{ type: 'decision', branchId: idOf(1, 2), attempt }]);
      expect(driver.resend).toBe(attempt);
      driver.takeSent();
    }
    expect(driver.ended(2, 'committed').resend).toBeUndefined();
    expect(driver.handle({ type: 'resend' }).takeSent()).toEqual([]);
  });

  it('4.3 votes live in the memory of the leader; a new one asks again and decides on the answers', () => {
    const driver = leader().begun(TWO).vote(1, 'yes').failOver();
    expect(driver.reportOf(idOf(1, 1))).toBeUndefined();
    expect(driver.vote(2, 'yes').proposed()).toEqual([]);
    expect(driver.vote(1, 'yes').proposed()).toEqual(['decide commit']);
  });

  it('4.3 enlisted branches and their early votes survive a fail-over', () => {
    const driver = leader().begun(beginOf([], { closed: false }));
    for (const branch of [preparedBranch(1), preparedBranch(2)]) {
      driver.propose({ type: 'enlist', transactionId: idOf(1), branch, at: AT });
    }
    driver.applyAll().failOver().handle({ type: 'commit' });
    expect(driver.proposed()).toEqual(['commit-requested']);
    driver.applyNext();
    expect(driver.proposed()).toEqual(['decide commit']);
    expect(driver.applyAll().takeSent()).toEqual(['commit 1', 'commit 2']);
  });

  it('4.4 the opposite of a proposal in flight is never proposed', () => {
    const driver = leader().begun(TWO).vote(1, 'yes').vote(2, 'yes');
    driver.handle({ type: 'deadline' }).handle({ type: 'abort', cause: { reason: 'CLIENT_ABORTED', detail: '' } });
    driver.vote(2, 'no').ended(1, 'aborted').handle({ type: 'commit' }).handle({ type: 'resend' });
    expect(driver.proposed()).toEqual(['decide commit']);
    expect(driver.applyAll().transaction.decision).toBe('commit');
  });

  it('4.4 a proposal that certainly failed is made again, and may then be another', () => {
    const driver = leader().begun(TWO).vote(1, 'yes').vote(2, 'yes').failNext();
    expect([driver.proposed(), driver.resend]).toEqual([[], 0]);
    expect(driver.handle({ type: 'resend' }).proposed()).toEqual(['decide commit']);
    driver.failNext().handle({ type: 'deadline' });
    expect(driver.proposed()).toEqual(['decide abort']);
  });

  it('4.4 what a former leader had logged is what a new one tells', () => {
    const driver = leader().begun(TWO).vote(1, 'yes').vote(2, 'yes');
    driver.applyAll();
    driver.takeSent();
    driver.failOver().handle({ type: 'deadline' });
    expect(driver.takeSent()).toEqual(['commit 1', 'commit 2']);
    expect(driver.proposed()).toEqual([]);
  });

  it('4.5 until the decision the last vote of a branch counts', () => {
    const driver = leader().begun(TWO).vote(1, 'read-only').vote(1, 'yes').vote(2, 'read-only').applyAll();
    expect(driver.takeSent()).toEqual(['commit 1']);
    expect([driver.endOf(1), driver.endOf(2)]).toEqual([undefined, 'read-only']);
  });

  it('4.5 a no after a yes aborts as long as nothing is decided', () => {
    const driver = leader().begun(TWO).vote(1, 'yes').vote(1, 'no').applyAll();
    expect(driver.transaction).toMatchObject({ decision: 'abort', cause: { participant: 'bank-1' } });
  });

  it('4.5 a late yes is told the decision', () => {
    expect(committed().vote(1, 'yes').takeSent()).toEqual(['commit 1']);
    expect(aborted().vote(2, 'yes').takeSent()).toEqual(['abort 2']);
  });

  it('4.5 a late yes after read-only is told the decision', () => {
    expect(committed(['yes', 'read-only']).vote(2, 'yes').takeSent()).toEqual(['commit 2']);
  });

  it('4.5 a branch that voted no needs no abort', () => {
    const driver = leader().begun(TWO).vote(1, 'no').applyAll();
    expect(driver.takeSent()).toEqual(['abort 2']);
    expect(driver.endOf(1)).toBe('aborted');
  });

  it('4.5 duplicate votes are ignored', () => {
    const driver = leader().begun(TWO).vote(1, 'yes').vote(1, 'yes').vote(2, 'yes').vote(2, 'yes').vote(1, 'yes');
    expect(driver.proposed()).toEqual(['decide commit']);
  });

  it('4.5 no after commit is a broken promise: hazard, alert, and the transaction stays open', () => {
    const driver = committed().vote(1, 'no').ended(2, 'committed').flushDone().applyAll();
    expect(driver.alerts).toEqual([expect.stringContaining('voted no after it had voted yes')]);
    expect(driver.transaction.outcome).toBe('mixed');
    expect([driver.endOf(1), driver.transaction.endedAt]).toEqual(['heuristic-rollback', undefined]);
    expect([...driver.state.openTransactions()]).toHaveLength(1);
  });

  it('4.5 an old no that arrives after the branch has committed is no hazard, logged or not', () => {
    const driver = committed().ended(1, 'committed').vote(1, 'no');
    expect(driver.alerts).toEqual([]);
    driver.flushDone().applyAll().vote(1, 'no');
    expect([driver.alerts, driver.endOf(1)]).toEqual([[], 'committed']);
  });

  it('4.5 a no after read-only, or after abort, is no hazard', () => {
    expect(committed(['yes', 'read-only']).vote(2, 'no').alerts).toEqual([]);
    expect(aborted().vote(1, 'no').vote(2, 'no').alerts).toEqual([]);
  });

  it.each([
    ['a branch that is not of the transaction', { branchId: idOf(1, 9) }],
    ['another participant than the branch has', { participant: 'bank-9' }],
  ])('4.5 a vote or an end of %s is ignored', (_name, extra) => {
    const driver = leader().begun(TWO).vote(1, 'no', extra).ended(1, 'aborted', extra);
    expect([driver.proposed(), driver.alerts]).toEqual([[], []]);
    expect(committed().ended(1, 'aborted', extra).done).toEqual([]);
  });

  it('4.7 commit-one-phase is repeated until the participant answers', () => {
    const driver = leader().begin(DELEGATED).applyAll();
    driver.handle({ type: 'resend' }).handle({ type: 'resend' });
    expect(driver.sent).toMatchObject([0, 1, 2].map((attempt) => ({ type: 'commit-one-phase', attempt })));
    driver.takeSent();
    expect(driver.failOver().takeSent()).toEqual(['commit-one-phase 1']);
  });

  it('4.7 a delegated transaction is not aborted at its deadline, nor by a client or a vote', () => {
    const driver = leader().begun(DELEGATED).handle({ type: 'deadline' });
    driver
      .handle({ type: 'abort', cause: { reason: 'CLIENT_ABORTED', detail: '' } })
      .vote(1, 'no')
      .vote(1, 'yes');
    expect(driver.proposed()).toEqual([]);
    expect(driver.failOver().handle({ type: 'deadline' }).proposed()).toEqual([]);
  });

  it.each([
    ['committed', 'commit', 'committed'],
    ['read-only', 'commit', 'committed'],
    ['aborted', 'abort', 'aborted'],
  ] as const)('4.7 Decide records that the participant said %s', (end, decision, outcome) => {
    const driver = leader()
      .begun(DELEGATED)
      .ended(1, end, { results: [7] })
      .ended(1, end)
      .applyAll();
    expect(driver.transaction).toMatchObject({ decision, outcome, endedAt: AT });
    expect([driver.endOf(1), driver.takeSent(), driver.resend]).toEqual([end, [], undefined]);
    expect(driver.transaction.branches[0]!.results).toEqual(decision === 'commit' ? [7] : undefined);
  });

  it.each([
    ['committed', [expect.stringContaining('ended as heuristic-commit, against the decision')]],
    ['aborted', []],
    ['read-only', []],
  ] as const)('4.7 that the branch had said %s when it was given up is told, if it matters', (end, alerts) => {
    const given = { action: 'forget', force: true, operator: 'ann', reason: 'the bank is gone' } as const;
    const ruling = { type: 'resolve', transactionId: idOf(1), reports: [], at: AT + 600_000, ...given } as const;
    const before = leader().begun(DELEGATED).propose(ruling).ended(1, end).applyAll();
    expect([before.transaction.outcome, before.alerts]).toEqual(['mixed', alerts]);
    const after = leader().begun(DELEGATED).propose(ruling).applyAll();
    expect(after.handleEnded({ type: 'done', message: doneOf(end) }).alerts).toEqual(alerts);
    const inTime = leader().begun(DELEGATED).ended(1, end).propose(ruling).applyAll();
    expect([inTime.endOf(1), inTime.alerts]).toEqual([end, []]);
  });

  it('4.7 the commit of an interactive transaction with one branch is delegated when CommitRequested is applied', () => {
    const driver = leader().begun(beginOf([branchOf(1)], { closed: false }));
    driver.handle({ type: 'commit' });
    expect([driver.proposed(), driver.takeSent()]).toEqual([['commit-requested'], []]);
    expect(driver.applyAll().takeSent()).toEqual(['commit-one-phase 1']);
  });

  it('4.7 nothing is delegated when another branch was enlisted before CommitRequested', () => {
    const driver = leader().begun(beginOf([branchOf(1)], { closed: false }));
    driver.propose({ type: 'enlist', transactionId: idOf(1), branch: branchOf(2), at: AT });
    driver.handle({ type: 'commit' }).applyAll();
    expect(driver.transaction.delegatedTo).toBeUndefined();
    expect(driver.takeSent()).toEqual(['prepare 1', 'prepare 2']);
  });

  it.each(['voting', 'deciding'])(
    'when %s, it proposes and sends nothing once the log has decided, before it is told',
    (phase) => {
      const ruling = { action: 'abort', force: false, operator: 'ann', reason: 'late', reports: [] } as const;
      const driver = leader()
        .begun(TWO)
        .propose({ type: 'resolve', transactionId: idOf(1), at: AT, ...ruling });
      if (phase === 'deciding') driver.vote(1, 'yes').vote(2, 'yes');
      const { machine } = driver;
      driver.machine = undefined;
      driver.applyAll();
      driver.machine = machine;
      driver
        .handle({ type: 'admitted' })
        .handle({ type: 'deadline' })
        .handle({ type: 'resend' })
        .handle({ type: 'commit' });
      driver.handle({ type: 'abort', cause: { reason: 'CLIENT_ABORTED', detail: '' } });
      expect([driver.proposed(), driver.takeSent()]).toEqual([[], []]);
      driver.handle({ type: 'applied', transaction: driver.transaction });
      expect(driver.takeSent()).toEqual(['abort 1', 'abort 2']);
    },
  );

  it('a branch that is enlisted while CommitRequested is on its way does not have it proposed again', () => {
    const driver = leader().begun(OPEN);
    driver.propose({ type: 'enlist', transactionId: idOf(1), branch: branchOf(3), at: AT }).handle({ type: 'commit' });
    driver.applyNext();
    expect(driver.proposed()).toEqual(['commit-requested']);
    expect(driver.applyAll().takeSent()).toEqual(['prepare 1', 'prepare 2', 'prepare 3']);
  });

  it('4.7 all branches read-only: no phase two', () => {
    const driver = leader().begun(TWO).vote(1, 'read-only').vote(2, 'read-only').applyAll();
    expect(driver.takeSent()).toEqual([]);
    expect(driver.transaction).toMatchObject({ decision: 'commit', outcome: 'committed', endedAt: AT });
  });
});

describe('what a branch says', () => {
  it.each<[string, AbortReason]>([
    ['INVALID_PAYLOAD', 'INVALID_PAYLOAD'],
    ['LOCK_TIMEOUT', 'LOCK_TIMEOUT'],
    ['DEADLINE_EXCEEDED', 'DEADLINE_EXCEEDED'],
    ['INSUFFICIENT_FUNDS', 'PARTICIPANT_REFUSED'],
    ['constructor', 'PARTICIPANT_REFUSED'], // what every object has is no reason
    ['__proto__', 'PARTICIPANT_REFUSED'],
  ])('a no with %s aborts because of %s', (code, reason) => {
    const driver = leader()
      .begun(TWO)
      .vote(2, 'no', { error: { code, message: 'why' } });
    expect(decisionIn(driver).cause).toEqual({
      reason,
      detail: 'why',
      branchId: idOf(1, 2),
      participant: 'bank-2',
      participantCode: code,
    });
  });

  it('a branch that says it has aborted before any decision has voted no', () => {
    const driver = leader().begun(TWO).ended(1, 'aborted').applyAll();
    expect(driver.transaction.cause?.participantCode).toBe('ABORTED_BY_PARTICIPANT');
    expect(driver.takeSent()).toEqual(['abort 2']);
  });

  it('a branch that says it has committed before any decision raises an alert and decides nothing', () => {
    const driver = leader().begun(TWO).ended(1, 'committed');
    expect(driver.alerts).toEqual([expect.stringContaining('before any decision')]);
    expect(driver.proposed()).toEqual([]);
  });

  it('a branch that ended against the decision is a hazard, alerted once', () => {
    const driver = committed().ended(1, 'aborted').ended(1, 'aborted').flushDone().applyAll().ended(1, 'aborted');
    expect(driver.alerts).toHaveLength(1);
    expect([driver.endOf(1), driver.transaction.outcome]).toEqual(['heuristic-rollback', 'mixed']);
    const other = aborted().ended(1, 'committed').flushDone().applyAll();
    expect([other.endOf(1), other.transaction.outcome]).toEqual(['heuristic-commit', 'mixed']);
  });

  it('keeps results with a commit up to their limit, and none with an abort', () => {
    const driver = leader()
      .begun(TWO)
      .vote(1, 'yes', { results: ['small'] });
    driver.vote(2, 'yes', { results: ['x'.repeat(LIMITS.resultsBytes)] });
    expect(decisionIn(driver).reports.map(({ results }) => results)).toEqual([['small'], undefined]);
    const refused = leader()
      .begun(TWO)
      .vote(1, 'yes', { results: [1] })
      .vote(2, 'no');
    expect(decisionIn(refused).reports.map(({ results }) => results)).toEqual([undefined, undefined]);
  });
});

describe('the wish of a client', () => {
  it('an open transaction sends nothing until its commit is requested, applied and admitted', () => {
    const driver = leader().begun(OPEN).handle({ type: 'resend' });
    expect(driver.takeSent()).toEqual([]);
    driver.handle({ type: 'commit' }).handle({ type: 'commit' });
    expect([driver.proposed(), driver.takeSent()]).toEqual([['commit-requested'], []]);
    expect(driver.applyAll().takeSent()).toEqual(['prepare 1', 'prepare 2']);
  });

  it('a requested commit survives a fail-over', () => {
    const driver = leader().begun(OPEN).handle({ type: 'commit' }).applyAll();
    driver.takeSent();
    expect(driver.failOver().takeSent()).toEqual(['prepare 1', 'prepare 2']);
  });

  it('an abort is decided at once and told to who may have voted yes', () => {
    const driver = leader().begun(TWO);
    driver.handle({ type: 'abort', cause: { reason: 'CLIENT_ABORTED', detail: 'changed my mind' } }).applyAll();
    expect(driver.transaction).toMatchObject({ decision: 'abort', cause: { reason: 'CLIENT_ABORTED' } });
    expect(driver.takeSent()).toEqual(['abort 1', 'abort 2']);
  });

  it('an abort that comes while CommitRequested is in flight follows it', () => {
    const driver = leader().begun(OPEN).handle({ type: 'commit' });
    driver.handle({ type: 'abort', cause: { reason: 'CLIENT_ABORTED', detail: '' } });
    expect(driver.proposed()).toEqual(['commit-requested']);
    driver.applyNext();
    expect(driver.proposed()).toEqual(['decide abort']);
  });

  it('the deadline of prepare is the deadline of the transaction', () => {
    expect(leader().begin(TWO).sent).toMatchObject([{ deadline: DEADLINE }, { deadline: DEADLINE }]);
  });
});

describe('delegate', () => {
  it.each([
    ['one branch with work to do', [branchOf(1)], idOf(1, 1)],
    ['two branches', [branchOf(1), branchOf(2)], undefined],
    ['no branch', [], undefined],
    ['a branch without operations', [branchOf(1, { operations: [] })], undefined],
    ['a branch that was prepared already', [preparedBranch(1)], undefined],
  ])('4.7 %s', (_name, branches, expected) => {
    expect(delegate(branches)).toBe(expected);
  });
});
