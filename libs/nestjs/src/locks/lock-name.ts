import { codedError } from '@concordat/foundation';

/** The name of a lock cannot be made from the arguments of a call. */
export class LockNameError extends codedError('INVALID_LOCK_NAME') {}

/** A method's own way to name its lock. */
export type LockNameOf = (...parameters: never[]) => string;

const PLACEHOLDER = /:([A-Za-z_]\w*|\d+)/g;

/**
 * Makes the name of a lock from a pattern and the arguments of a call. `:2` is the third argument; `:id` is the property
 * `id` of the first argument that has one.
 *
 * @throws LockNameError when an argument is missing, or is neither a text nor a number
 */
export function lockNameOf(pattern: string, parameters: readonly unknown[]): string {
  return pattern.replace(PLACEHOLDER, (placeholder, key: string) => {
    const value = /^\d+$/.test(key) ? parameters[Number(key)] : propertyOf(parameters, key);
    if (typeof value === 'string' ? value !== '' : Number.isFinite(value)) return String(value);
    throw new LockNameError(
      `the lock "${pattern}" needs ${placeholder}, and no argument of the call has a text or a number there; ` +
        'name the argument by its position (:0), or give a function instead of a pattern',
    );
  });
}

function propertyOf(parameters: readonly unknown[], key: string): unknown {
  for (const parameter of parameters) {
    if (typeof parameter !== 'object' || parameter === null || !(key in parameter)) continue;
    return (parameter as Readonly<Record<string, unknown>>)[key];
  }
  return undefined;
}
