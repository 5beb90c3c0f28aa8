import type { PreparedHistory } from './prepared-history.js';
import { isMutation, mutated, observes, type RegisterState } from './register-model.js';

/** The furthest place that the search came to. */
export interface StuckPoint {
  /** position in `events` of the return that no order of operations explains */
  readonly position: number;
  /** values that the key could have had there, some of them */
  readonly states: readonly RegisterState[];
}

export type SearchResult =
  | { readonly verdict: 'linearizable'; readonly steps: number }
  | { readonly verdict: 'undecided'; readonly steps: number }
  | { readonly verdict: 'violated'; readonly steps: number; readonly stuck: StuckPoint };

/**
 * Where a way through the history stands: everything before `position` is explained. Together with the position,
 * `state`, `unseen` and `linearized` say all that the rest depends on.
 */
interface Configuration {
  readonly position: number;
  readonly state: RegisterState;
  /** an operation of unknown outcome made this value, and nothing has noticed it yet */
  readonly unseen: boolean;
  /** called and without an instant yet, in the order of their calls */
  readonly pending: readonly number[];
  /** the same, of those whose outcome is unknown: they need no instant at all */
  readonly doubtful: readonly number[];
  /** given an instant, and not returned (of unknown outcome: for ever), ascending */
  readonly linearized: readonly number[];
}

const maximumStatesShown = 8;

/**
 * Depth-first search for an instant for each operation. Instants are given as late as possible, just before the
 * return of an operation that has none yet: a row of mutations that ends with it. Three observations keep the rows
 * few without losing any answer:
 *
 * - An operation that only looks is given its instant as soon as the value is what it saw: that costs nothing.
 * - A mutation of unknown outcome is assumed only where something notices it, in the same row: an operation that
 *   sees its value, or a mutation that builds on it; and only if somebody ever saw a value that begins with its.
 *   Otherwise it might as well not have happened.
 * - What was found to lead nowhere is not tried again.
 */
export function searchLinearization(history: PreparedHistory, maximumSteps: number): SearchResult {
  const tried = new Set<string>();
  const stateNumbers = new Map<RegisterState, number>();
  const furthest = { position: -1, states: new Set<RegisterState>() };
  const stack: Configuration[] = [
    { position: 0, state: undefined, unseen: false, pending: [], doubtful: [], linearized: [] },
  ];
  let steps = 0;
  for (let next = stack.pop(); next; next = stack.pop()) {
    if (++steps > maximumSteps) return { verdict: 'undecided', steps };
    const configuration = walk(history, next);
    const { position, state } = configuration;
    if (position === history.events.length) return { verdict: 'linearizable', steps };
    let stateNumber = stateNumbers.get(state);
    if (stateNumber === undefined) stateNumbers.set(state, (stateNumber = stateNumbers.size));
    const key = `${position}/${stateNumber}/${configuration.unseen}/${configuration.linearized.join()}`;
    if (tried.has(key)) continue;
    tried.add(key);
    if (position > furthest.position) {
      furthest.position = position;
      furthest.states.clear();
    }
    if (position === furthest.position && furthest.states.size < maximumStatesShown) furthest.states.add(state);
    const following = successors(history, configuration);
    for (let index = following.length - 1; index >= 0; index--) stack.push(following[index]!);
  }
  return { verdict: 'violated', steps, stuck: { position: furthest.position, states: [...furthest.states] } };
}

/** Goes on to the next return of an operation that has no instant yet, or to the end. */
function walk(history: PreparedHistory, from: Configuration): Configuration {
  const { state } = from;
  const pending = [...from.pending];
  const doubtful = [...from.doubtful];
  let linearized = [...from.linearized];
  let { position } = from;
  for (; position < history.events.length; position++) {
    const { type, operation: number } = history.events[position]!;
    const operation = history.operations[number]!;
    if (type === 'return') {
      if (!linearized.includes(number)) break;
      linearized = linearized.filter((other) => other !== number);
    } else if (operation.returnedAt === undefined) doubtful.push(number);
    else if (!isMutation(operation) && observes(operation, state)) linearized.push(number);
    else pending.push(number);
  }
  return { position, state, unseen: from.unseen, pending, doubtful, linearized };
}

/** One more mutation each, the likeliest first: the one that has to return, then what lets it return. */
function successors(history: PreparedHistory, from: Configuration): Configuration[] {
  const target = history.events[from.position]!.operation;
  const found: { readonly configuration: Configuration; readonly rank: number }[] = [];
  for (const candidates of [from.pending, from.doubtful]) {
    for (const candidate of candidates) {
      const configuration = withMutation(history, from, candidate);
      if (!configuration) continue;
      const reachesTarget = configuration.linearized.includes(target);
      const rank = (reachesTarget ? 0 : 2) + (candidates === from.doubtful ? 1 : 0);
      found.push({ configuration, rank });
    }
  }
  return found.sort((left, right) => left.rank - right.rank).map(({ configuration }) => configuration);
}

function withMutation(history: PreparedHistory, from: Configuration, candidate: number): Configuration | undefined {
  const operation = history.operations[candidate]!;
  if (!isMutation(operation) || (from.unseen && operation.kind === 'write')) return undefined;
  const after = mutated(operation, from.state);
  const unknown = operation.returnedAt === undefined;
  if (after === 'impossible' || (unknown && !history.mayBeNoticed(after.state))) return undefined;
  const noticedBy = from.pending.filter((number) => {
    const other = history.operations[number]!;
    return !isMutation(other) && observes(other, after.state);
  });
  const linearized = [...from.linearized, candidate, ...noticedBy].sort((left, right) => left - right);
  const isLeft = (number: number): boolean => number !== candidate && !noticedBy.includes(number);
  return {
    position: from.position,
    state: after.state,
    unseen: unknown && noticedBy.length === 0,
    pending: from.pending.filter(isLeft),
    doubtful: from.doubtful.filter(isLeft),
    linearized,
  };
}
