import { CodedError, codedError, type CodedErrorOptions } from '@concordat/foundation';
import type { BranchId, TransactionId } from '@concordat/commit-protocol';

/** A called service was given the transaction and did not prove that it had joined it. */
export class NotJoinedError extends codedError('NOT_JOINED') {
  /** @param remedy what to do; default: let its handler join */
  constructor(destination: string, why: string, options: CodedErrorOptions & { readonly remedy?: string } = {}) {
    const { remedy = `mark its handler with @JoinGlobalTransaction(), or take ${destination} off propagateTo` } =
      options;
    super(
      `${destination} was called inside a global transaction and ${why}, so its work may lie outside the transaction; ` +
        remedy,
      { cause: options.cause, details: { destination, ...options.details } },
    );
  }
}

const MANDATORY_WITHOUT =
  'this method must be called inside a global transaction (propagation MANDATORY), and the call brought none; call ' +
  'it from a @GlobalTransaction() method, and put this service on the propagateTo list of the caller';

/** There is no global transaction, and what was called needs one: the propagation is MANDATORY, say. */
export class TransactionRequiredError extends codedError('TRANSACTION_REQUIRED') {
  constructor(message = MANDATORY_WITHOUT) {
    super(message);
  }
}

/** The propagation is NEVER, and there is a global transaction. */
export class TransactionForbiddenError extends codedError('TRANSACTION_FORBIDDEN') {
  constructor(transactionId: TransactionId) {
    super(
      `this method must not be called inside a global transaction (propagation NEVER), and transaction ${transactionId} ` +
        'is running; call it after that transaction has ended',
    );
  }
}

/** The context of a call is malformed, forged, or made for another service or cluster. */
export class InvalidContextError extends codedError('INVALID_CONTEXT') {}

/** The context of a call is genuine, and the deadline of its transaction has passed. */
export class ContextExpiredError extends codedError('CONTEXT_EXPIRED') {
  constructor(transactionId: TransactionId, lateMs: number) {
    super(
      `the deadline of transaction ${transactionId} passed ${Math.round(lateMs)} ms ago, so nothing can join it; give ` +
        'the transaction a longer timeoutMs, and check that the clocks of both services agree',
      { details: { transactionId, lateMs } },
    );
  }
}

/** What doomed a transaction: it can only abort. */
export interface Doom {
  readonly code: string;
  /** a participant, or a destination */
  readonly by: string;
  readonly message: string;
  readonly cause?: unknown;
}

/** The method returned normally, and the transaction could not commit any more. */
export class RollbackOnlyError extends codedError('ROLLBACK_ONLY') {
  readonly doom: Doom;

  constructor(transactionId: TransactionId, doom: Doom) {
    super(
      `transaction ${transactionId} was aborted: ${doom.by} had doomed it with ${doom.code} (${doom.message}), and the ` +
        'method returned normally all the same; let the error through, or handle it outside the transaction',
      { cause: doom.cause, details: { transactionId, by: doom.by, code: doom.code } },
    );
    this.doom = doom;
  }
}

/** A statement came after its method had returned. */
export class HandleClosedError extends codedError('HANDLE_CLOSED') {
  constructor(transactionId: TransactionId) {
    super(
      `a statement came after its method of transaction ${transactionId} had returned: an await is missing before a ` +
        'query, a repository call or a promise in a loop; the transaction aborts unless it is already decided',
      { details: { transactionId } },
    );
  }
}

export interface AbortDetails {
  /** as the coordinators give it, such as `PARTICIPANT_REFUSED` */
  readonly reason: string;
  /** who refused, if a participant did */
  readonly participant?: string | undefined;
  /** its reason, such as `INSUFFICIENT_FUNDS` */
  readonly participantCode?: string | undefined;
  readonly detail?: string | undefined;
}

const REPEATABLE_REASONS = new Set(['LOCK_TIMEOUT', 'DEADLOCK_VICTIM', 'ADMISSION_TIMEOUT']);
const REPEATABLE_CODES = new Set(['LOCK_TIMEOUT', 'DEADLOCK', 'SERIALIZATION_FAILURE']);

const PROCESS_HAS_ENDED = 'the process that held the work has ended: repeat the transaction';
const REMEDIES: ReadonlyMap<string, string> = new Map([
  ['DEADLINE_EXCEEDED', 'look which participant is down or slow, or give the transaction a longer timeoutMs'],
  ['CLIENT_ABORTED', 'a method of the transaction failed in another service: its log says why'],
  ...['INSTANCE_GONE', 'INSTANCE_STOPPED', 'SESSION_LOST'].map((code) => [code, PROCESS_HAS_ENDED] as const),
]);
const REPEAT = 'repeat the transaction: retry: { attempts: 3 } does it, if the method has no other effects';

