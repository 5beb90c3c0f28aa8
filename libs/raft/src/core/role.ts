import type { VoteTally } from './election/vote-tally.js';
import type { Leader } from './leader.js';
import type { NodeId } from './types.js';

/** Follows the leader of its term, if known. */
export interface FollowerRole {
  readonly type: 'follower';
  readonly leaderId: NodeId | undefined;
}

/** Asks whether it would win an election (thesis, section 9.6). */
export interface PreCandidateRole {
  readonly type: 'pre-candidate';
  readonly tally: VoteTally;
  /** remaining repetitions of its requests, once per tick */
  repetitionsLeft: number;
}

/** Stands for election in its term (paper, section 5.2). */
export interface CandidateRole {
  readonly type: 'candidate';
  readonly tally: VoteTally;
}

export interface LeaderRole {
  readonly type: 'leader';
  readonly leader: Leader;
}

/** The role of a node in its term, with its state; a change of role drops all of it. */
export type Role = FollowerRole | PreCandidateRole | CandidateRole | LeaderRole;
