import type { JsonValue } from '@concordat/foundation';
import type { Access } from './access.js';
import type {
  AbortReason,
  BranchError,
  BranchId,
  Decision,
  Outcome,
  Protocol,
  RulingAction,
  RulingEffect,
  TransactionId,
  Vote,
} from '@concordat/commit-protocol';

/**
 * The state of a transaction; it only moves forward. `precommitted`: in 3PC, a ballot is open and nothing is decided.
 */
export type TransactionStatus =
  'active' | 'preparing' | 'precommitted' | 'committing' | 'committed' | 'aborting' | 'aborted' | 'mixed';

/** The state of a branch, as far as the log and this node know. */
export type BranchStateName =
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
  /** an operator gave it up; its end is unknown */
  | 'forgotten';

export interface OperationView {
  readonly operation: string;
  readonly payload: JsonValue;
  readonly keys: readonly string[];
  readonly result?: JsonValue;
}

export interface BranchView {
  readonly branchId: BranchId;
  readonly participant: string;
  readonly operations: readonly OperationView[];
  readonly vote: Vote | null;
  readonly state: BranchStateName;
  /** the operator's ruling against the decision */
  readonly ruling?: Decision;
  /** the process that holds the branch's session, or held it until its vote */
  readonly instance?: string;
  readonly error?: BranchError;
}

/** An operator's ruling, as it is kept with its transaction. */
export interface RulingView {
  readonly action: RulingAction;
  readonly branchId?: BranchId;
  readonly operator: string;
  readonly reason: string;
  readonly force: boolean;
  /** what it changed; `unknown-old`: it stands in for a decision that is no longer known */
  readonly effect: RulingEffect | 'unknown-old';
  /** ISO 8601 */
  readonly at: string;
}

/** A transaction as the REST interface shows it; times are ISO 8601 in UTC. */
export interface TransactionView {
  readonly id: TransactionId;
  readonly protocol: Protocol;
  readonly status: TransactionStatus;
  readonly decision: Decision | null;
  readonly outcome: Outcome | null;
  readonly reason: AbortReason | null;
  /** of an abort: a sentence */
  readonly detail?: string;
  readonly cause?: { readonly branchId: BranchId; readonly participant: string; readonly participantCode?: string };
  readonly branches: readonly BranchView[];
  readonly metadata: Readonly<Record<string, JsonValue>>;
  /** the principal who began it; absent without authentication */
  readonly owner?: string;
  readonly warnings: readonly string[];
  /** by operators, oldest first */
  readonly rulings: readonly RulingView[];
  readonly createdAt: string;
  readonly deadline: string;
  readonly decidedAt: string | null;
  readonly endedAt: string | null;
  /** index of the log entry that last changed it; 0 in the answer to a deferred begin */
  readonly logIndex: number;
}

export interface BranchRequest {
  readonly participant: string;
  readonly operation: string;
  readonly payload: JsonValue;
  readonly keys?: readonly string[];
}

export interface PreparedBranchRequest {
  readonly participant: string;
  readonly branchId: BranchId;
  readonly vote: Vote;
}

/** A branch whose session a process of the participant holds: the leader asks that process to prepare it. */
export interface HeldBranchRequest {
  readonly participant: string;
  readonly branchId: BranchId;
  /** as the process announces itself on its direct stream */
  readonly instance: string;
}

/** A branch whose sender made its id. */
export type NamedBranchRequest = PreparedBranchRequest | HeldBranchRequest;

export type EnlistRequest = BranchRequest | PreparedBranchRequest | HeldBranchRequest;

export interface Idempotency {
  /** in the scope of its principal, see `scopedKey` */
  readonly key: string;
  /** SHA-256 of the call and its canonical body, in hexadecimal */
  readonly bodyHash: string;
}

/** A process of a participant, as it announces itself on its direct stream. */
export interface Holder {
  readonly participant: string;
  readonly instance: string;
}

export interface BeginRequest {
  readonly protocol: Protocol;
  readonly timeoutMs: number;
  readonly metadata: Readonly<Record<string, JsonValue>>;
  /** the principal who begins it */
  readonly owner?: string;
  /** SHA-256 of the secret by which participants show that they were called in it, see `Access` */
  readonly invitation?: string;
  readonly idempotency?: Idempotency;
  /** of the client's trace (W3C) */
  readonly traceparent?: string;
  /**
   * answered before it is in the log. If the leader fails before it is, nobody knows the transaction, and it counts as
   * aborted
   */
  readonly deferred?: boolean;
  /** the process that will request the commit: before that, its death aborts the transaction, as long as this leader leads */
  readonly beginner?: Holder | undefined;
  /** reserved before; a repeat is answered with the transaction */
  readonly id?: TransactionId | undefined;
  /** ids to reserve for transactions to come: each may be used once, while this leader leads, for half a minute */
  readonly reserve?: number | undefined;
}

/** A transaction, and the ids that were reserved with it. */
export interface BegunView extends TransactionView {
  readonly reserved?: readonly TransactionId[];
}

export interface ExecuteRequest extends BeginRequest {
  readonly branches: readonly BranchRequest[];
}

export interface ResolveRequest {
  readonly action: RulingAction;
  /** undefined: the whole transaction */
  readonly branchId?: BranchId;
  readonly operator: string;
  readonly reason: string;
  readonly force: boolean;
  readonly idempotency?: Idempotency;
}

export interface Resolution {
  /** the ruling in the log now; null when there was nothing to do */
  readonly ruling: RulingView | null;
  /** null for a transaction that is no longer known */
  readonly transaction: TransactionView | null;
}

