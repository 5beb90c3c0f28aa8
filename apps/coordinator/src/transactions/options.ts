import { LIMITS } from '@concordat/commit-protocol';

/** Settings of the transaction manager; all times in milliseconds. */
export interface TransactionOptions {
  /** name of the cluster inside gids */
  readonly cluster: string;
  /** branches of one transaction at most */
  readonly maximumBranches: number;
  /** operations of one transaction at most */
  readonly maximumOperations: number;
  /** operations of one transaction together, as JSON, in bytes at most: they must fit into one record of the log */
  readonly maximumOperationsBytes: number;
  /** undecided or unfinished transactions at most; beyond, requests are refused as OVERLOADED */
  readonly maximumOpenTransactions: number;
  /** JSON of all undecided or unfinished transactions together, in bytes at most; beyond, requests are refused, too */
  readonly maximumOpenBytes: number;
  /** transactions that may wait for their keys at most */
  readonly maximumWaitingForKeys: number;
  /** how long ended transactions and idempotency keys are kept */
  readonly retentionMs: number;
  /** ended transactions kept at most, however young; keeps memory and snapshots bounded under any load */
  readonly maximumEnded: number;
  /** bytes of ended transactions kept at most, compressed */
  readonly maximumEndedBytes: number;
  /** how often the retention is applied; more often when a maximum is near */
  readonly retentionIntervalMs: number;
  /** a branch that voted yes and has not ended for so long is listed as in doubt */
  readonly inDoubtAfterMs: number;
  /** delay before something unanswered is sent again for the first time; doubles up to the cap */
  readonly resendBaseMs: number;
  readonly resendCapMs: number;
  /** a `Begin` that nobody needs yet waits so long at most for another record to be logged with; 0: not at all */
  readonly beginDelayMs: number;
  /** ends of branches are gathered for so long before they are logged together */
  readonly doneDelayMs: number;
  /** changes that a subscriber to events can catch up on */
  readonly eventHistorySize: number;
}

export const DEFAULT_TRANSACTION_OPTIONS: Omit<TransactionOptions, 'cluster'> = {
  maximumBranches: LIMITS.branches,
  maximumOperations: LIMITS.operations,
  maximumOperationsBytes: LIMITS.operationsBytes,
  maximumOpenTransactions: 200_000,
  maximumOpenBytes: 512 * 1024 * 1024,
  maximumWaitingForKeys: 10_000,
  retentionMs: 24 * 3_600_000,
  maximumEnded: 1_000_000,
  maximumEndedBytes: 1024 * 1024 * 1024,
  retentionIntervalMs: 60_000,
  inDoubtAfterMs: 5_000,
  resendBaseMs: 1_000,
  resendCapMs: 15_000,
  beginDelayMs: 10,
  doneDelayMs: 50,
  eventHistorySize: 10_000,
};
