import { CodedError, type CodedErrorOptions } from '@concordat/foundation';

/**
 * Thrown by a handler to refuse its operation for a business reason: the branch votes `no`, and the client sees
 * `code` as `participantCode` and `message` in `detail`, so neither may hold secrets.
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

/** The truth about a branch is not known: nothing is reported, and the coordinator or the sweeper comes again. */
export class ResourceManagerUnavailableError extends CodedError {
  readonly code = 'RESOURCE_MANAGER_UNAVAILABLE';
  readonly retryable = true;
}

/** The database has changed since the transaction began, and may have lost an earlier vote: nothing may be said. */
export class BranchAbstainsError extends ResourceManagerUnavailableError {
  constructor(branchId: string) {
    super(`branch ${branchId} abstains: its transaction began before the database was restored or failed over`);
  }
}

/** The application's `beforeConsuming` did not come to an end in time; it may still be at work, so the process ends. */
export class BeforeConsumingTimeoutError extends CodedError {
  readonly code = 'BEFORE_CONSUMING_TIMEOUT';
  readonly retryable = false;

  constructor(limitMs: number, options?: CodedErrorOptions) {
    super(
      `beforeConsuming did not come to an end within ${limitMs} ms, so nothing is consumed; find out what it waits for ` +
        '(a lock, another server), or raise beforeConsumingTimeoutMs if it needs longer, and start the process again',
      options,
    );
  }
}

/** The participant is wired wrongly: two handlers for one operation, a name that cannot be used. */
export class ParticipantConfigurationError extends CodedError {
  readonly code = 'PARTICIPANT_CONFIGURATION';
  readonly retryable = false;
}
