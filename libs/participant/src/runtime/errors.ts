import { CodedError, codedError, type CodedErrorOptions } from '@concordat/foundation';

/**
 * Thrown by a handler to refuse its operation for a business reason: the branch votes `no`, and the client gets `code`
 * as `participantCode` and `message` in `detail`, so neither may hold secrets.
 */
export class BranchRefusedError extends CodedError {
  readonly retryable = false;

  /** @param code stable, upper case: `INSUFFICIENT_FUNDS` */
  constructor(
    readonly code: string,
    message: string,
    options?: CodedErrorOptions,
  ) {
    super(message, options);
  }
}

/** The state of a branch is unknown: nothing is reported, and the coordinator or the sweeper asks again. */
export class ResourceManagerUnavailableError extends codedError('RESOURCE_MANAGER_UNAVAILABLE', { retryable: true }) {}

/** The branch cannot be held: another session works on it, it is prepared, or it has ended. */
export class BranchOccupiedError extends codedError('BRANCH_OCCUPIED') {
  constructor(branchId: string) {
    super(
      `branch ${branchId} cannot be held: another session works on it, or it is prepared, or it has ended; ` +
        'hold a new branch, under a new branchId',
    );
  }
}

/** No place for another held branch became free. */
export class HeldBranchesExhaustedError extends codedError('HELD_BRANCHES_EXHAUSTED', { retryable: true }) {}

/** The runtime is not consuming: it was not started, or it has stopped. */
export class ParticipantStoppedError extends codedError('PARTICIPANT_STOPPED') {}

/** The database has changed since the transaction began, and may have lost an earlier vote: the branch abstains. */
export class BranchAbstainsError extends ResourceManagerUnavailableError {
  constructor(branchId: string) {
    super(`branch ${branchId} abstains: its transaction began before the database was restored or failed over`);
  }
}

/** The application's `beforeConsuming` timed out; it may still be running, so the process must end. */
export class BeforeConsumingTimeoutError extends codedError('BEFORE_CONSUMING_TIMEOUT') {
  constructor(limitMs: number, options?: CodedErrorOptions) {
    super(
      `beforeConsuming did not end within ${limitMs} ms, so nothing is consumed; find out what it waits for ` +
        '(a lock, another server), or raise beforeConsumingTimeoutMs if it needs longer, and start the process again',
      options,
    );
  }
}

/** The participant is configured wrongly: two handlers for one operation, or an invalid name. */
export class ParticipantConfigurationError extends codedError('PARTICIPANT_CONFIGURATION') {}
