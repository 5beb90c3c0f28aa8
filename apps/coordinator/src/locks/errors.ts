import type { LockLease } from '@concordat/commit-protocol';
import { codedError } from '@concordat/foundation';

export class LockHeldError extends codedError('LOCK_HELD') {
  constructor({ name, owner, expiresAt }: LockLease) {
    const holder = { owner, expiresAt: new Date(expiresAt).toISOString() };
    super(`the lock ${name} is held by ${owner}; wait for it with waitMs, or ask again later`, { details: { holder } });
  }
}

/** The lock is free, or another holds it: the lease has ended, and perhaps long ago. */
export class LockNotHeldError extends codedError('LOCK_NOT_HELD') {}

/** The holder is another principal. Nothing happened. */
export class LockOfAnotherError extends codedError('FORBIDDEN') {}

/** Nothing happened. */
export class TooManyLocksError extends codedError('TOO_MANY_LOCKS', { retryable: true }) {}

/** Nothing happened. */
export class TooManyWaitersError extends codedError('TOO_MANY_WAITERS', { retryable: true }) {}
