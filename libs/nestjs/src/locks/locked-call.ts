import { codedError } from '@concordat/foundation';
import { hasLock, runWithLock } from './current-lock.js';
import { lockNameOf, type LockNameOf } from './lock-name.js';
import type { LockSource, MethodLockOptions } from './lock-source.js';

/** `@WithLock` stands where it cannot work. */
export class WithLockMisusedError extends codedError('WITH_LOCK_MISUSED') {}

/** By instance, so that several applications in one process do not meet. */
const sources = new WeakMap<object, LockSource>();

/** The methods of this instance take their locks from here. */
export function setSource(instance: object, source: LockSource): void {
  sources.set(instance, source);
}

/** @throws WithLockMisusedError */
export function sourceOf(instance: object, method: string): LockSource {
  const source = sources.get(instance);
  if (source) return source;
  throw new WithLockMisusedError(
    `${instance.constructor.name}.${method} has @WithLock and no source of locks: import LocksModule.forRoot() in the root module, ` +
      'let Nest make the instance, and call the method after the application was initialized',
  );
}

export interface LockedCall {
  readonly source: LockSource;
  readonly name: string | LockNameOf;
  readonly options: MethodLockOptions;
  readonly parameters: readonly unknown[];
}

/** Runs the work under the lock, or under that of a call further out. */
export async function callWithLock(
  { source, name, options, parameters }: LockedCall,
  work: () => unknown,
): Promise<unknown> {
  const lockName = typeof name === 'string' ? lockNameOf(name, parameters) : name(...(parameters as never[]));
  if (hasLock(lockName)) return promiseOf(work());
  const lock = await source.locks.acquire(lockName, options);
  let result: unknown;
  try {
    result = await runWithLock(lock, () => promiseOf(work()));
    lock.throwIfLost();
  } catch (error) {
    await lock[Symbol.asyncDispose]().catch(() => undefined); // the first error counts
    throw error;
  }
  await lock[Symbol.asyncDispose]();
  return result;
}

/** What is not a promise would go on after the lock was given back. */
function promiseOf(result: unknown): unknown {
  const isObject = typeof result === 'object' && result !== null;
  if (!isObject || !('subscribe' in result || Symbol.asyncIterator in result)) return result;
  throw new WithLockMisusedError(
    'a method with @WithLock returns a stream, which would outlive its lock; return a promise',
  );
}