/** The coordinators decided to abort: nothing happened anywhere. `retryable`: for a lock or a conflict. */
export class GlobalTransactionAbortedError extends CodedError {
  readonly code = 'TRANSACTION_ABORTED';
  readonly retryable: boolean;
  readonly reason: string;
  readonly participant: string | undefined;
  readonly participantCode: string | undefined;

  constructor(
    transactionId: TransactionId,
    { reason, participant, participantCode, detail }: AbortDetails,
    { cause }: Pick<CodedErrorOptions, 'cause'> = {},
  ) {
    const who = participant === undefined ? '' : ` by ${participant}`;
    const why = participantCode === undefined ? reason : `${reason}, ${participantCode}`;
    const retryable = REPEATABLE_REASONS.has(reason) || REPEATABLE_CODES.has(participantCode ?? '');
    const remedy = retryable ? REPEAT : (REMEDIES.get(participantCode ?? reason) ?? REMEDIES.get(reason));
    const said = [`transaction ${transactionId} was aborted${who} (${why})`, detail].filter(Boolean).join(': ');
    super([said, remedy].filter(Boolean).join('; '), {
      cause,
      details: { transactionId, reason, participant, participantCode },
    });
    this.reason = reason;
    this.participant = participant;
    this.participantCode = participantCode;
    this.retryable = retryable;
  }
}

/** No coordinator has begun the transaction: they are down, cannot be reached, or have no leader. Nothing happened. */
export class NotBegunError extends codedError('NOT_BEGUN', { retryable: true }) {
  constructor(why: string, options?: Pick<CodedErrorOptions, 'cause'>) {
    super(`the transaction was not begun, so nothing has happened: ${why}`, options);
  }
}

/** The commit was requested, and its outcome could not be learnt in time. */
export class GlobalOutcomeUnknownError extends codedError('OUTCOME_UNKNOWN') {
  constructor(transactionId: TransactionId, options?: CodedErrorOptions) {
    super(
      `the outcome of transaction ${transactionId} is not known: no coordinator answers; do not repeat the work before ` +
        `GET /v1/transactions/${transactionId} says how it ended`,
      { ...options, details: { transactionId } },
    );
  }
}

/** A branch that did not end as its transaction was decided. */
export interface StrayBranch {
  readonly participant: string;
  readonly branchId: BranchId;
  /** `heuristic-rollback`, `heuristic-commit`, or `forgotten`: an operator has given it up, and nobody knows */
  readonly state: string;
}

/** The transaction is decided, and a branch ended against it: by hand, or because its database had lost it. */
export class GlobalTransactionMixedError extends codedError('TRANSACTION_MIXED') {
  constructor(
    transactionId: TransactionId,
    /** the decision, for all other branches; hooks have been called as it says */
    readonly decision: 'committed' | 'aborted',
    readonly branches: readonly StrayBranch[],
    options: Pick<CodedErrorOptions, 'cause'> = {},
  ) {
    const which = branches.map(({ participant, branchId, state }) => `${participant} (branch ${branchId}, ${state})`);
    const rest = decision === 'committed' ? 'the work is done everywhere else' : 'nothing is done anywhere else';
    super(
      `transaction ${transactionId} was ${decision}, but not at ${which.join(', ') || 'one participant'}, where a branch ` +
        `ended against the decision, by hand or with its database: do not repeat the work, because ${rest}; repair the ` +
        'data there, and let an operator rule "forget"',
      { ...options, details: { transactionId, decision, branches } },
    );
  }
}

/** The SDK is configured wrongly; the message says what to set. */
export class GlobalConfigurationError extends codedError('GLOBAL_CONFIGURATION') {}

/** Every code of the errors above, for the list of codes in the documents. */
export const GLOBAL_ERROR_CODES = [
  'NOT_JOINED',
  'TRANSACTION_REQUIRED',
  'TRANSACTION_FORBIDDEN',
  'INVALID_CONTEXT',
  'CONTEXT_EXPIRED',
  'ROLLBACK_ONLY',
  'HANDLE_CLOSED',
  'TRANSACTION_ABORTED',
  'NOT_BEGUN',
  'OUTCOME_UNKNOWN',
  'TRANSACTION_MIXED',
  'GLOBAL_CONFIGURATION',
] as const;
export type GlobalErrorCode = (typeof GLOBAL_ERROR_CODES)[number];
