import { callWithLock, sourceOf, WithLockMisusedError } from './locked-call.js';
import type { LockNameOf } from './lock-name.js';
import type { MethodLockOptions } from './lock-source.js';

/** Marks the methods that need a source of locks. */
export const WITH_LOCK = Symbol.for('concordat:with-lock');

type Method = (this: unknown, ...parameters: unknown[]) => unknown;

/** A method and its lock, apart. */
interface LockAround {
  /** the user's method, without the lock */
  readonly method: Method;
  /** puts the lock around another method */
  around(inner: Method): Method;
}

/** By the methods that `@WithLock` has put in place. */
const locks = new WeakMap<Method, LockAround>();

/** What `@WithLock` has made of a method; undefined for one without. */
export function lockAround(method: Method): LockAround | undefined {
  return locks.get(method);
}

/** A decorator for methods that return a promise; the compiler refuses others. */
export type LockedMethodDecorator = <Locked extends (...parameters: never[]) => PromiseLike<unknown>>(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<Locked>,
) => void;

/**
 * The method runs while this process has a lock, in the whole cluster. The lock is taken before and given back after;
 * its lease is renewed in between. `currentLock()` inside gives the fencing token and a signal. A call inside that wants
 * the same lock has it already. With `@GlobalTransaction()` on the same method of a provider, the lock is given back
 * when the transaction has ended.
 *
 * `@WithLock('invoice-:id', { waitMs: 5_000 })` on `pay(invoice: Invoice)` takes the lock `invoice-7` for the invoice
 * whose `id` is 7, and waits up to five seconds for it.
 *
 * For methods of providers and controllers, whatever their scope, that return a promise; `LocksModule` must be imported.
 * A call rejects with `LOCK_HELD` when another has the lock, and with `LOCK_LOST` when the lock was lost before the
 * method had ended: then others may have run beside it, and only what was stored with the token is safe.
 *
 * @param name `:id` stands for the property `id` of the first argument that has one, `:0` for the first argument; or a
 *   function of the arguments
 */
export function WithLock(name: string | LockNameOf, options: MethodLockOptions = {}): LockedMethodDecorator {
  return (_target, key, descriptor: PropertyDescriptor) => {
    const original: unknown = descriptor.value;
    if (typeof original !== 'function') throw new WithLockMisusedError('@WithLock is for methods');
    refuseUnknown(options, String(key));
    const method = original as Method;
    const around = (inner: Method): Method =>
      function (...parameters) {
        const source = sourceOf(this as object, String(key));
        return callWithLock({ source, name, options, parameters }, () => inner.apply(this, parameters));
      };
    const locked = around(method);
    locks.set(locked, { method, around });
    for (const found of Reflect.getMetadataKeys(method)) {
      Reflect.defineMetadata(found, Reflect.getMetadata(found, method), locked);
    }
    Reflect.defineMetadata(WITH_LOCK, true, locked);
    Object.defineProperty(locked, 'name', { value: method.name, configurable: true });
    descriptor.value = locked;
  };
}

const OPTION_NAMES: Readonly<Record<keyof MethodLockOptions, true>> = { ttlMs: true, waitMs: true };

/** @throws WithLockMisusedError for an option that does not exist, such as `ttl`: the default would hold silently */
function refuseUnknown(options: MethodLockOptions, method: string): void {
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(OPTION_NAMES, name));
  if (unknown === undefined) return;
  const names = Object.keys(OPTION_NAMES).join(', ');
  throw new WithLockMisusedError(`@WithLock of ${method}: there is no option "${unknown}"; use ${names}`);
}
