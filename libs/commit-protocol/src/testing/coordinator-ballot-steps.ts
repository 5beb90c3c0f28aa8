import { COORDINATOR_PROPOSER, type Ballot, type BallotAnswer } from '../ballots/ballot.js';
import type { ThreePhasePrepareMessage } from '../vocabulary/messages.js';
import type { DecideRecord } from '../log/records.js';
import { LeaderDriver, beginOf, branchOf, idOf } from './leader-driver.js';
import type { AbortCause, Decision, Vote } from '../vocabulary/types.js';

export const THREE = beginOf([branchOf(1), branchOf(2), branchOf(3)], { protocol: '3pc' });
export const OPEN = beginOf([], { protocol: '3pc', closed: false });
export const CLIENT: AbortCause = { reason: 'CLIENT_ABORTED', detail: 'changed my mind' };

/** A round of the coordinators. */
export const round = (number: number): Ballot => ({ round: number, proposer: COORDINATOR_PROPOSER });
/** A round of the branch with this number. */
export const ofBranch = (number: number, branch: number): Ballot => ({ round: number, proposer: branch });
export const accepted = (number: number): BallotAnswer => ({ type: 'accepted', ballot: round(number) });
export const promised = (number: number, before?: { ballot: Ballot; value: Decision }): BallotAnswer => {
  return { type: 'promised', ballot: round(number), accepted: before };
};
export const outbid = (number: number, by: Ballot): BallotAnswer => ({
  type: 'outbid',
  ballot: round(number),
  promised: by,
});
export const decided = (decision: Decision): BallotAnswer => ({ type: 'decided', decision });

export function begun(): LeaderDriver {
  return new LeaderDriver().begun(THREE);
}

/** All have voted, and the first ballot is proposed to the log. */
export function voted(votes: readonly [Vote, Vote, Vote] = ['yes', 'yes', 'yes']): LeaderDriver {
  const driver = begun();
  votes.forEach((vote, i) => driver.vote(i + 1, vote));
  return driver;
}

/** The first ballot is in the log, and its requests have left. */
export function underBallot(votes?: readonly [Vote, Vote, Vote]): LeaderDriver {
  const driver = voted(votes).applyAll();
  driver.sent = [];
  return driver;
}

/** A new leader that found a ballot in the log, and has logged its own. */
export function takenOver(): LeaderDriver {
  const driver = underBallot().failOver().applyAll();
  driver.sent = [];
  return driver;
}

export function decisionIn(driver: LeaderDriver): DecideRecord {
  const record = driver.inFlight.find((candidate): candidate is DecideRecord => candidate.type === 'decide');
  if (!record) throw new Error('no decision is proposed');
  return record;
}

export function prepareFor(driver: LeaderDriver, branch: number): ThreePhasePrepareMessage {
  const message = driver.sent.find(({ branchId }) => branchId === idOf(1, branch));
  if (message?.type !== 'prepare' || message.protocol !== '3pc') throw new Error(`no prepare for branch ${branch}`);
  return message;
}

export const acceptorsIn = (driver: LeaderDriver) =>
  driver.transaction.branches.map(({ branchId, participant }) => ({ branchId, participant }));
