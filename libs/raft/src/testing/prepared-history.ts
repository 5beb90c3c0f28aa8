import { invariant } from '@concordat/foundation';
import type { Operation } from './history.js';
import { isMutation } from './register-model.js';

/** A call, or the return of an operation whose outcome is known. */
export interface HistoryEvent {
  readonly type: 'call' | 'return';
  /** position of the operation in `operations` */
  readonly operation: number;
}

/** The operations of one key as a row of events. */
export interface PreparedHistory {
  readonly key: string;
  /** by the time of their call; without reads whose outcome is unknown, which say nothing */
  readonly operations: readonly Operation[];
  readonly events: readonly HistoryEvent[];
  /**
   * Whether a value may have been noticed by anybody, by itself or with something appended to it. If not, and an
   * operation of unknown outcome would make it, then that one may as well not have happened.
   */
  readonly mayBeNoticed: (value: string) => boolean;
}

/** The histories of all keys, shortest first. */
export function preparedHistories(history: readonly Operation[]): PreparedHistory[] {
  const perKey = new Map<string, Operation[]>();
  for (const operation of history) {
    const { calledAt, returnedAt } = operation;
    invariant(returnedAt === undefined || returnedAt >= calledAt, 'an operation is called before it returns');
    if (operation.kind === 'read' && returnedAt === undefined) continue;
    const operations = perKey.get(operation.key);
    if (operations) operations.push(operation);
    else perKey.set(operation.key, [operation]);
  }
  return [...perKey]
    .map(([key, operations]) => prepared(key, operations))
    .sort((left, right) => left.operations.length - right.operations.length);
}

function prepared(key: string, unsorted: readonly Operation[]): PreparedHistory {
  const operations = [...unsorted].sort((left, right) => left.calledAt - right.calledAt);
  const timed = operations.flatMap(({ calledAt, returnedAt }, operation) => {
    const call = { at: calledAt, order: 0, event: { type: 'call', operation } as const };
    if (returnedAt === undefined) return [call];
    return [call, { at: returnedAt, order: 1, event: { type: 'return', operation } as const }];
  });
  // at equal times calls go first: what touches counts as concurrent, so the check never accuses without reason
  timed.sort((left, right) => left.at - right.at || left.order - right.order);
  return { key, operations, events: timed.map(({ event }) => event), mayBeNoticed: noticing(operations) };
}

function noticing(operations: readonly Operation[]): (value: string) => boolean {
  // a compare-and-set that was refused has noticed every value but one
  if (operations.some((operation) => operation.kind === 'cas' && !isMutation(operation))) return () => true;
  const noticed = operations.flatMap((operation) => noticedValue(operation) ?? []).sort();
  return (value) => {
    let low = 0;
    let high = noticed.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (noticed[middle]! < value) low = middle + 1;
      else high = middle;
    }
    return noticed[low]?.startsWith(value) ?? false;
  };
}

function noticedValue(operation: Operation): string | undefined {
  switch (operation.kind) {
    case 'read':
      return operation.output;
    case 'write':
      return undefined;
    case 'cas':
      return operation.expected;
    case 'append':
      return operation.returnedAt === undefined ? undefined : operation.output;
  }
}
