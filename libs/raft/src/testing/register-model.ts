import type { Operation } from './history.js';

/** The value of a key; undefined: it has none. */
export type RegisterState = string | undefined;

/** Whether an operation may change the value. A compare-and-set that was refused has only looked. */
export function isMutation(operation: Operation): boolean {
  if (operation.kind === 'read') return false;
  return operation.kind !== 'cas' || operation.ok || operation.returnedAt === undefined;
}

/** Whether an operation that changes nothing gives the answer it gave when the value is `state`. */
export function observes(operation: Operation, state: RegisterState): boolean {
  if (operation.kind === 'read') return operation.output === state;
  return operation.kind === 'cas' && operation.expected !== state;
}

/**
 * The value after a mutation, or 'impossible' when it would not have given its answer. An unknown compare-and-set
 * is one that succeeds: if it fails it changes nothing, and nobody heard of it.
 */
export function mutated(operation: Operation, state: RegisterState): { readonly state: string } | 'impossible' {
  switch (operation.kind) {
    case 'read':
      return 'impossible';
    case 'write':
      return { state: operation.input };
    case 'cas':
      return state === operation.expected ? { state: operation.input } : 'impossible';
    case 'append': {
      const after = (state ?? '') + operation.input;
      const told = operation.returnedAt === undefined ? undefined : operation.output;
      return told === undefined || told === after ? { state: after } : 'impossible';
    }
  }
}
