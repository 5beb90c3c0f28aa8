import { CodedError, TimeLimitError, errorMessage, invariant } from '@concordat/foundation';
import type { BranchError } from '@concordat/commit-protocol';
import { serverErrorOf, sqlStateOf, type ServerError } from './sql-state.js';

/**
 * What an error says about its session.
 *
 * - `intact`: the statement was refused; after a rollback the session is as before.
 * - `dirty`: the session answers, but its plans and statements are unreliable: it is closed.
 * - `dead`: the session is gone or in an unknown state: its socket is destroyed.
 */
export type SessionFate = 'intact' | 'dirty' | 'dead';

/** What an error of the database means for its session and for the branch. */
export interface FailureClass {
  readonly session: SessionFate;
  readonly refusal: BranchError;
}

interface Row {
  /** prefix of the SQLSTATE: all of it, its class (two letters) or a group; the first matching row counts */
  readonly state: string;
  readonly session: SessionFate;
  readonly refusal: BranchError | ((state: string) => BranchError);
  readonly fits?: (error: ServerError) => boolean;
}

const GRAVITY: Readonly<Record<SessionFate, number>> = { intact: 0, dirty: 1, dead: 2 };

const LOCK_TIMEOUT: BranchError = {
  code: 'LOCK_TIMEOUT',
  message: 'a lock or a statement timed out',
};
/** The server rolled the transaction back instead of preparing or committing it. */
export const TRANSACTION_FAILED: BranchError = {
  code: 'TRANSACTION_FAILED',
  message: 'a statement had failed and the handler went on',
};
const SCHEMA_CHANGED: BranchError = {
  code: 'SCHEMA_CHANGED',
  message: 'the schema of the database has changed since the statement was planned; repeat the transaction',
};
const STATEMENT_LOST: BranchError = {
  code: 'STATEMENT_LOST',
  message: 'the prepared statements of the session are not those that were made there; repeat the transaction',
};
const SESSION_ENDED: BranchError = {
  code: 'DATABASE_SESSION_ENDED',
  message: 'the database ended the session; repeat the transaction',
};
const CONNECTION_LOST: BranchError = {
  code: 'DATABASE_CONNECTION_LOST',
  message: 'the connection to the database was lost; repeat the transaction',
};

const NOT_ANSWERED: BranchError = { code: 'DATABASE_TIMEOUT', message: 'the database did not answer in time' };

/** Server functions that refuse a PREPARE. */
const REFUSING_ROUTINES = new Set([
  'PrepareTransaction',
  'AtPrepare_Notify',
  'PreCommit_Portals',
  'AtPrepare_Locks',
  'CheckForSessionAndXactLocks',
]);

/**
 * All failures between a branch and its database. States are from appendix A of the PostgreSQL documentation. A state
 * with several meanings is distinguished by the server's source file and by setting names in its hint, which are the
 * same in every `lc_messages`.
 */
