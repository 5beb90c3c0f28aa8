import { callWithLock, sourceOf, WithLockMisusedError } from './locked-call.js';
import type { LockNameOf } from './lock-name.js';
import type { MethodLockOptions } from './lock-source.js';

/** Marks the methods that need a source of locks. */
export const WITH_LOCK = Symbol.for('concordat:with-lock');

type Method = (this: object, ...parameters: unknown[]) => unknown;

/**
 * The method runs while this process has a lock, in the whole cluster. The lock is taken before and given back after;
 * its lease is renewed in between. `currentLock()` inside gives the fencing token and a signal. A call inside that wants
 * the same lock has it already.
 *
 *     @WithLock('invoice-:id', { waitMs: 5_000 })
 *     async pay(invoice: Invoice) { … currentLock().fencingToken … }
 *
 * For methods of singleton providers and controllers that return a promise; `LocksModule` must be imported. A call
 * rejects with `LOCK_HELD` when another has the lock, and with `LOCK_LOST` when the lock was lost before the method had
 * ended: then others may have run beside it, and only what was stored with the token is safe.
 *
 * @param name `:id` stands for the property `id` of the first argument that has one, `:0` for the first argument; or a
 *   function of the arguments
 */
export function WithLock(name: string | LockNameOf, options: MethodLockOptions = {}): MethodDecorator {
  return (_target, key, descriptor: PropertyDescriptor) => {
    const original: unknown = descriptor.value;
    if (typeof original !== 'function') throw new WithLockMisusedError('@WithLock is for methods');
    const method = original as Method;
    const locked: Method = function (...parameters) {
      const source = sourceOf(this, `${this.constructor.name}.${String(key)}`);
      return callWithLock({ source, name, options, parameters }, () => method.apply(this, parameters));
    };
    for (const found of Reflect.getMetadataKeys(method)) {
      Reflect.defineMetadata(found, Reflect.getMetadata(found, method), locked);
    }
    Reflect.defineMetadata(WITH_LOCK, true, locked);
    Object.defineProperty(locked, 'name', { value: method.name, configurable: true });
    descriptor.value = locked;
  };
}
