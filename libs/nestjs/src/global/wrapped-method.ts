import { isObservable, type Observable } from 'rxjs';
import {
  GlobalConfigurationError,
  runGenerator,
  type GlobalTransactionOptions,
  type GlobalTransactions,
} from '@concordat/participant';
import { lockAround } from '../locks/with-lock.decorator.js';
import { runObservable } from './observables.js';

export type Method = (this: unknown, ...parameters: unknown[]) => unknown;

/** What stands in the class, or runs in a transaction, and the method behind it: so that none is wrapped twice. */
export const originals = new WeakMap<object, Method>();
/** The methods of instances that run in a transaction. */
const wrappers = new WeakSet<object>();

/** The user's method, also where it is wrapped already; a lock may be around it. */
function originalOf(method: Method): Method {
  return originals.get(method) ?? method;
}

/** The user's method, under all that decorators have put around it. */
function innermost(method: Method): Method {
  const outer = originalOf(method);
  const lock = lockAround(outer);
  return lock ? originalOf(lock.method) : outer;
}

/** Whether a method runs in a transaction, because its instance belongs to an application. */
export function isWrapped(method: Method): boolean {
  return wrappers.has(method);
}

/** Whether it runs this method in a transaction, and not one that overrides it. */
export function isWrapperOf(wrapper: Method, method: Method): boolean {
  return wrappers.has(wrapper) && innermost(wrapper) === innermost(method);
}

/**
 * Puts a method in place that runs the one there in a global transaction; decorators see no difference. A lock of
 * `@WithLock` is around the transaction, however the decorators stand: the next holder sees what was committed.
 */
export function wrapMethod(
  target: object,
  name: string,
  transactions: GlobalTransactions,
  options: GlobalTransactionOptions,
): void {
  const current = Reflect.get(target, name) as Method;
  const method = originalOf(current);
  const lock = lockAround(method);
  const inner = wrapped(transactions, target, name, innermost(method), options);
  const value = lock?.around(inner) ?? inner;
  for (const key of Reflect.getMetadataKeys(current) as unknown[]) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, current), value);
  }
  originals.set(value, method);
  wrappers.add(value);
  Object.defineProperty(target, name, { value, configurable: true, writable: true, enumerable: false });
}

const AsyncGeneratorFunction = Object.getPrototypeOf(async function* () {}).constructor as new () => object;

function wrapped(
  transactions: GlobalTransactions,
  target: object,
  name: string,
  method: Method,
  options: GlobalTransactionOptions,
): Method {
  if (method instanceof AsyncGeneratorFunction) {
    return function (...parameters) {
      const generate = (): AsyncGenerator => method.apply(this, parameters) as AsyncGenerator;
      return runGenerator(transactions, options, generate as () => AsyncGenerator<unknown, void, void>);
    };
  }
  if (returnsObservable(target, name)) {
    return function (...parameters) {
      return runObservable(transactions, options, () => method.apply(this, parameters) as Observable<unknown>);
    };
  }
  return function (...parameters) {
    return transactions.run(options, async () => {
      const result = await method.apply(this, parameters);
      if (isObservable(result)) {
        throw new GlobalConfigurationError(
          `${target.constructor.name}.${name} has @GlobalTransaction() and returned an Observable; declare its return ` +
            'type as Observable<…>, so that the transaction can begin with the subscription',
        );
      }
      return result;
    });
  };
}

/** By the declared type, which TypeScript writes down (`emitDecoratorMetadata`). */
function returnsObservable(target: object, name: string): boolean {
  const type = Reflect.getMetadata('design:returntype', target, name) as { readonly name?: string } | undefined;
  return type?.name === 'Observable';
}
