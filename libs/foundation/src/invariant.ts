/** A programmer's error: the code reached a state that must not exist. Never caught to continue. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/**
 * Asserts what must always hold, in production too.
 *
 * @param message the property in words, as a sentence that is true when all is well
 * @throws InvariantError when the condition is false
 */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(`invariant violated: ${message}`);
}

/** Ends an exhaustive `switch`: the type checker proves that it is never reached. */
export function unreachable(value: never, what = 'value'): never {
  throw new InvariantError(`invariant violated: unknown ${what} ${JSON.stringify(value)}`);
}
