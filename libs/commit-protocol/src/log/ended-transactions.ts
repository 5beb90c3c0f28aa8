import type { TransactionState } from './transaction-state.js';
import type { TransactionId } from '../vocabulary/types.js';

/**
 * Where ended transactions are kept until the retention drops them. A port: they are many more than the open ones, so
 * the coordinator compresses them. Deterministic like the state that uses it.
 */
export interface EndedTransactions {
  readonly size: number;
  /** approximate size; grows with each, and shrinks when some are dropped */
  readonly sizeBytes: number;
  add(transaction: TransactionState): void;
  get(transactionId: TransactionId): TransactionState | undefined;
  findByKey(key: string): TransactionState | undefined;
  /**
   * Drops those that ended before a time (milliseconds since 1970); may keep some of them until a later call.
   *
   * @returns the highest dropped id; undefined when nothing was dropped
   */
  expire(before: number): TransactionId | undefined;
  /** when the oldest one ended; undefined when there is none */
  oldestEndedAt(): number | undefined;
  /**
   * The time (milliseconds since 1970) for `expire` that leaves at most `keep` transactions of `keepBytes` in total;
   * undefined when there are no more than that. May drop more where several are dropped together.
   */
  endedBefore(keep: number, keepBytes: number): number | undefined;
  /** by descending id, before `belowId` (from the newest when undefined) */
  newestFirst(belowId?: TransactionId): Iterable<TransactionState>;
}
