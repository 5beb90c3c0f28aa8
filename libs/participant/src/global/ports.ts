import type { JsonValue } from '@concordat/foundation';
import type { BranchError, BranchId, TransactionId, Vote } from '@concordat/commit-protocol';
import type { PostgresContext } from '../postgres/index.js';
import type { AbortDetails, StrayBranch } from './errors.js';

export interface BeginRequest {
  readonly protocol: '2pc' | '3pc';
  readonly timeoutMs: number;
  readonly metadata?: Readonly<Record<string, JsonValue>> | undefined;
  /** the process that will commit: when it dies before that, the transaction is aborted */
  readonly beginner?: { readonly participant: string; readonly instance: string } | undefined;
  /** the secret by which the services that are called in it show that they were */
  readonly invitation?: string;
}

/** A branch whose session a process holds. */
export interface HeldEnlistment {
  readonly participant: string;
  readonly branchId: BranchId;
  readonly instance: string;
}

/** How a branch is known to the coordinators: by the process that holds its session, or by its vote. */
export type BranchEnlistment =
  | HeldEnlistment
  | {
      readonly participant: string;
      readonly branchId: BranchId;
      readonly vote: Extract<Vote, 'yes' | 'read-only'>;
    };

export type GlobalOutcome = 'committed' | 'aborted';

export type CommitAnswer = ({ readonly outcome: 'committed' } | ({ readonly outcome: 'aborted' } & AbortDetails)) & {
  /** that ended against the decision, or in a way that nobody knows; absent when there is none */
  readonly against?: readonly StrayBranch[];
};

/**
 * What the SDK needs of the coordinators. Calls are repeated by the implementation where that is safe; a rejection is
 * an error with a `code`.
 */
export interface GlobalCoordinators {
  /** `deadline`: milliseconds since 1970 */
  begin(request: BeginRequest): Promise<{ readonly transactionId: TransactionId; readonly deadline: number }>;
  /**
   * A transaction of this process may begin with its commit. Begins it now; resolves when the coordinators know it.
   * undefined: there is nothing to wait for. @throws when they do not take it
   */
  known(transactionId: TransactionId): Promise<void> | undefined;
  /**
   * The same for a transaction of another process. Resolves at once when they know it.
   *
   * @param leftMs until its deadline
   */
  ensure(transactionId: TransactionId, leftMs: number): Promise<void>;
  /**
   * Idempotent for the same branch.
   *
   * @param invitation that came with the call
   * @throws when the transaction is closed, decided or unknown
   */
  enlist(transactionId: TransactionId, branch: BranchEnlistment, invitation?: string): Promise<void>;
  /**
   * `unknown`: the request may have been taken; ask.
   *
   * @param branches enlisted by the request, unless they are already
   */
  commit(
    transactionId: TransactionId,
    wait: 'decided' | 'ended',
    branches: readonly HeldEnlistment[],
  ): Promise<CommitAnswer | 'unknown'>;
  /**
   * @param branches enlisted by the request, unless they are already, so that they are told
   * @param invitation that came with the call
   * @param isOnlyHere no other process has heard of the transaction; default false
   */
  abort(
    transactionId: TransactionId,
    branches: readonly HeldEnlistment[],
    invitation?: string,
    isOnlyHere?: boolean,
  ): Promise<void>;
  /** The branches that are enlisted by now. @throws when no coordinator answers, or it is unknown */
  stateOf(
    transactionId: TransactionId,
  ): Promise<{ readonly branches: readonly BranchId[]; readonly isDecided: boolean }>;
  /** `undecided`: ask again. `forgotten`: it is no longer kept. @throws when no coordinator answers */
  outcomeOf(transactionId: TransactionId): Promise<CommitAnswer | 'undecided' | 'forgotten'>;
}

export interface SessionRequest {
  readonly transactionId: TransactionId;
  readonly branchId: BranchId;
  /** milliseconds since 1970 */
  readonly deadline: number;
  readonly timeoutMs: number;
  /** the id of the branch was made for this session */
  readonly isNew: boolean;
  /** branches held by this process that end only after this one */
  readonly suspends: readonly BranchId[];
}

/** A branch whose session this process holds between calls. */
export interface BranchSession {
  readonly branchId: BranchId;
  readonly context: PostgresContext;
  readonly doomed: BranchError | undefined;
  doom(error: BranchError): void;
  rollBack(error: BranchError): Promise<void>;
  prepare(results?: readonly JsonValue[]): Promise<{ readonly vote: Vote; readonly error?: BranchError } | 'busy'>;
  /** settles when the session has ended; never rejects */
  readonly ended: Promise<'prepared' | 'read-only' | 'aborted' | 'unknown'>;
}

/** The sessions of this process, below the size of the pool. */
export interface BranchSessions {
  /** names this process to the coordinators */
  readonly instance: string;
  hold(request: SessionRequest): Promise<BranchSession>;
}
