import { uuidV7Time } from '@concordat/foundation';
import type { TransactionId } from '@concordat/commit-protocol';

/** The identity of a database, and the end of its log. */
export interface DatabaseIdentity {
  /** made by `initdb`, kept by copies; undefined where the role may not read it */
  readonly systemIdentifier: string | undefined;
  /** rises when a standby is promoted, and after a restore to a point in time */
  readonly timeline: number;
  /** end of the flushed log, in bytes; never falls in one database */
  readonly position: bigint;
}

/** The part of the identity that the database itself stores. */
export type RecognisedDatabase = Pick<DatabaseIdentity, 'systemIdentifier' | 'timeline'>;

/** How a database differs from the former one, as a sentence for people; undefined when it is the same. */
export function describeChange(
  found: DatabaseIdentity,
  stored: RecognisedDatabase | undefined,
  remembered: DatabaseIdentity | undefined,
): string | undefined {
  for (const known of [remembered, stored]) {
    if (!known) continue;
    const { systemIdentifier, timeline } = known;
    const isAnother = found.systemIdentifier !== undefined && systemIdentifier !== undefined;
    if (isAnother && found.systemIdentifier !== systemIdentifier)
      return `it has the system identifier ${found.systemIdentifier}, and had ${systemIdentifier}`;
    if (found.timeline !== timeline) return `it is on timeline ${found.timeline}, and was on ${timeline}`;
  }
  if (remembered && found.position < remembered.position)
    return `its log ends at ${found.position} bytes, and had reached ${remembered.position}`;
  // the table is newer than our memory: the database was emptied, or is older than the table
  return remembered && !stored ? 'it has lost its stored identity' : undefined;
}

/** Maximum difference between the clocks of coordinators and databases, in milliseconds. */
const CLOCK_DIFFERENCE_MS = 2_000;

/**
 * Promises of transactions that began before this may be lost, in milliseconds since 1970. The moment of the loss is
 * unknown, so the moment of its discovery is used.
 *
 * @param newest begin of the youngest known transaction
 */
export function abstentionLimit(now: number, newest: number): number {
  return Math.max(now, newest) + CLOCK_DIFFERENCE_MS;
}

/** When a transaction began, by the clock of its coordinator, in milliseconds since 1970. */
export function beginOf(transactionId: TransactionId): number {
  return uuidV7Time(transactionId) ?? Number.MAX_SAFE_INTEGER;
}
