import type { JsonValue } from '@concordat/foundation';
import type { BallotAnswer } from '../ballots/ballot.js';
import type { OpenedBallot } from './branch-ballots.js';
import type {
  BallotRequestMessage,
  BranchAddress,
  BranchesDecidedMessage,
  CommitOnePhaseMessage,
  DoneMessage,
  ParticipantMessage,
  PeerMessage,
  PrepareMessage,
  VoteMessage,
} from '../vocabulary/messages.js';
import type { BranchEnd, BranchError, Decision, Vote } from '../vocabulary/types.js';

/** The resource manager's answer to a `prepare`. */
export interface BranchVote {
  readonly vote: Vote;
  readonly results: readonly JsonValue[];
  readonly error?: BranchError;
}

/** The resource manager's answer to a delegated commit. */
export interface BranchConclusion {
  readonly end: BranchEnd;
  readonly results: readonly JsonValue[];
  readonly error?: BranchError;
}

/** Events of a participant. Each `run-*` effect is answered by exactly one event other than `message`. */
export type ParticipantEvent =
  | { readonly type: 'message'; readonly message: ParticipantMessage }
  /** the result of `run-prepare` */
  | { readonly type: 'voted'; readonly branch: BranchAddress; readonly result: BranchVote }
  /** the result of `run-one-phase` */
  | { readonly type: 'concluded'; readonly branch: BranchAddress; readonly result: BranchConclusion }
  /** the result of `run-commit` or `run-abort` */
  | { readonly type: 'ended'; readonly branch: BranchAddress; readonly end: BranchEnd }
  /** the result of `run-ballot`: the acceptor's answer; its state is durable */
  | {
      readonly type: 'ballot-answered';
      readonly branch: BranchAddress;
      readonly request: BallotRequestMessage;
      readonly answer: BallotAnswer;
    }
  /** the result of `open-ballot` */
  | { readonly type: 'ballot-opened'; readonly branch: BranchAddress; readonly opened: OpenedBallot }
  /** the operation has no known result: dropped before it began, busy elsewhere, or the database did not answer */
  | { readonly type: 'unknown'; readonly branch: BranchAddress };

export type ParticipantAlertCode =
  /** a branch got a commit and an abort: it is stopped and everything is kept (protocol section 7) */
  | 'CONFLICTING_DECISIONS'
  /** a prepared branch was ended by hand against the decision */
  | 'HEURISTIC_OUTCOME'
  /** no coordinator knows the decision of a prepared branch any more: an operator must rule */
  | 'UNKNOWN_OLD_TRANSACTION'
  /** a prepare or a ballot that no correct sender can have sent: it is dropped */
  | 'IMPOSSIBLE_BALLOT'
  /** a prepare of a leader with an impossible term: it is dropped */
  | 'IMPOSSIBLE_TERM'
  /** a branch has no vote, although a commit was accepted that needed it: its database lost writes */
  | 'ACCEPTOR_AMNESIA';

/** What the machine wants done, in this order. */
export type ParticipantEffect =
  | { readonly type: 'run-prepare'; readonly message: PrepareMessage }
  | { readonly type: 'run-one-phase'; readonly message: CommitOnePhaseMessage }
  | { readonly type: 'run-commit'; readonly branch: BranchAddress }
  | { readonly type: 'run-abort'; readonly branch: BranchAddress }
  /** record the ruling as the decision, then carry it out */
  | { readonly type: 'run-ruling'; readonly branch: BranchAddress; readonly ruling: Decision }
  | { readonly type: 'run-ballot'; readonly request: BallotRequestMessage }
  /** promise itself a ballot above all it has seen */
  | { readonly type: 'open-ballot'; readonly branch: BranchAddress }
  /** the decision came before work began: if it has not begun, drop it and report `unknown` */
  | { readonly type: 'cancel-work'; readonly branch: BranchAddress }
  /** a new leader exists: inquire about every prepared branch now, whatever its age */
  | { readonly type: 'inquire-all' }
  /** `prompt`: a client waits for it; otherwise it may be batched for a moment */
  | { readonly type: 'reply'; readonly message: VoteMessage | DoneMessage; readonly prompt: boolean }
  /** to a branch of the transaction, or the branches' decision to the coordinators; a lost one only delays */
  | { readonly type: 'send'; readonly message: BallotMessage }
  | {
      readonly type: 'alert';
      readonly code: ParticipantAlertCode;
      readonly branch: BranchAddress;
      readonly detail: string;
    };

export type BallotMessage = Exclude<PeerMessage, { type: 'termination-due' }> | BranchesDecidedMessage;

export interface ParticipantBranchView {
  readonly vote?: Vote;
  readonly decision?: Decision;
  readonly end?: BranchEnd;
  readonly stopped: boolean;
  readonly running: boolean;
}
