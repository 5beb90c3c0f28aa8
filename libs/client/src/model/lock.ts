/** A lock that is held. */
export interface Lock {
  readonly name: string;
  readonly owner: string;
  /** higher than that of every holder before; a store that refuses lower ones cannot be changed by a late holder */
  readonly fencingToken: number;
  /** ISO 8601, by the clock of the group; a holder counts by its own clock */
  readonly expiresAt: string;
}

/** A lock in the list of all. */
export interface ListedLock extends Lock {
  /** who took it; absent where the coordinators ask nobody who it is */
  readonly principal?: string | undefined;
  /** clients that wait for it; null where the answering coordinator does not lead */
  readonly waiters: number | null;
}
