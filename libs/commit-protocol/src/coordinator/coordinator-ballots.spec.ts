import { describe, expect, it } from '@jest/globals';
import { LIMITS } from '../vocabulary/limits.js';
import { AT, DEADLINE, LeaderDriver, beginOf, branchOf, idOf, preparedBranch } from '../testing/leader-driver.js';
import {
  THREE,
  OPEN,
  CLIENT,
  round,
  ofBranch,
  accepted,
  promised,
  outbid,
  decided,
  begun,
  voted,
  underBallot,
  takenOver,
  decisionIn,
  prepareFor,
  acceptorsIn,
} from '../testing/coordinator-ballot-steps.js';

describe('protocol 6: the first ballot', () => {
  it('is in the log before anybody is asked to accept', () => {
    const driver = voted();
    expect([driver.proposed(), driver.takeSent()]).toEqual([['pre-commit#0'], []]);
    driver.handle({ type: 'resend' });
    expect(driver.takeSent()).toEqual([]);
    driver.applyAll();
    expect(driver.transaction.preCommit).toEqual(round(0));
    const acceptors = acceptorsIn(driver);
    const request = { type: 'accept', ballot: round(0), value: 'commit' };
    expect(driver.sent).toEqual(
      acceptors.map((to) => ({ type: 'ballot-request', transactionId: idOf(1), ...to, request, acceptors })),
    );
    expect(driver.resend).toBe(0);
  });

  it('is not opened without all votes, nor after a no', () => {
    expect(begun().vote(1, 'yes').vote(2, 'yes').proposed()).toEqual([]);
    const refused = begun().vote(1, 'yes').vote(2, 'no').vote(3, 'yes');
    expect(refused.proposed()).toEqual(['decide abort']);
    expect(refused.applyAll().takeSent()).toEqual(['abort 1', 'abort 3']);
  });

  it('decides with a majority, which the log is told', () => {
    const driver = underBallot().answer(1, accepted(0));
    expect(driver.proposed()).toEqual([]);
    driver.answer(1, accepted(0)); // the same one does not count twice
    expect(driver.proposed()).toEqual([]);
    driver.answer(3, accepted(0));
    expect(decisionIn(driver)).toMatchObject({
      decision: 'commit',
      basis: { type: 'ballot', ballot: round(0), acceptedBy: [idOf(1, 1), idOf(1, 3)] },
    });
    expect(driver.takeSent()).toEqual([]);
    expect(driver.applyAll().takeSent()).toEqual(['commit 1', 'commit 2', 'commit 3']);
  });

  it('counts the acceptance of a branch that only read, which is told nothing more', () => {
    const driver = underBallot(['yes', 'read-only', 'read-only']).answer(2, accepted(0)).answer(3, accepted(0));
    expect(driver.proposed()).toEqual(['decide commit']);
    expect(driver.applyAll().takeSent()).toEqual(['commit 1']);
  });

  it('goes on at every resend with those who have not answered, and with no others', () => {
    const driver = underBallot().answer(2, accepted(0)).handle({ type: 'resend' });
    expect(driver.takeSent()).toEqual(['accept#0 1', 'accept#0 3']);
    expect(driver.resend).toBe(1);
    driver.handle({ type: 'resend' });
    expect([driver.takeSent(), driver.resend]).toEqual([['accept#0 1', 'accept#0 3'], 2]);
  });

  it('counts nobody for another ballot', () => {
    const driver = underBallot().answer(1, accepted(1)).answer(2, accepted(1)).answer(3, promised(0));
    expect([driver.proposed(), driver.takeSent()]).toEqual([[], []]);
  });

  it('is proposed again when it certainly did not get into the log', () => {
    const driver = voted().failNext();
    expect([driver.proposed(), driver.resend]).toEqual([[], 0]);
    expect(driver.handle({ type: 'resend' }).proposed()).toEqual(['pre-commit#0']);
    expect(driver.applyAll().takeSent()).toEqual(['accept#0 1', 'accept#0 2', 'accept#0 3']);
  });

  it('may be given up for an abort when it certainly did not get into the log', () => {
    const late = voted().failNext().handle({ type: 'abort', cause: CLIENT });
    expect(decisionIn(late)).toMatchObject({ decision: 'abort', cause: CLIENT });
    expect(decisionIn(late).basis).toBeUndefined();
    expect(late.applyAll().takeSent()).toEqual(['abort 1', 'abort 2', 'abort 3']);
  });

  it('stops everything else while the log may or may not have it', () => {
    const driver = voted();
    driver.now = DEADLINE;
    driver.handle({ type: 'deadline' }).handle({ type: 'abort', cause: CLIENT }).vote(2, 'no').ended(1, 'aborted');
    driver.handle({ type: 'resend' });
    expect([driver.proposed(), driver.takeSent()]).toEqual([['pre-commit#0'], []]);
  });

  it('refused by the log because an operator was faster, is given up', () => {
    const driver = begun().vote(1, 'yes').vote(2, 'yes');
    const ruling = { action: 'abort', operator: 'ann', reason: 'x', force: false, reports: [], at: AT } as const;
    driver.propose({ type: 'resolve', transactionId: idOf(1), ...ruling }).vote(3, 'yes');
    expect(driver.proposed()).toEqual(['resolve', 'pre-commit#0']);
    expect(driver.applyAll().takeSent()).toEqual(['abort 1', 'abort 2', 'abort 3']);
    expect(driver.transaction.preCommit).toBeUndefined();
  });

  it('is opened by a record that opens it, not by another one that comes first', () => {
    const driver = takenOver()
      .answer(1, outbid(1, ofBranch(2, 1)))
      .handle({ type: 'resend' });
    expect(driver.proposed()).toEqual(['pre-commit#3']);
    driver.handle({ type: 'applied', transaction: driver.transaction }); // something else was logged
    expect([driver.proposed(), driver.takeSent()]).toEqual([['pre-commit#3'], []]);
    expect(driver.applyAll().takeSent()).toEqual(['promise#3 1', 'promise#3 2', 'promise#3 3']);
  });
});

