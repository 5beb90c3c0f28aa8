/**
 * A state of a world, as integers: small enough to keep millions of them, quick to copy and to hash. What the
 * integers mean is the world's own matter.
 */
export type PackedState = Int32Array;

/** One thing that may happen in a state, as an integer that only the world can read. */
export type Action = number;

/** A rule that does not hold in a state, in words. */
export interface Violation {
  /** short and stable: `AC1`, `C1`, `section 3`, … */
  readonly rule: string;
  readonly detail: string;
  /** further steps that show it, from the state on: such as the way in which a healed system gets stuck */
  readonly epilogue?: readonly string[];
}

/**
 * What the explorer explores: everything that may happen in a small system, and the rules that must hold whatever
 * happens. Deterministic: the same state has the same actions in the same order, and an action leads from it to the
 * same state, always. Knows nothing of the explorer, and the explorer knows nothing of what the world is about, so
 * that one explorer serves every protocol.
 */
export interface World {
  initial(): PackedState;
  /** Everything that may happen in a state; none where nothing more can. The array may be reused by the next call. */
  actions(state: PackedState): readonly Action[];
  /** The state behind an action; never changes the one it is given. */
  apply(state: PackedState, action: Action): PackedState;
  /** The same integers for states that are the same for every rule and every future; may be the state itself. */
  fingerprint(state: PackedState): PackedState;
  /** The first rule that the state breaks. */
  check(state: PackedState): Violation | undefined;
  /** An action in words, for a trace. */
  describe(state: PackedState, action: Action): string;
}