const TABLE: readonly Row[] = [
  { state: '55P03', session: 'intact', refusal: LOCK_TIMEOUT },
  { state: '57014', session: 'intact', refusal: LOCK_TIMEOUT },
  {
    state: '40P01',
    session: 'intact',
    refusal: { code: 'DEADLOCK', message: 'the database found a deadlock; repeat the transaction' },
  },
  {
    state: '40001',
    session: 'intact',
    refusal: { code: 'SERIALIZATION_FAILURE', message: 'concurrent changes conflicted; repeat the transaction' },
  },
  { state: '25P02', session: 'intact', refusal: TRANSACTION_FAILED },

  // plancache.c: "cached plan must not change result type"
  { state: '0A000', session: 'dirty', refusal: SCHEMA_CHANGED, fits: isStalePlan },
  {
    state: '0A000',
    session: 'intact',
    refusal: {
      code: 'NOT_PREPARABLE',
      message: 'the work used a feature that cannot be prepared: temporary tables, LISTEN or NOTIFY, or held cursors',
    },
    fits: isRefusedPrepare,
  },
  {
    state: '0A000',
    session: 'intact',
    refusal: { code: 'NOT_SUPPORTED', message: 'the database does not support what the handler asked for' },
  },
  { state: '26', session: 'dirty', refusal: STATEMENT_LOST },
  { state: '42P05', session: 'dirty', refusal: STATEMENT_LOST },

  {
    state: '53200',
    session: 'intact',
    refusal: {
      code: 'PREPARED_TRANSACTIONS_EXHAUSTED',
      message: 'the database has no room for another prepared transaction (max_prepared_transactions); try later',
    },
    fits: isOutOfPreparedTransactions,
  },
  {
    state: '53200',
    session: 'intact',
    refusal: {
      code: 'LOCK_TABLE_FULL',
      message: 'the lock table of the database is full (max_locks_per_transaction); try later',
    },
    fits: isOutOfLocks,
  },
  {
    state: '53200',
    session: 'dirty',
    refusal: { code: 'DATABASE_OUT_OF_MEMORY', message: 'the database has run out of memory; try later' },
  },
  {
    state: '53100',
    session: 'intact',
    refusal: { code: 'DATABASE_DISK_FULL', message: 'the disk of the database is full; try later' },
  },
  { state: '53300', session: 'dead', refusal: SESSION_ENDED },

  // ends of sessions: shutdown, crash, dropped database, and the three timeouts that disconnect
  { state: '57P', session: 'dead', refusal: SESSION_ENDED },
  { state: '25P03', session: 'dead', refusal: SESSION_ENDED },
  { state: '25P04', session: 'dead', refusal: SESSION_ENDED },
  { state: '08', session: 'dead', refusal: CONNECTION_LOST },

  { state: '23', session: 'intact', refusal: constraintViolation },
  { state: '44', session: 'intact', refusal: constraintViolation },

  // the server itself, its files or its environment are broken, or an operator intervened
  { state: 'XX', session: 'dirty', refusal: databaseError },
  { state: '58', session: 'dirty', refusal: databaseError },
  { state: 'F0', session: 'dirty', refusal: databaseError },
  { state: '57', session: 'dirty', refusal: databaseError },
  { state: '28', session: 'dirty', refusal: databaseError },
  // any other state is about the statement
  { state: '', session: 'intact', refusal: databaseError },
];

/** Classifies the error of a statement; an error that no server sent is the connection's. */
export function classifyFailure(error: unknown): FailureClass {
  const sent = serverErrorOf(error);
  if (error instanceof TimeLimitError) return { session: 'dead', refusal: NOT_ANSWERED };
  if (!sent) return { session: 'dead', refusal: CONNECTION_LOST };
  const row = TABLE.find(({ state, fits }) => sent.code.startsWith(state) && (fits?.(sent) ?? true));
  invariant(row, 'the last row fits every state');
  const { session, refusal } = row;
  return { session, refusal: typeof refusal === 'function' ? refusal(sent.code) : refusal };
}

/** Whether the session is gone; then there is nothing to roll back. */
export function isSessionDead(error: unknown): boolean {
  return classifyFailure(error).session === 'dead';
}

/** Everything about a failure, for the log. */
export function describeFailure(error: unknown): string {
  const code = error instanceof CodedError ? error.code : sqlStateOf(error);
  return code === undefined ? errorMessage(error) : `${errorMessage(error)} (${code})`;
}

export function worseFate(one: SessionFate, other: SessionFate): SessionFate {
  return GRAVITY[one] < GRAVITY[other] ? other : one;
}

/** "cached plan must not change result type" */
function isStalePlan({ file, message }: ServerError): boolean {
  return file === 'plancache.c' || /cached plan/.test(message);
}

/** Every translation of these messages contains the keyword. */
function isRefusedPrepare({ routine, message }: ServerError): boolean {
  return REFUSING_ROUTINES.has(routine ?? '') || /\bPREPARE\b/.test(message);
}

function isOutOfPreparedTransactions({ file, hint }: ServerError): boolean {
  return file === 'twophase.c' || /\bmax_prepared_transactions\b/.test(hint ?? '');
}

function isOutOfLocks({ file, hint }: ServerError): boolean {
  return file === 'lock.c' || file === 'predicate.c' || /\bmax_(pred_)?locks_per_transaction\b/.test(hint ?? '');
}

function constraintViolation(state: string): BranchError {
  return { code: 'CONSTRAINT_VIOLATION', message: `a constraint of the database refused the change (${state})` };
}

function databaseError(state: string): BranchError {
  return { code: 'DATABASE_ERROR', message: `the database refused the change (${state})` };
}
