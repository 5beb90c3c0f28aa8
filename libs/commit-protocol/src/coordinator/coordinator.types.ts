import type {
  BallotAnswerMessage,
  BranchesDecidedMessage,
  CoordinatorMessage,
  DoneMessage,
  VoteMessage,
} from '../vocabulary/messages.js';
import type { BranchDone, CommitRequestedRecord, DecideRecord, PreCommitRecord } from '../log/records.js';
import type { TransactionState } from '../log/transaction-state.js';
import type { AbortCause, BranchId, BranchSpecification } from '../vocabulary/types.js';

export type CoordinatorEvent =
  /** the keys of the transaction are free, or it declared none: work may be sent */
  | { readonly type: 'admitted' }
  /** a record about the transaction was applied; `transaction` is the new state */
  | { readonly type: 'applied'; readonly transaction: TransactionState }
  | { readonly type: 'vote'; readonly message: VoteMessage }
  | { readonly type: 'done'; readonly message: DoneMessage }
  | { readonly type: 'ballot-answer'; readonly message: BallotAnswerMessage }
  | { readonly type: 'branches-decided'; readonly message: BranchesDecidedMessage }
  | { readonly type: 'inquiry'; readonly branchId: BranchId; readonly participant: string }
  /**
   * the client asks for the commit of an interactive transaction. `joining`: branches that it names and whose
   * enlistments were proposed right before
   */
  | { readonly type: 'commit'; readonly joining?: readonly BranchSpecification[] }
  | { readonly type: 'abort'; readonly cause: AbortCause }
  | { readonly type: 'deadline' }
  /** an instance of a participant cannot be reached: what it holds is lost, unless it has voted */
  | { readonly type: 'instance-gone'; readonly participant: string; readonly instance: string }
  /** the same for the process that was to request the commit */
  | { readonly type: 'beginner-gone'; readonly participant: string; readonly instance: string }
  /** the timer of the last `schedule-resend` fired */
  | { readonly type: 'resend' }
  /** the log refused or dropped a proposal of this transaction: it is certainly not in the log */
  | { readonly type: 'proposal-failed' };

/** A decision as a leader proposes it. */
export type Verdict = Omit<DecideRecord, 'type' | 'transactionId' | 'losses'>;

/** What the machine wants done, in this order. */
export type CoordinatorEffect =
  /** commit and apply it before anything that follows from it; comes back as `applied` */
  | { readonly type: 'append'; readonly record: CommitRequestedRecord | PreCommitRecord | DecideRecord }
  | { readonly type: 'send'; readonly message: CoordinatorMessage }
  /** send unanswered messages again, later each time; replaces an earlier one */
  | { readonly type: 'schedule-resend'; readonly attempt: number }
  | { readonly type: 'cancel-resend' }
  /** a branch has ended: log it lazily, together with others */
  | { readonly type: 'branch-done'; readonly done: BranchDone }
  /** for operators */
  | { readonly type: 'alert'; readonly detail: string };
