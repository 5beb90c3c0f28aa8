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

/** What the resource manager said of a `prepare`. */
export interface BranchVote {
  readonly vote: Vote;
  readonly results: readonly JsonValue[];
  readonly error?: BranchError;
}

/** What the resource manager said of a delegated commit. */
export interface BranchConclusion {
  readonly end: BranchEnd;
  readonly results: readonly JsonValue[];
  readonly error?: BranchError;
}

/** What happens to a participant. Each `run-*` effect is answered by exactly one event other than `message`. */
export type ParticipantEvent =
  | { readonly type: 'message'; readonly message: ParticipantMessage }
  /** `run-prepare` came to an end that is known */
  | { readonly type: 'voted'; readonly branch: BranchAddress; readonly result: BranchVote }
  /** `run-one-phase` came to an end that is known */
  | { readonly type: 'concluded'; readonly branch: BranchAddress; readonly result: BranchConclusion }
  /** `run-commit` or `run-abort` came to an end that is known */
  | { readonly type: 'ended'; readonly branch: BranchAddress; readonly end: BranchEnd }
  /** `run-ballot`: the acceptor's answer; all it promises is durable */
  | {
      readonly type: 'ballot-answered';
      readonly branch: BranchAddress;
      readonly request: BallotRequestMessage;
      readonly answer: BallotAnswer;
    }
  /** `open-ballot` */
  | { readonly type: 'ballot-opened'; readonly branch: BranchAddress; readonly opened: OpenedBallot }
  /** nothing is known: dropped before it began, busy elsewhere, or the database did not answer */
  | { readonly type: 'unknown'; readonly branch: BranchAddress };

export type ParticipantAlertCode =
  /** a branch was told to commit and to abort: it is stopped and everything is kept (protocol section 7) */
  | 'CONFLICTING_DECISIONS'
  /** somebody ended a prepared branch by hand against the decision */
  | 'HEURISTIC_OUTCOME'
  /** the coordinators no longer know the transaction of a prepared branch: an operator must rule */
  | 'UNKNOWN_OLD_TRANSACTION'
  /** a prepare or a ballot that nobody who keeps the rules of three phases can have sent: it is dropped */
  | 'IMPOSSIBLE_BALLOT'
  /** a prepare of a leader whose term is out of reach: it is dropped */
  | 'IMPOSSIBLE_TERM'
  /** a branch has no vote, although a commit was accepted that needed it: its database has lost writes */
  | 'ACCEPTOR_AMNESIA';

/** What the machine wants done, in this order. */
export type ParticipantEffect =
  | { readonly type: 'run-prepare'; readonly message: PrepareMessage }
  | { readonly type: 'run-one-phase'; readonly message: CommitOnePhaseMessage }
  | { readonly type: 'run-commit'; readonly branch: BranchAddress }
  | { readonly type: 'run-abort'; readonly branch: BranchAddress }
  /** an operator's ruling against the decision: that one goes on record first, then the ruling is carried out */
  | { readonly type: 'run-ruling'; readonly branch: BranchAddress; readonly ruling: Decision }
  | { readonly type: 'run-ballot'; readonly request: BallotRequestMessage }
  /** to promise itself a ballot above all it knows of */
  | { readonly type: 'open-ballot'; readonly branch: BranchAddress }
  /** a decision overtook work that may not have begun: if so, drop it and report `unknown` */
  | { readonly type: 'cancel-work'; readonly branch: BranchAddress }
  /** a new leader has come: ask about every prepared branch now, whatever its age */
  | { readonly type: 'inquire-all' }
  /** `prompt`: somebody waits for it; otherwise it may be gathered with others for a moment */
  | { readonly type: 'reply'; readonly message: VoteMessage | DoneMessage; readonly prompt: boolean }
  /** to a branch of the transaction, or what the branches decided to the coordinators; losing it delays, no more */
  | { readonly type: 'send'; readonly message: BallotMessage }
  | {
      readonly type: 'alert';
      readonly code: ParticipantAlertCode;
      readonly branch: BranchAddress;
      readonly detail: string;
    };

export type BallotMessage = Exclude<PeerMessage, { type: 'termination-due' }> | BranchesDecidedMessage;

/** What is known of one branch in memory; everything durable lies in the participant's database. */
export interface ParticipantBranchView {
  readonly vote?: Vote;
  readonly decision?: Decision;
  readonly end?: BranchEnd;
  readonly stopped: boolean;
  readonly running: boolean;
}
