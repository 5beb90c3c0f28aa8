import { uuidV7Time, type Clock } from '@concordat/foundation';
import type { TransactionId } from '@concordat/commit-protocol';

/** By when work must have ended, and how long it may take whatever a clock says. */
export interface TimeLimit {
  /** milliseconds since 1970, by the clocks of the coordinators */
  readonly deadline: number;
  /** in milliseconds */
  readonly timeoutMs: number;
}

/** The time of a branch: no longer than its transaction had when it began, by the clocks of the coordinators. */
export function limitOf({ transactionId, deadline }: { transactionId: TransactionId; deadline: number }): TimeLimit {
  return { deadline, timeoutMs: deadline - (uuidV7Time(transactionId) ?? 0) };
}

/**
 * How long work may still take, in milliseconds; 0 or less: its deadline has passed. The clock of this machine may
 * differ from those of the coordinators. Where it is ahead, the work is refused too early. Where it is behind, the work
 * ends late, but never after more than the time that the whole transaction had: otherwise it would hold its locks for as
 * long as the clock is wrong.
 */
export function timeLeftMs({ deadline, timeoutMs }: TimeLimit, clock: Clock): number {
  return Math.min(deadline - clock.now(), timeoutMs);
}
