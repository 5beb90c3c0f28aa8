import { uuidV7Time } from '@concordat/foundation';
import type { TransactionId } from '@concordat/commit-protocol';

/** Which database this is, and how far it has got. */
export interface DatabaseIdentity {
  /** made by `initdb`, kept by copies; undefined where the role may not read it */
  readonly systemIdentifier: string | undefined;
  /** goes up when a standby is promoted, and when a restore to a point in time ends */
  readonly timeline: number;
  /** of the log that is on disk, in bytes; never goes back in one database */
  readonly position: bigint;
}

/** What is remembered of an identity by the database itself. */
export type RecognisedDatabase = Pick<DatabaseIdentity, 'systemIdentifier' | 'timeline'>;

/** How a database differs from the one that it was, as a sentence for people; undefined when it is the same. */
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
  // the table is younger than what is remembered: the database was emptied, or is older than the table
  return remembered && !stored ? 'it does not remember what it was' : undefined;
}

/** How far the clocks of coordinators and databases may lie apart, in milliseconds. */
const CLOCK_DIFFERENCE_MS = 2_000;

/**
 * Transactions that began before this may have left promises in a database that has lost its last writes, in
 * milliseconds since 1970. The moment of the loss is not known; that of its discovery is later.
 *
 * @param newest time of the youngest transaction that was heard of
 */
export function abstentionLimit(now: number, newest: number): number {
  return Math.max(now, newest) + CLOCK_DIFFERENCE_MS;
}

/** When a transaction began, by the clock of its coordinator, in milliseconds since 1970. */
export function beginOf(transactionId: TransactionId): number {
  return uuidV7Time(transactionId) ?? Number.MAX_SAFE_INTEGER;
}
