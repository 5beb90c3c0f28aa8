/** What became of requests about locks, while this node led. */
export const LOCK_EVENTS = ['granted', 'renewed', 'released', 'expired', 'refused', 'abandoned'] as const;

export type LockEvent = (typeof LOCK_EVENTS)[number];

/** What a node counts, for its metrics. */
export interface LockFigures {
  readonly held: number;
  /** clients that wait at this node */
  readonly waiting: number;
  readonly events: Readonly<Record<LockEvent, number>>;
}
