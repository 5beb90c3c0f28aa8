import { describe, expect, it } from '@jest/globals';
import { COORDINATOR_PROPOSER, type Ballot } from '../ballots/ballot.js';
import type { BallotRequestMessage } from '../vocabulary/messages.js';
import { DEADLINE, type LeaderDriver, idOf } from '../testing/leader-driver.js';
import {
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
} from '../testing/coordinator-ballot-steps.js';

describe('protocol 6: outbid', () => {
  it('gives the other ballot time: the next one comes with the next resend, logged before it is sent', () => {
    const driver = underBallot().answer(2, outbid(0, ofBranch(4, 2)));
    expect([driver.proposed(), driver.takeSent(), driver.resend]).toEqual([[], [], 0]);
    driver.answer(1, accepted(0)).answer(3, accepted(0)); // too late for a ballot that is given up
    expect(driver.proposed()).toEqual([]);
    driver.handle({ type: 'resend' });
    expect([driver.proposed(), driver.takeSent()]).toEqual([['pre-commit#5'], []]);
    driver.applyAll();
    expect(driver.takeSent()).toEqual(['promise#5 1', 'promise#5 2', 'promise#5 3']);
  });

  it('by less than it has proposed is not outbid', () => {
    const driver = takenOver()
      .answer(1, outbid(1, round(0)))
      .answer(2, outbid(0, ofBranch(7, 1)));
    expect(driver.handle({ type: 'resend' }).proposed()).toEqual([]);
  });

  it('again and again, goes higher each time', () => {
    const driver = underBallot();
    for (const number of [0, 3, 6, 9]) {
      driver.answer(1, outbid(number, ofBranch(number + 2, 1))).handle({ type: 'resend' });
      expect(driver.proposed()).toEqual([`pre-commit#${number + 3}`]);
      driver.applyAll();
    }
    expect(driver.transaction.preCommit).toEqual(round(12));
  });

  it('proposes the next one again when it certainly did not get into the log', () => {
    const driver = underBallot()
      .answer(2, outbid(0, ofBranch(1, 2)))
      .handle({ type: 'resend' })
      .failNext();
    expect(driver.handle({ type: 'resend' }).proposed()).toEqual(['pre-commit#2']);
  });
});

describe('protocol 6: a new leader', () => {
  it('opens a ballot above the one it finds, logged first, and asks for promises first', () => {
    const driver = underBallot().answer(1, accepted(0)).failOver();
    expect([driver.proposed(), driver.takeSent()]).toEqual([['pre-commit#1'], []]);
    driver.applyAll();
    expect(driver.takeSent()).toEqual(['promise#1 1', 'promise#1 2', 'promise#1 3']);
    expect(driver.failOver().proposed()).toEqual(['pre-commit#2']); // and so does the one after it
  });

  it('takes nothing from the ballot of its predecessor', () => {
    const driver = takenOver();
    for (const branch of [1, 2, 3]) driver.answer(branch, accepted(0));
    expect(driver.proposed()).toEqual([]);
  });

  it('asks a majority to accept the value of the highest ballot that one of them has accepted', () => {
    const driver = takenOver().answer(1, promised(1));
    expect(driver.takeSent()).toEqual([]);
    driver.answer(3, promised(1, { ballot: round(0), value: 'commit' }));
    const requests = driver.sent.map((message) => (message as BallotRequestMessage).request);
    expect(requests).toEqual([1, 2, 3].map(() => ({ type: 'accept', ballot: round(1), value: 'commit' })));
    driver.answer(1, accepted(1)).answer(2, accepted(1));
    expect(decisionIn(driver)).toMatchObject({
      decision: 'commit',
      basis: { type: 'ballot', ballot: round(1), acceptedBy: [idOf(1, 1), idOf(1, 2)] },
    });
  });

  it('lets the highest of several accepted values win, not the last nor the most frequent', () => {
    const driver = underBallot()
      .answer(1, outbid(0, ofBranch(4, 1)))
      .handle({ type: 'resend' })
      .applyAll();
    driver.answer(1, promised(5, { ballot: ofBranch(4, 1), value: 'abort' }));
    driver.answer(2, promised(5, { ballot: round(0), value: 'commit' }));
    driver.answer(1, accepted(5)).answer(2, accepted(5));
    expect(decisionIn(driver)).toMatchObject({ decision: 'abort', cause: { reason: 'BRANCHES_DECIDED' } });
    expect(driver.applyAll().transaction).toMatchObject({ decision: 'abort', outcome: 'aborted' });
  });

  it('aborts what no branch of a majority has accepted', () => {
    const driver = takenOver().answer(2, promised(1)).answer(3, promised(1));
    driver.answer(2, accepted(1)).answer(3, accepted(1)).applyAll();
    expect(driver.transaction).toMatchObject({ decision: 'abort', cause: { reason: 'BRANCHES_DECIDED' } });
  });

  it('asks for the votes again where it finds no ballot', () => {
    const driver = voted().failOver();
    expect(driver.takeSent()).toEqual(['prepare 1', 'prepare 2', 'prepare 3']);
    for (const branch of [1, 2, 3]) driver.vote(branch, 'yes');
    expect(driver.proposed()).toEqual(['pre-commit#0']);
  });

  it('asks for no vote under ballot, and is not bound by the deadline', () => {
    const driver = underBallot();
    driver.now = DEADLINE + 1;
    driver.failOver().handle({ type: 'deadline' });
    expect(driver.proposed()).toEqual(['pre-commit#1']);
    driver.applyAll().handle({ type: 'resend' });
    expect(driver.takeSent()).toEqual([
      'promise#1 1',
      'promise#1 2',
      'promise#1 3',
      'promise#1 1',
      'promise#1 2',
      'promise#1 3',
    ]);
  });
});

