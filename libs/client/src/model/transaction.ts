import type { JsonValue } from './json.js';
import type { Open } from './shape.js';

/** Two phases, or three. */
export type Protocol = '2pc' | '3pc';

/** Only moves forward. `precommitted`: in three phases, a ballot is open and nothing is decided. */
export type TransactionStatus =
  'active' | 'preparing' | 'precommitted' | 'committing' | 'committed' | 'aborting' | 'aborted' | 'mixed';

export type Decision = 'commit' | 'abort';

/** `mixed`: somebody ended a prepared branch by hand, against the decision. */
export type Outcome = 'committed' | 'aborted' | 'mixed';

export type Vote = 'yes' | 'no' | 'read-only';

/** Why a transaction was aborted; docs/errors.md explains each. */
export type AbortReason = Open<
  | 'PARTICIPANT_REFUSED'
  | 'INVALID_PAYLOAD'
  | 'LOCK_TIMEOUT'
  | 'DEADLINE_EXCEEDED'
  | 'ADMISSION_TIMEOUT'
  | 'CLIENT_ABORTED'
  | 'OPERATOR'
  | 'BRANCHES_DECIDED'
>;

export type BranchState = Open<
  | 'enlisted'
  | 'preparing'
  | 'prepared'
  | 'refused'
  | 'committing'
  | 'committed'
  | 'aborting'
  | 'aborted'
  | 'read-only'
  | 'heuristic-rollback'
  | 'heuristic-commit'
  | 'forgotten'
>;

/** One call of a participant's handler. */
export interface Operation {
  readonly operation: string;
  readonly payload: JsonValue;
  readonly keys: readonly string[];
  /** what the handler returned; there once the transaction is committed, if it returned anything */
  readonly result?: JsonValue | undefined;
}

/** One participant's share of a transaction. */
export interface Branch {
  readonly branchId: string;
  readonly participant: string;
  /** the process that holds the branch's session, if one does */
  readonly instance?: string | undefined;
  readonly operations: readonly Operation[];
  /** null until it has voted */
  readonly vote: Vote | null;
  readonly state: BranchState;
  /** an operator's ruling against the decision */
  readonly ruling?: Decision | undefined;
  /** why it voted no */
  readonly error?: { readonly code: string; readonly message: string } | undefined;
}

export type RulingAction = 'commit' | 'abort' | 'forget';

/** An operator's ruling, as it is kept with its transaction. */
export interface Ruling {
  readonly action: RulingAction;
  /** undefined: the whole transaction */
  readonly branchId?: string | undefined;
  readonly operator: string;
  readonly reason: string;
  readonly force: boolean;
  readonly effect: Open<'decided' | 'branch-ruled' | 'forgotten' | 'unknown-old'>;
  /** ISO 8601, UTC */
  readonly at: string;
}

/** A transaction as a coordinator shows it. Times are ISO 8601 in UTC. */
export interface Transaction {
  /** a version 7 UUID */
  readonly id: string;
  readonly protocol: Protocol;
  readonly status: TransactionStatus;
  /** null until it is decided; never changes then */
  readonly decision: Decision | null;
  readonly outcome: Outcome | null;
  /** of an abort */
  readonly reason: AbortReason | null;
  /** of an abort: a sentence */
  readonly detail?: string | undefined;
  /** the branch that led to an abort */
  readonly cause?:
    | { readonly branchId: string; readonly participant: string; readonly participantCode?: string | undefined }
    | undefined;
  readonly branches: readonly Branch[];
  /** as the client gave it when the transaction began */
  readonly metadata: Readonly<Record<string, JsonValue>>;
  /** the principal who began it; absent where the coordinators run without authentication */
  readonly owner?: string | undefined;
  readonly warnings: readonly string[];
  /** oldest first */
  readonly rulings: readonly Ruling[];
  readonly createdAt: string;
  /** then it is aborted if it is not decided */
  readonly deadline: string;
  readonly decidedAt: string | null;
  /** when every branch was done */
  readonly endedAt: string | null;
  /** index of the log entry that last changed it */
  readonly logIndex: number;
}

/** The answer to a begin. */
export interface BegunTransaction extends Transaction {
  /** ids for transactions to come, as many as were wanted; absent when none were */
  readonly reserved?: readonly string[] | undefined;
}

/** A branch in doubt, or one that needs an operator. */
export interface InDoubtBranch {
  readonly transactionId: string;
  readonly branchId: string;
  readonly participant: string;
  /** name of the prepared transaction in the participant's database */
  readonly gid: string;
  readonly state: Open<'in-doubt' | 'heuristic-rollback' | 'heuristic-commit' | 'unknown-old'>;
  readonly since: string;
  readonly reason: string;
  /** what an operator may rule now */
  readonly rulings: readonly { readonly action: RulingAction; readonly force: boolean }[];
}

export interface Resolution {
  /** the ruling in the log now; null when there was nothing to do */
  readonly ruling: Ruling | null;
  /** null for a transaction that is no longer known */
  readonly transaction: Transaction | null;
}