describe('protocol 6: what needs no ballot', () => {
  it('a commit of branches that only read', () => {
    const driver = voted(['read-only', 'read-only', 'read-only']);
    expect(driver.proposed()).toEqual(['decide commit']);
    driver.applyAll();
    expect(driver.takeSent()).toEqual([]);
    expect(driver.transaction).toMatchObject({ outcome: 'committed', endedAt: AT });
  });

  it('an abort before the first one: by the deadline, or by the client', () => {
    const late = begun().vote(1, 'yes').vote(2, 'yes').handle({ type: 'deadline' });
    expect(decisionIn(late)).toMatchObject({ decision: 'abort', cause: { reason: 'DEADLINE_EXCEEDED' } });
    expect(late.applyAll().takeSent()).toEqual(['abort 1', 'abort 2', 'abort 3']);
    const client = begun().vote(1, 'yes').handle({ type: 'abort', cause: CLIENT });
    expect(decisionIn(client)).toMatchObject({ decision: 'abort', cause: CLIENT });
  });

  it('a commit that is delegated to the only branch', () => {
    const only = beginOf([branchOf(1)], { protocol: '3pc', delegateTo: idOf(1, 1) });
    const driver = new LeaderDriver().begin(only).applyAll();
    expect(driver.takeSent()).toEqual(['commit-one-phase 1']);
    driver.answer(1, accepted(0)).branchesDecided(1, 'abort').handle({ type: 'deadline' });
    expect(driver.proposed()).toEqual([]);
    driver.ended(1, 'committed').applyAll();
    expect(driver.transaction).toMatchObject({ decision: 'commit', endedAt: AT });
  });
});

