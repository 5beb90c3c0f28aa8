import type { Clock, Failpoints, Logger, Random, Tracing } from '@concordat/foundation';
import { LIMITS, type BranchAddress, type OperationCall, type ParticipantAlertCode } from '@concordat/commit-protocol';
import type { MessageBus } from '@concordat/messaging';
import type { BranchIdentity, ResourceManager } from './resource-manager.js';

export interface OperationBranch extends BranchIdentity {
  /** milliseconds since 1970; a branch that is not prepared by then votes no */
  readonly deadline: number;
}

/** The handlers of a participant, by operation. */
export interface OperationHandlers<Context> {
  /** sorted; announced to the coordinators */
  operations(): readonly string[];
  /**
   * Runs one operation inside the branch's local transaction. A `BranchRefusedError` is a refusal for a business
   * reason; any other rejection is a failure of the handler. The runtime makes JSON of the result, or refuses the
   * branch.
   */
  handle(call: OperationCall, context: Context, branch: OperationBranch): Promise<unknown>;
}

export interface ParticipantAlert {
  readonly code: ParticipantAlertCode;
  readonly branch: BranchAddress;
  readonly detail: string;
}

/** Every bound of the runtime; undefined values take their default. */
export interface ParticipantLimits {
  /** branches whose work runs at once, as many as the resource manager has work connections; default 16 */
  readonly workConcurrency: number;
  /**
   * branches that this process holds between calls, each with a connection for work; the next one waits. Default: half
   * of `workConcurrency`, at least 1
   */
  readonly heldBranches?: number;
  /** branches whose work waits; beyond, it is dropped and the coordinator sends it again; default 256 */
  readonly workQueue: number;
  /**
   * branches that the database may hold prepared; work waits when three quarters of them are taken. Default: what the
   * database allows (`max_prepared_transactions`). Set a share of it where several participants use one server
   */
  readonly preparedBranches?: number;
  /** decisions carried out at once; they share few connections, so many cost little; default 64 */
  readonly decisionConcurrency: number;
  /** decisions that wait; beyond, they are dropped and the coordinator sends them again; default 1,024 */
  readonly decisionQueue: number;
  /** how long a `done` may wait to share a publication, in milliseconds; default 25 */
  readonly acknowledgementDelayMs: number;
  /** interval of announcements, in milliseconds; default 10,000 */
  readonly announceIntervalMs: number;
  /** interval of sweeps for branches in doubt, in milliseconds; default 5,000 */
  readonly sweepIntervalMs: number;
  /** age at which a prepared branch inquires, in milliseconds; default 5,000 */
  readonly inquiryAfterMs: number;
  /** maximum inquiries per sweep; default 500 */
  readonly inquiriesPerSweep: number;
  /**
   * how long a three-phase branch waits for a coordinator before it decides with the others, in milliseconds, plus up
   * to half of it as jitter; default 5,000
   */
  readonly terminationTimeoutMs: number;
  /** maximum JSON of all results of one branch, in bytes; default and maximum 65,536 */
  readonly resultSizeBytes: number;
  /** how long `stop` waits for running work, in milliseconds; default 5,000 */
  readonly drainTimeoutMs: number;
  /** transactions remembered in memory; default 20,000 */
  readonly rememberedTransactions: number;
}

export const DEFAULT_PARTICIPANT_LIMITS: ParticipantLimits = {
  workConcurrency: 16,
  workQueue: 256,
  decisionConcurrency: 64,
  decisionQueue: 1_024,
  acknowledgementDelayMs: 25,
  announceIntervalMs: 10_000,
  sweepIntervalMs: 5_000,
  inquiryAfterMs: 5_000,
  inquiriesPerSweep: 500,
  terminationTimeoutMs: 5_000,
  resultSizeBytes: LIMITS.resultsBytes,
  drainTimeoutMs: 5_000,
  rememberedTransactions: 20_000,
};

export interface ParticipantRuntimeOptions<Context> {
  /** the participant's name, as in the topics; all of its processes join one consumer group */
  readonly participant: string;
  /**
   * names this process: unique among the participant's live ones, and ideally the same after a restart; default: new at
   * each start
   */
  readonly instance?: string;
  readonly resourceManager: ResourceManager<Context>;
  /** started and stopped by the caller */
  readonly bus: MessageBus;
  readonly handlers: OperationHandlers<Context>;
  readonly clock: Clock;
  readonly random: Random;
  readonly failpoints?: Failpoints;
  readonly logger?: Logger;
  readonly limits?: Partial<ParticipantLimits>;
  /** called with every alert, besides the log and the counters */
  readonly onAlert?: (alert: ParticipantAlert) => void;
  /** default: no spans */
  readonly tracing?: Tracing;
}
