import { isHandler } from '../nest-instances.js';
import { nestLogger } from '../nest-logger.js';
import { isWrapped, isWrapperOf, originals, type Method } from './wrapped-method.js';

/**
 * Stands in the class for a method with `@GlobalTransaction()`. An instance that belongs to an application has a method of
 * its own, which runs the user's in a transaction. Whoever took the method from the class before the application had
 * started (a scheduler) is led there. A call that no application knows of runs without a transaction, and a warning says
 * so, once for each method.
 */
export function putStandIn(key: string | symbol, descriptor: PropertyDescriptor): void {
  const method = descriptor.value as Method;
  let hasWarned = false;
  function standIn(this: unknown, ...parameters: unknown[]): unknown {
    const own = ownMethod(this, key);
    if (own && isWrapperOf(own, method)) return own.apply(this, parameters);
    if (!hasWarned && !(own && (isWrapped(own) || isHandler(own)))) {
      hasWarned = true;
      nestLogger().warn(sentenceFor(this, key));
    }
    return method.apply(this, parameters);
  }
  for (const found of Reflect.getMetadataKeys(method)) {
    Reflect.defineMetadata(found, Reflect.getMetadata(found, method), standIn);
  }
  Object.defineProperty(standIn, 'name', { value: method.name, configurable: true });
  originals.set(standIn, method);
  descriptor.value = standIn;
}

function ownMethod(instance: unknown, key: string | symbol): Method | undefined {
  if (typeof instance !== 'object' || instance === null) return undefined;
  const found: unknown = Reflect.get(instance, key);
  return typeof found === 'function' ? (found as Method) : undefined;
}

function sentenceFor(instance: unknown, key: string | symbol): string {
  const isInstance = typeof instance === 'object' && instance !== null;
  const method = isInstance ? `${instance.constructor.name}.${String(key)}` : String(key);
  return (
    `${method} has @GlobalTransaction() and was called without a transaction: its work commits by itself. Import ` +
    'ConcordatModule.forRoot(…) in the root module, let Nest make the instance (a provider), and call the method on it ' +
    'after the application has started. In a unit test that makes the instance with "new" this is as it should be'
  );
}