describe('protocol 6: from the first ballot on', () => {
  it('neither the deadline nor the client decides', () => {
    const driver = underBallot();
    driver.now = DEADLINE;
    driver.handle({ type: 'deadline' }).handle({ type: 'abort', cause: CLIENT });
    expect(driver.proposed()).toEqual([]);
    driver.handle({ type: 'resend' });
    expect([driver.proposed(), driver.takeSent()]).toEqual([[], ['accept#0 1', 'accept#0 2', 'accept#0 3']]);
    driver.answer(1, accepted(0)).answer(2, accepted(0)).applyAll();
    expect(driver.transaction).toMatchObject({ decision: 'commit' });
    expect(driver.transaction.cause).toBeUndefined();
  });

  it('votes change nothing any more, not even a no after a yes', () => {
    const driver = underBallot().vote(1, 'no').vote(2, 'yes');
    expect([driver.proposed(), driver.takeSent(), driver.alerts]).toEqual([[], [], []]);
    driver.answer(2, accepted(0)).answer(3, accepted(0)).applyAll().vote(1, 'no');
    expect(driver.alerts).toEqual([expect.stringContaining('voted no after it had voted yes')]);
    expect(driver.transaction.decision).toBe('commit');
  });

  it('results are kept with it, and shown once the commit is decided', () => {
    const driver = begun();
    for (const branch of [1, 2, 3]) driver.vote(branch, 'yes', { results: [branch] });
    driver.applyAll().failOver().applyAll(); // the votes were in the old leader's memory only
    driver.answer(1, promised(1)).answer(2, promised(1, { ballot: round(0), value: 'commit' }));
    driver.answer(1, accepted(1)).answer(2, accepted(1)).applyAll();
    expect(driver.transaction).toMatchObject({
      decision: 'commit',
      branches: [{ results: [1] }, { results: [2] }, { results: [3] }],
    });
  });

  it('results beyond the limit are not kept', () => {
    const driver = begun()
      .vote(1, 'yes', { results: ['x'.repeat(LIMITS.resultsBytes)] })
      .vote(2, 'yes', { results: ['small'] })
      .vote(3, 'yes')
      .applyAll();
    expect(driver.transaction.branches.map(({ results }) => results)).toEqual([undefined, undefined, undefined]);
  });

  it.each([
    ['before anything is asked', (): LeaderDriver => begun()],
    ['while the ballot is on its way into the log', (): LeaderDriver => voted()],
    ['under ballot', (): LeaderDriver => underBallot()],
    ['of a new leader', (): LeaderDriver => takenOver()],
    ['while the decision is on its way', () => underBallot().answer(1, accepted(0)).answer(2, accepted(0))],
  ])('6 an inquiry %s is answered undecided', (_when, make) => {
    const driver = make();
    driver.sent = [];
    expect(driver.inquire(2).takeSent()).toEqual(['undecided 2']);
  });

  it('an inquiry about what is not in the log yet waits; of a stranger it is presumed aborted', () => {
    const driver = new LeaderDriver().begin(THREE);
    driver.sent = [];
    expect(driver.inquire(1).takeSent()).toEqual([]);
    expect(driver.applyAll().inquire(9).takeSent()).toEqual(['abort 9']);
  });

  it('an inquiry about what is decided is answered with the decision', () => {
    const driver = underBallot().answer(1, accepted(0)).answer(2, accepted(0)).applyAll();
    driver.sent = [];
    expect(driver.inquire(3).takeSent()).toEqual(['commit 3']);
  });

  it('a branch that has ended by the decision of the branches tells the leader what it was', () => {
    expect(decisionIn(underBallot().ended(2, 'committed'))).toMatchObject({
      decision: 'commit',
      basis: { type: 'branches', toldBy: idOf(1, 2) },
    });
    expect(decisionIn(underBallot().ended(2, 'aborted'))).toMatchObject({
      decision: 'abort',
      basis: { type: 'branches', toldBy: idOf(1, 2) },
    });
  });

  it.each(['read-only', 'heuristic-rollback', 'heuristic-commit'] as const)(
    'an end as %s says nothing of a decision',
    (end) => {
      expect(underBallot().ended(2, end).proposed()).toEqual([]);
    },
  );
});

