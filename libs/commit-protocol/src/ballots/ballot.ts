import { invariant } from '@concordat/foundation';
import type { BranchId, Decision } from '../vocabulary/types.js';

/**
 * A numbered attempt to get one value decided by the branches of a transaction (protocol section 6). Ordered by round,
 * then by proposer, so no two proposers ever share one.
 */
export interface Ballot {
  readonly round: number;
  /** 0 is the coordinator group; branches are numbered from 1 on by their position in the acceptor set */
  readonly proposer: number;
}

/** A branch as a member of the acceptor set of its transaction: all branches, in the order in which they joined. */
export interface Acceptor {
  readonly branchId: BranchId;
  readonly participant: string;
}

/** A value that an acceptor has accepted, and in which ballot. */
export interface AcceptedValue {
  readonly ballot: Ballot;
  readonly value: Decision;
}

/** Asks for the promise to answer no lower ballot, or for the acceptance of a value. */
export type BallotRequest =
  | { readonly type: 'promise'; readonly ballot: Ballot }
  | { readonly type: 'accept'; readonly ballot: Ballot; readonly value: Decision };

export type BallotAnswer =
  | (Dissent & {
      readonly type: 'promised';
      readonly ballot: Ballot;
      readonly accepted?: AcceptedValue | undefined;
      /** its work is committed, by a decision or by hand */
      readonly committed?: true | undefined;
    })
  | (Dissent & { readonly type: 'accepted'; readonly ballot: Ballot })
  /** a higher ballot is promised */
  | (Dissent & { readonly type: 'outbid'; readonly ballot: Ballot; readonly promised: Ballot })
  /** its database may have lost promises or acceptances: it takes no part in the ballots of this transaction */
  | (Dissent & { readonly type: 'abstains'; readonly ballot: Ballot })
  /** it received the decision; never because it has not voted */
  | { readonly type: 'decided'; readonly decision: Decision };

/**
 * True: the acceptor has no vote of `yes` or `read-only` on record, and never will have one. That is no decision. An
 * accepted commit needed every vote: if there is one, this acceptor has voted and its database lost the vote.
 */
export interface Dissent {
  readonly dissents?: true | undefined;
}

/** The proposer number of the coordinator group. */
export const COORDINATOR_PROPOSER = 0;

/** Owned by the coordinator group, which only proposes commit in it, and only with all votes. */
export const FIRST_BALLOT: Ballot = { round: 0, proposer: COORDINATOR_PROPOSER };

/** With fewer acceptors a majority is all of them, so a ballot survives no failure. */
export const FEWEST_USEFUL_ACCEPTORS = 3;

/** Higher rounds are refused: no correct proposer reaches them. */
export const MAXIMUM_ROUND = 2 ** 31 - 1;

/** Negative, zero or positive: `left` is lower than, equal to or higher than `right`. */
export function compareBallots(left: Ballot, right: Ballot): number {
  return left.round - right.round || left.proposer - right.proposer;
}

/** The size of a majority: any two majorities intersect. */
export function majorityOf(acceptorCount: number): number {
  invariant(acceptorCount > 0, 'a transaction in ballots has branches');
  return Math.floor(acceptorCount / 2) + 1;
}

/** The proposer number of a branch; undefined for a branch that is not in the set. */
export function proposerNumber(acceptors: readonly Acceptor[], branchId: BranchId): number | undefined {
  const place = acceptors.findIndex((acceptor) => acceptor.branchId === branchId);
  return place < 0 ? undefined : place + 1;
}

/** Whether a member of this set can have made a ballot. */
export function isPossibleBallot({ round, proposer }: Ballot, acceptorCount: number): boolean {
  const isRound = Number.isInteger(round) && round >= 0 && round <= MAXIMUM_ROUND;
  // A branch begins above what it has promised, and round 0 belongs to the coordinators.
  const isProposer = Number.isInteger(proposer) && proposer >= 0 && proposer <= acceptorCount;
  return isRound && isProposer && (round > 0 || proposer === COORDINATOR_PROPOSER);
}