describe('protocol 6: a branch that has forgotten its vote', () => {
  const SECOND: Ballot = { round: 1, proposer: COORDINATOR_PROPOSER };

  /** It has outbid the first ballot with the next round of the coordinators, who then have logged the one after. */
  function asked(...accepting: number[]): LeaderDriver {
    const driver = underBallot();
    for (const branch of accepting) driver.answer(branch, accepted(0));
    driver.answer(1, { type: 'outbid', ballot: round(0), promised: SECOND, dissents: true });
    driver.handle({ type: 'resend' }).applyAll();
    driver.sent = [];
    return driver;
  }

  it('is an alert, once, and makes the leader ask what was accepted', () => {
    const driver = asked(2);
    expect(driver.alerts).toEqual([expect.stringContaining('ACCEPTOR_AMNESIA')]);
    expect(driver.handle({ type: 'resend' }).takeSent()).toEqual(['promise#2 1', 'promise#2 2', 'promise#2 3']);
    driver.answer(1, { type: 'promised', ballot: round(2), dissents: true });
    expect(driver.alerts).toHaveLength(1);
  });

  it('is no majority with one other, who has accepted nothing: the third may have accepted the commit with it', () => {
    const driver = asked(2);
    driver.answer(1, { type: 'promised', ballot: round(2), dissents: true }).answer(3, promised(2));
    expect(driver.takeSent()).toEqual([]);
    driver.answer(2, promised(2, { ballot: round(0), value: 'commit' }));
    expect(driver.takeSent()).toEqual(['accept#2 1', 'accept#2 2', 'accept#2 3']);
    driver.answer(2, accepted(2)).answer(3, accepted(2));
    expect(driver.applyAll().transaction.decision).toBe('commit');
  });

  it('does not keep the others from aborting what they have not accepted', () => {
    const driver = asked();
    for (const branch of [3, 2]) driver.answer(branch, promised(2));
    for (const branch of [3, 2]) driver.answer(branch, accepted(2));
    expect(driver.applyAll().transaction.decision).toBe('abort');
  });

  it('may abstain: the others go on without it', () => {
    const driver = underBallot().answer(1, { type: 'abstains', ballot: round(0), dissents: true });
    expect(driver.alerts).toHaveLength(1);
    driver.answer(2, accepted(0)).answer(3, accepted(0));
    expect(driver.applyAll().transaction.decision).toBe('commit');
  });

  it('is known to the leader at once, and stands with the decision in the log', () => {
    const driver = underBallot().answer(2, accepted(0));
    driver.answer(1, { type: 'abstains', ballot: round(0) });
    expect([1, 2].map((branch) => driver.machine?.lossOf(idOf(1, branch)))).toEqual(['abstains', undefined]);
    expect(driver.alerts).toEqual([]); // its participant announces that its database has changed
    driver.answer(1, { type: 'abstains', ballot: round(0), dissents: true });
    expect(driver.machine?.lossOf(idOf(1, 1))).toBe('vote-lost');
    driver.answer(1, { type: 'abstains', ballot: round(0) });
    driver.answer(3, accepted(0));
    expect(decisionIn(driver).losses).toEqual([{ branchId: idOf(1, 1), loss: 'vote-lost' }]);
    expect(driver.applyAll().transaction.branches.map(({ loss }) => loss)).toEqual(['vote-lost', undefined, undefined]);
  });

  it('is not believed of another ballot, and a decision without losses says nothing of any', () => {
    const driver = underBallot().answer(1, { type: 'abstains', ballot: round(7) });
    driver.answer(2, accepted(0)).answer(3, accepted(0));
    expect(decisionIn(driver)).not.toHaveProperty('losses');
  });

  it('is told by the branch that has found it out in its own ballot, of branches of the transaction only', () => {
    const driver = underBallot().branchesDecidedWithout(3, 'commit', idOf(1, 1), idOf(1, 9), idOf(1, 1));
    expect(driver.alerts).toEqual([expect.stringContaining('ACCEPTOR_AMNESIA')]);
    expect(decisionIn(driver).losses).toEqual([{ branchId: idOf(1, 1), loss: 'vote-lost' }]);
    driver.applyAll().branchesDecidedWithout(2, 'commit', idOf(1, 1), idOf(1, 3)); // late: an alert is left
    expect(driver.alerts).toHaveLength(2);
    expect(driver.transaction.branches.map(({ loss }) => loss)).toEqual(['vote-lost', undefined, undefined]);
  });
});