describe('protocol 6: what cannot be', () => {
  it('a commit of the branches that nobody has proposed is an alert and nothing else', () => {
    const driver = begun().vote(1, 'yes').branchesDecided(1, 'commit');
    expect(driver.alerts).toEqual([expect.stringContaining('which nobody has proposed')]);
    expect([driver.proposed(), driver.takeSent()]).toEqual([[], []]);
    expect(driver.vote(2, 'yes').vote(3, 'yes').proposed()).toEqual(['pre-commit#0']);
  });

  it('such a commit is not proposed either when the ballot did not get into the log after all', () => {
    const driver = voted().branchesDecided(1, 'commit').failNext().handle({ type: 'resend' });
    expect(driver.proposed()).toEqual(['pre-commit#0']);
  });

  it('an answer to a ballot that was not opened is not counted', () => {
    const driver = voted().answer(1, accepted(0)).answer(2, accepted(0)).answer(3, decided('commit'));
    expect(driver.proposed()).toEqual(['pre-commit#0']);
    driver.applyAll();
    expect(driver.proposed()).toEqual([]);
  });

  it.each<[string, (driver: LeaderDriver) => LeaderDriver]>([
    ['a stranger answers', (driver) => driver.answer(9, decided('abort')).answer(9, accepted(0))],
    ['another participant answers for a branch', (driver) => driver.answer(2, decided('abort'), 'bank-9')],
    ['a stranger knows the decision', (driver) => driver.branchesDecided(9, 'abort')],
    ['another participant knows the decision', (driver) => driver.branchesDecided(2, 'abort', 'bank-9')],
    ['another participant has ended', (driver) => driver.ended(2, 'aborted', { participant: 'bank-9' })],
  ])('%s: ignored', (_name, lie) => {
    const driver = lie(underBallot().answer(1, accepted(0)));
    expect([driver.proposed(), driver.alerts, driver.takeSent()]).toEqual([[], [], []]);
  });

  it('a branch that says it has promised a round out of reach outbids nobody', () => {
    const driver = underBallot().answer(2, outbid(0, ofBranch(2 ** 31 - 1, 2)));
    expect(driver.handle({ type: 'resend' }).proposed()).toEqual([]);
    expect(driver.answer(1, accepted(0)).answer(3, accepted(0)).proposed()).toEqual(['decide commit']);
  });

  it('in two phases nobody speaks of ballots', () => {
    const driver = new LeaderDriver().begun(beginOf([branchOf(1), branchOf(2)])).vote(1, 'yes');
    driver.branchesDecided(1, 'abort').answer(1, decided('abort')).inquire(1);
    expect([driver.proposed(), driver.takeSent()]).toEqual([[], []]);
  });
});

describe('protocol 6: branches that their service prepared', () => {
  function enlisted(): LeaderDriver {
    const driver = new LeaderDriver().begun(OPEN);
    const branches = [preparedBranch(1), preparedBranch(2, 'read-only'), branchOf(3)];
    for (const branch of branches) driver.propose({ type: 'enlist', transactionId: idOf(1), branch, at: AT });
    driver.applyAll().handle({ type: 'commit' }).applyAll();
    return driver;
  }

  it('are asked all the same, with all branches and what they were enlisted with', () => {
    const driver = enlisted();
    const acceptors = acceptorsIn(driver);
    expect(acceptors).toHaveLength(3);
    expect(prepareFor(driver, 1)).toMatchObject({ protocol: '3pc', acceptors, enlistedVote: 'yes', operations: [] });
    expect(prepareFor(driver, 2)).toMatchObject({ acceptors, enlistedVote: 'read-only' });
    expect(prepareFor(driver, 3)).toMatchObject({ acceptors });
    expect(prepareFor(driver, 3).enlistedVote).toBeUndefined();
    expect(driver.proposed()).toEqual([]);
  });

  it('count only with the vote that they give as acceptors', () => {
    const driver = enlisted().vote(3, 'yes').vote(1, 'yes');
    expect(driver.proposed()).toEqual([]);
    expect(driver.vote(2, 'read-only').proposed()).toEqual(['pre-commit#0']);
    driver.applyAll().answer(2, accepted(0)).answer(1, accepted(0)).applyAll();
    expect(driver.transaction).toMatchObject({ decision: 'commit', branches: [{}, { end: 'read-only' }, {}] });
  });

  it('are asked by a new leader again', () => {
    const driver = enlisted().vote(1, 'yes');
    driver.sent = [];
    expect(driver.failOver().takeSent()).toEqual(['prepare 1', 'prepare 2', 'prepare 3']);
  });

  it('that were enlisted with no need nothing', () => {
    const driver = new LeaderDriver().begun(OPEN);
    for (const branch of [branchOf(1), preparedBranch(2, 'no')]) {
      driver.propose({ type: 'enlist', transactionId: idOf(1), branch, at: AT });
    }
    driver.applyAll().handle({ type: 'commit' }).applyAll();
    expect(driver.applyAll().transaction).toMatchObject({ decision: 'abort' });
  });

  it('are a majority of themselves where there is only one', () => {
    const driver = new LeaderDriver().begun(OPEN);
    driver.propose({ type: 'enlist', transactionId: idOf(1), branch: preparedBranch(1), at: AT });
    driver.applyAll().handle({ type: 'commit' }).applyAll();
    expect(driver.takeSent()).toEqual(['prepare 1']);
    driver.vote(1, 'yes').applyAll().answer(1, accepted(0)).applyAll();
    expect(driver.transaction.decision).toBe('commit');
  });
});
