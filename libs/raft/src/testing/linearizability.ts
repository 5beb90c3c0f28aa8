import type { Operation } from './history.js';
import { explainViolation } from './explanation.js';
import { preparedHistories } from './prepared-history.js';
import { searchLinearization } from './linearization-search.js';

/** How long the checker searches before it gives up. */
export interface LinearizabilityOptions {
  /** how many orders of operations are tried in all before it gives up, default 2,000,000 */
  readonly maximumSteps?: number;
}

/** There is no order of the operations of this key that explains all answers; or, `undecided`, none was found in time. */
export interface NotLinearizable {
  readonly linearizable: false;
  /** the budget was used up: neither shown to be right nor wrong, which counts as a failure of the test */
  readonly undecided: boolean;
  readonly key: string;
  /** lines for a reader: what cannot be explained, and what happened around it; or what to do about `undecided` */
  readonly explanation: string;
}

/** What the checker found; `undecided` counts as a failure. */
export type LinearizabilityResult = { readonly linearizable: true } | NotLinearizable;

/**
 * Whether a history of a key-value store is linearizable (Herlihy and Wing, 1990): whether every operation can be
 * given one instant between its call and its return, such that the answers are those of a single store which
 * executes them at these instants one by one. Keys begin without a value. As linearizability is local, each key is
 * checked by itself. Of several keys that are violated it names the one with the shortest history.
 *
 * The search is that of Wing and Gong (1993) with Lowe's just-in-time linearization and memory of the states that
 * led nowhere ("Testing for linearizability", 2017). Its time is about linear for a history that is right and
 * exponential in the number of concurrent operations on a key for the worst of the others, hence `maximumSteps`.
 */
export function checkLinearizable(
  history: readonly Operation[],
  options: LinearizabilityOptions = {},
): LinearizabilityResult {
  const maximumSteps = options.maximumSteps ?? 2_000_000;
  let steps = 0;
  for (const prepared of preparedHistories(history)) {
    const { key, operations } = prepared;
    const found = searchLinearization(prepared, maximumSteps - steps);
    steps += found.steps;
    if (found.verdict === 'violated')
      return { linearizable: false, undecided: false, key, explanation: explainViolation(prepared, found.stuck) };
    if (found.verdict === 'undecided') {
      const explanation =
        `key ${JSON.stringify(key)}: after ${maximumSteps} steps it is undecided whether its ${operations.length} ` +
        'operations are linearizable; use more keys, fewer clients at once or shorter histories, or raise maximumSteps';
      return { linearizable: false, undecided: true, key, explanation };
    }
  }
  return { linearizable: true };
}
