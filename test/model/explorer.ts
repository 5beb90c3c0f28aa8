import { invariant } from '@concordat/foundation';
import { FingerprintTable } from './fingerprint-table.js';
import { PackedQueue } from './packed-queue.js';
import type { PackedState, Violation, World } from './world.js';

export interface ExplorationLimits {
  /** distinct states at most; no limit when undefined */
  readonly states?: number;
  /** actions from the start at most; no limit when undefined */
  readonly depth?: number;
}

/** The shortest way from the start to a broken rule. */
export interface Counterexample {
  readonly violation: Violation;
  /** what happens, in words, in this order */
  readonly steps: readonly string[];
  /** for each step its place among the actions of the state before it: replays the way */
  readonly path: readonly number[];
}

export interface ExplorationReport {
  /** distinct states that were reached, each of them checked */
  readonly states: number;
  /** actions that were tried */
  readonly transitions: number;
  /** actions on the longest of the shortest ways from the start */
  readonly depth: number;
  /** states in which nothing more can happen */
  readonly terminalStates: number;
  /** whether there is no state left that was not reached within the world's own bounds */
  readonly complete: boolean;
  readonly elapsedMs: number;
  readonly counterexample?: Counterexample;
}

export interface ExplorationOptions {
  readonly limits?: ExplorationLimits;
  /** milliseconds from any start; only for the report */
  readonly now: () => number;
  /** told after every level of equal depth */
  readonly onLevel?: (depth: number, states: number) => void;
  /** told the path of every state that is new; for sampling */
  readonly onState?: (index: number, path: () => number[], state: PackedState) => void;
}

/**
 * Explores a world breadth-first: every action in every state, each state once. The first violation that it meets
 * is therefore one with a shortest way to it. Memory: about 30 bytes for each state, and the states of two levels.
 */
export class Explorer {
  private readonly seen = new FingerprintTable();
  private parents = new Uint32Array(1 << 16);
  private ordinals = new Uint16Array(1 << 16);
  private readonly queue = new PackedQueue();
  private transitions = 0;
  private terminalStates = 0;
  private truncated = false;
  private readonly statesLimit: number;

  constructor(
    private readonly world: World,
    private readonly options: ExplorationOptions,
  ) {
    this.statesLimit = options.limits?.states ?? Infinity;
  }

  /** May be called once. */
  explore(): ExplorationReport {
    invariant(this.seen.size === 0, 'an explorer explores once');
    const startedAt = this.options.now();
    const { world } = this;
    let depth = 0;
    let violated: Counterexample | undefined = this.reach(world.initial(), 0, 0);
    let expanded = 0;
    const depthLimit = this.options.limits?.depth ?? Infinity;
    while (!violated && this.queue.size > 0) {
      if (depth >= depthLimit || this.isFull()) {
        this.truncated = true;
        break;
      }
      for (let left = this.queue.size; left > 0 && !violated && !this.isFull(); left--) {
        violated = this.expand(expanded++);
      }
      if (violated || this.queue.size > 0) depth++;
      this.options.onLevel?.(depth, this.seen.size);
    }
    return {
      states: this.seen.size,
      transitions: this.transitions,
      depth,
      terminalStates: this.terminalStates,
      complete: !violated && !this.truncated,
      elapsedMs: this.options.now() - startedAt,
      ...(violated && { counterexample: violated }),
    };
  }

  private isFull(): boolean {
    return this.seen.size >= this.statesLimit;
  }

  /** States leave the queue in the order in which they were numbered. */
  private expand(index: number): Counterexample | undefined {
    const state = this.queue.shift();
    const actions = [...this.world.actions(state)];
    if (actions.length === 0) this.terminalStates++;
    for (const [ordinal, action] of actions.entries()) {
      this.transitions++;
      const found = this.reach(this.world.apply(state, action), index, ordinal);
      if (found) return found;
    }
    return undefined;
  }

  private reach(state: PackedState, parent: number, ordinal: number): Counterexample | undefined {
    const index = this.seen.size;
    if (!this.seen.add(this.world.fingerprint(state))) return undefined;
    invariant(ordinal < 1 << 16, 'a state has fewer than 65,536 actions');
    this.remember(index, parent, ordinal);
    const violation = this.world.check(state);
    if (violation) return { violation, ...this.retell(index) };
    this.options.onState?.(index, () => this.pathTo(index), state);
    this.queue.push(state);
    return undefined;
  }

  private remember(index: number, parent: number, ordinal: number): void {
    if (index === this.parents.length) {
      const parents = new Uint32Array(index * 2);
      parents.set(this.parents);
      this.parents = parents;
      const ordinals = new Uint16Array(index * 2);
      ordinals.set(this.ordinals);
      this.ordinals = ordinals;
    }
    this.parents[index] = parent;
    this.ordinals[index] = ordinal;
  }

  private pathTo(index: number): number[] {
    const path: number[] = [];
    for (let at = index; at > 0; at = this.parents[at] ?? 0) path.push(this.ordinals[at] ?? 0);
    return path.reverse();
  }

  private retell(index: number): { steps: string[]; path: number[] } {
    const path = this.pathTo(index);
    return { steps: walk(this.world, path).steps, path };
  }
}

/**
 * Walks a path from the start.
 *
 * @param path for each step the place of its action among those of the state before it
 * @returns the state at its end, each step in words, and the violation at its end if there is one
 */
export function walk(
  world: World,
  path: readonly number[],
): { readonly state: PackedState; readonly steps: string[]; readonly violation: Violation | undefined } {
  let state = world.initial();
  const steps: string[] = [];
  for (const ordinal of path) {
    const action = world.actions(state)[ordinal];
    invariant(action !== undefined, 'a path names actions that its states have');
    steps.push(world.describe(state, action));
    state = world.apply(state, action);
  }
  return { state, steps, violation: world.check(state) };
}