describe('protocol 6: a decision of the branches', () => {
  it.each(['commit', 'abort'] as const)('to %s is logged as it is told in an answer', (decision) => {
    const driver = underBallot().answer(1, accepted(0)).answer(2, decided(decision));
    expect(decisionIn(driver)).toMatchObject({ decision, basis: { type: 'branches', toldBy: idOf(1, 2) } });
    expect(driver.applyAll().transaction.decision).toBe(decision);
  });

  it.each(['commit', 'abort'] as const)('to %s is logged as it is told, and told to all', (decision) => {
    const driver = underBallot().branchesDecided(3, decision);
    expect(decisionIn(driver)).toMatchObject({ decision, basis: { type: 'branches', toldBy: idOf(1, 3) } });
    expect(driver.applyAll().takeSent()).toEqual([`${decision} 1`, `${decision} 2`, `${decision} 3`]);
  });

  it('is logged by a leader that has not even opened its own ballot', () => {
    const driver = underBallot().failOver().branchesDecided(1, 'commit');
    expect(driver.proposed()).toEqual(['pre-commit#1']);
    driver.applyNext();
    expect([driver.proposed(), driver.takeSent()]).toEqual([['decide commit'], []]);
    expect(driver.applyAll().transaction.decision).toBe('commit');
  });

  it('to abort is possible before any ballot of the coordinators', () => {
    const driver = begun().vote(1, 'yes').branchesDecided(1, 'abort');
    expect(decisionIn(driver)).toMatchObject({ decision: 'abort', cause: { reason: 'BRANCHES_DECIDED' } });
    expect(driver.applyAll().takeSent()).toEqual(['abort 1', 'abort 2', 'abort 3']);
  });

  it('to abort overtakes a ballot that is on its way into the log', () => {
    const driver = voted().branchesDecided(2, 'abort');
    expect(driver.proposed()).toEqual(['pre-commit#0']);
    driver.applyNext();
    expect([driver.proposed(), driver.takeSent()]).toEqual([['decide abort'], []]);
    expect(driver.applyAll().transaction.decision).toBe('abort');
  });

  it('is proposed again when it certainly did not get into the log, and never as another one', () => {
    const driver = underBallot().branchesDecided(3, 'commit').failNext();
    driver.branchesDecided(1, 'abort').ended(2, 'aborted').answer(2, decided('abort'));
    expect(driver.handle({ type: 'resend' }).proposed()).toEqual(['decide commit']);
  });

  it('as the log has it is nothing new; against the log it is an alert', () => {
    const driver = underBallot().branchesDecided(3, 'commit').applyAll();
    driver.sent = [];
    driver.branchesDecided(1, 'commit');
    expect([driver.alerts, driver.takeSent(), driver.proposed()]).toEqual([[], [], []]);
    driver.branchesDecided(2, 'abort');
    expect(driver.alerts).toEqual([expect.stringContaining('decided abort, against the log')]);
    expect([driver.transaction.decision, driver.proposed()]).toEqual(['commit', []]);
  });
});
