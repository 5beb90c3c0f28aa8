import type { AsyncLocalStorage } from 'node:async_hooks';
import { codedError } from '@concordat/foundation';
import { NESTJS_PACKAGE } from '../one-copy.js';
import type { MethodLock } from './lock-source.js';

/** There is no lock around this call. */
export class NoCurrentLockError extends codedError('NO_CURRENT_LOCK') {}

interface Scope {
  readonly lock: MethodLock;
  readonly outer: Scope | undefined;
}

const scopes = NESTJS_PACKAGE.locks as AsyncLocalStorage<Scope>;

/**
 * The lock of the innermost `@WithLock` around this call.
 *
 * @throws NoCurrentLockError where there is none
 */
export function currentLock(): MethodLock {
  const scope = scopes.getStore();
  if (scope) return scope.lock;
  throw new NoCurrentLockError('no @WithLock is around this call; is LocksModule imported?');
}

/** Whether a call further out has the lock. */
export function hasLock(name: string): boolean {
  for (let scope = scopes.getStore(); scope; scope = scope.outer) if (scope.lock.name === name) return true;
  return false;
}

export function runWithLock<Result>(lock: MethodLock, work: () => Result): Result {
  return scopes.run({ lock, outer: scopes.getStore() }, work);
}