export interface WaitOptions {
  /** maximum wait, in milliseconds */
  readonly waitMs: number;
  /**
   * `decided`: until the decision is in the log; `reported`: until every branch has reported its end; `ended`: until the
   * log has all ends, too
   */
  readonly wait: 'decided' | 'reported' | 'ended';
  /** whose transaction it must be */
  readonly access?: Access;
}

/** A request to commit or abort. */
export interface EndOptions extends WaitOptions {
  /** enlisted by the request itself, unless they are already */
  readonly branches?: readonly NamedBranchRequest[];
}

export interface CommitOptions extends EndOptions {
  /** begins the transaction, if nobody knows it and its id is reserved */
  readonly begin?: BeginRequest | undefined;
}

/** `settled`: what was waited for has happened; otherwise the wait ended first (202). */
export interface Settlement {
  readonly settled: boolean;
  readonly transaction: TransactionView;
}

/**
 * `linearizable`: includes everything that was committed before the call; `stale`: this node's applied state, at once.
 */
export type Consistency = 'linearizable' | 'stale';

/** The answer to a read, and the index of the log up to which it is complete. */
export interface Reading<Value> {
  readonly value: Value;
  readonly appliedIndex: number;
  /** the leader has votes that are not logged yet: its answer says more */
  readonly leaderKnowsMore: boolean;
}

export interface ListQuery {
  readonly status?: TransactionStatus;
  readonly participant?: string;
  /** 1..500 */
  readonly limit: number;
  /** `nextCursor` of the page before */
  readonly cursor?: string;
  /** lists only what the caller may see */
  readonly access?: Access;
}

export interface TransactionPage {
  readonly items: readonly TransactionView[];
  readonly nextCursor: string | null;
}

/** A possible ruling, and whether it needs `force`. */
export interface PossibleRuling {
  readonly action: RulingAction;
  readonly force: boolean;
}

export interface InDoubtItem {
  readonly transactionId: TransactionId;
  readonly branchId: BranchId;
  readonly participant: string;
  readonly gid: string;
  readonly state: 'in-doubt' | 'heuristic-rollback' | 'heuristic-commit' | 'unknown-old';
  /** ISO 8601 */
  readonly since: string;
  readonly reason: string;
  /** the rulings that `POST /v1/transactions/{id}/resolve` accepts */
  readonly rulings: readonly PossibleRuling[];
}

export interface InDoubtQuery {
  /** 1..500; a page has a few more where a transaction has several branches in doubt */
  readonly limit: number;
  /** `nextCursor` of the page before */
  readonly cursor?: TransactionId;
}

/** A page of branches in doubt, by ascending transaction id; branches of forgotten transactions come last. */
export interface InDoubtReading extends Reading<readonly InDoubtItem[]> {
  /** null at the end. Only then is the list complete; a page before it may be empty */
  readonly nextCursor: TransactionId | null;
}

export interface TransactionEvent {
  readonly logIndex: number;
  readonly transaction: TransactionView;
}

/**
 * The latest state of each transaction that changed since an index. `more`: the answer ends at a bound of number or
 * bytes; the rest has higher log indexes.
 */
export type MissedEvents =
  | { readonly kind: 'events'; readonly events: readonly TransactionEvent[]; readonly more: boolean }
  | { readonly kind: 'reset' };

/** Whether a subscriber wants a transaction whose last change has this log index. */
export type EventFilter = (logIndex: number, transactionId: TransactionId) => boolean;

/**
 * What the coordinator offers to its REST interface. Calls that change something must be made on the leader; other
 * nodes reject with `LogUnavailableError`, and nothing has happened. Any node answers reads from its applied state; a
 * linearizable read rejects with `LogUnavailableError` when no leader can be asked.
 *
 * With an `access`, a transaction that the caller may not see is answered as one that does not exist.
 *
 * Rejections are `CodedError`s of `errors.ts`; `http/problems.ts` says what a client sees.
 */
export interface TransactionsApi {
  /** @param access whose transaction an `id` must be, if it is known */
  begin(request: BeginRequest, access?: Access): Promise<BegunView>;
  /** `created` is false when the same request was made before */
  enlist(
    transactionId: TransactionId,
    branch: EnlistRequest,
    idempotency?: Idempotency,
    access?: Access,
  ): Promise<{ readonly created: boolean; readonly branch: BranchView }>;
  commit(transactionId: TransactionId, options: CommitOptions): Promise<Settlement>;
  abort(transactionId: TransactionId, options: EndOptions): Promise<Settlement>;
  /** Logs an operator's ruling; it is in the log when this resolves. */
  resolve(transactionId: TransactionId, request: ResolveRequest): Promise<Resolution>;
  execute(request: ExecuteRequest, options: WaitOptions): Promise<Settlement>;
  get(transactionId: TransactionId, consistency: Consistency, access?: Access): Promise<Reading<TransactionView>>;
  list(query: ListQuery, consistency: Consistency): Promise<Reading<TransactionPage>>;
  /** Only the leader knows votes that are not logged, and branches of forgotten transactions. */
  inDoubt(consistency: Consistency, query?: InDoubtQuery): Promise<InDoubtReading>;
  /** Called for every change of a transaction on this node, in log order. Returns the function that unsubscribes. */
  subscribe(listener: (event: TransactionEvent) => void): () => void;
  /**
   * Called after a snapshot replaced the state, with the log index up to which changes came without events. Returns the
   * function that unsubscribes.
   */
  onReset(listener: (throughIndex: number) => void): () => void;
  /**
   * Events with this index or a higher one, from this node's memory. The index itself is included: one entry may change
   * several transactions, of which the subscriber may have seen only some.
   */
  missedSince(logIndex: number, wants?: EventFilter): MissedEvents;
}

export const TRANSACTIONS = Symbol('TRANSACTIONS');
