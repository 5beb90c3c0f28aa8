import { LIMITS } from '@concordat/commit-protocol';

/** Settings of the transaction manager; all times in milliseconds. */
export interface TransactionOptions {
  /** name of the cluster in gids */
  readonly cluster: string;
  /** branches reach one another only through a coordinator: there is no broker */
  readonly branchesNeedCoordinator: boolean;
  readonly maximumBranches: number;
  readonly maximumOperations: number;
  /** maximum bytes of JSON of all operations of a transaction: they must fit into one record of the log */
  readonly maximumOperationsBytes: number;
  /** maximum number of open transactions; beyond it, requests are refused with OVERLOADED */
  readonly maximumOpenTransactions: number;
  /** maximum bytes of JSON of all open transactions; beyond it, requests are refused with OVERLOADED */
  readonly maximumOpenBytes: number;
  /** maximum number of transactions that wait for keys */
  readonly maximumWaitingForKeys: number;
  /** how long ended transactions and idempotency keys are kept */
  readonly retentionMs: number;
  /** maximum number of ended transactions kept, of any age; bounds memory and snapshots */
  readonly maximumEnded: number;
  /** maximum compressed bytes of ended transactions kept */
  readonly maximumEndedBytes: number;
  /** how often the retention is applied; more often near a maximum */
  readonly retentionIntervalMs: number;
  /** a branch that voted yes and has not ended after this time is listed as in doubt */
  readonly inDoubtAfterMs: number;
  /** how long the stream of an instance that holds a branch may be away before the transaction is aborted */
  readonly instanceGraceMs: number;
  /** delay before the first resend; doubles up to the cap */
  readonly resendBaseMs: number;
  readonly resendCapMs: number;
  /** maximum wait of a `Begin` that nobody needs yet for another record; 0: none */
  readonly beginDelayMs: number;
  /** how long ends of branches are collected into one record */
  readonly doneDelayMs: number;
  /** changes kept for subscribers that missed some */
  readonly eventHistorySize: number;
}

export const DEFAULT_TRANSACTION_OPTIONS: Omit<TransactionOptions, 'cluster'> = {
  branchesNeedCoordinator: false,
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
  instanceGraceMs: 5_000,
  resendBaseMs: 1_000,
  resendCapMs: 15_000,
  beginDelayMs: 25, // longer than most votes take, over Kafka too: then it shares the write of its decision
  doneDelayMs: 50,
  eventHistorySize: 10_000,
};
