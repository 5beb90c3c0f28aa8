import {
  CodedError,
  SystemClock,
  SystemRandom,
  TimeLimitError,
  UuidV7Generator,
  backoffMs,
  coordinatorFetch,
  errorMessage,
  guarded,
  silentLogger,
  withTimeLimit,
  type Clock,
  type JsonValue,
  type Logger,
  type Random,
  type Timer,
} from '@concordat/foundation';
import type { BranchId, TransactionId } from '@concordat/commit-protocol';
import type { MessageBus } from '@concordat/messaging';
import { reportCoordinators } from '../checks/index.js';
import { withPayloadCodecs } from '../codec/coded-handlers.js';
import type { BranchSessions } from '../global/index.js';
import { PostgresResourceManager, type CurrentWork, type PostgresContext } from '../postgres/index.js';
import { BranchResults } from '../runtime/branch-results.js';
import { ResourceManagerUnavailableError } from '../runtime/errors.js';
import type { HeldBranch } from '../runtime/held-branch.js';
import type { HoldRequest } from '../runtime/held-branches.js';
import type { ParticipantMetrics } from '../runtime/participant-metrics.js';
import { ParticipantRuntime } from '../runtime/participant-runtime.js';
import type { OperationHandlers } from '../runtime/participant-runtime.types.js';
import type { VoteResult } from '../runtime/resource-manager.js';
import { BeforeConsuming, DEFAULT_BEFORE_CONSUMING_LIMIT_MS } from './before-consuming.js';
import type { ParticipantHealth } from './health.js';
import type { ParticipantServiceOptions } from './options.js';

const RETRY = { baseMs: 250, capMs: 5_000 };
const CLOSE_TIMEOUT_MS = 2_000;
/** A consumer without an answer of its broker for this long is not consuming. */
const MAXIMUM_IDLE_MS = 30_000;
const PREPARE_TIMEOUT_MS = 30_000;
const PING_LIMIT_MS = 2_000;
/** of a coordinator, for the checks at the start */
const COORDINATOR_ATTEMPTS = 5;

/** The handlers of a service's operations, which may be registered after the service was made. */
export interface ServiceHandlers extends OperationHandlers<PostgresContext> {
  /** resolves when every handler is registered */
  readonly listening: Promise<void>;
  /** why `listening` is not resolved, and what to do */
  readonly notListening: string;
  /** @throws ParticipantConfigurationError when the handlers are not for this participant */
  check(participant: string): void;
}

/**
 * A participant inside a service: starts in the background, waits until the database and the road to the coordinators
 * are available, and ends with `stop()`.
 */
export class ParticipantService implements BranchSessions {
  private readonly clock: Clock;
  private readonly random: Random;
  private readonly logger: Logger;
  private readonly bus: MessageBus;
  private readonly resourceManager: PostgresResourceManager;
  private readonly runtime: ParticipantRuntime<PostgresContext>;
  private readonly beforeConsuming: BeforeConsuming | undefined;
  /** rejects when the start can never work */
  private readonly started: Promise<void>;
  private markStarted: () => void = () => undefined;
  private markFailed: (error: CodedError) => void = () => undefined;
  private failure: CodedError | undefined;
  private isListening = false;
  private stopped = false;
  private wake: (() => void) | undefined;

  constructor(
    private readonly options: ParticipantServiceOptions,
    private readonly handlers: ServiceHandlers,
  ) {
    this.started = new Promise((resolve, reject) => {
      this.markStarted = resolve;
      this.markFailed = reject;
    });
    this.started.catch(() => undefined); // perhaps nobody asks
    this.clock = options.clock ?? new SystemClock();
    this.random = options.random ?? new SystemRandom();
    this.logger = options.logger ?? silentLogger;
    const { clock, random, logger } = this;
    // One name on all roads: the coordinators ask the holder of a branch by it.
    const { instance = new UuidV7Generator(() => clock.now(), random).next() } = options;
    const { participant, cluster = 'local', topicPrefix, postgres, limits, failpoints, onAlert } = options;
    const { beforeConsuming: hook, beforeConsumingTimeoutMs: hookMs = DEFAULT_BEFORE_CONSUMING_LIMIT_MS } = options;
    this.beforeConsuming = hook && new BeforeConsuming(hook, hookMs, { clock, logger });
    this.bus = options.bus({
      cluster,
      participant,
      clock,
      random,
      logger,
      ...(topicPrefix !== undefined && { topicPrefix }),
      instance,
    });
    this.resourceManager = new PostgresResourceManager(
      {
        applicationName: participant,
        ...(limits?.workConcurrency !== undefined && { workConnections: limits.workConcurrency }),
        ...postgres,
        cluster,
        participant,
      },
      {
        clock,
        logger,
        ...(failpoints && { failpoints }),
        ...(limits && { limits }),
        onDatabaseChanged: () => this.runtime.databaseChanged(),
      },
    );
    this.runtime = new ParticipantRuntime({
      participant,
      instance,
      resourceManager: this.resourceManager,
      bus: this.bus,
      handlers: withPayloadCodecs(participant, handlers, options.payloadCodecs ?? []),
      clock,
      random,
      logger,
      ...(failpoints && { failpoints }),
      ...(limits && { limits }),
      ...(onAlert && { onAlert }),
      ...(options.tracing && { tracing: options.tracing }),
    });
  }

  /** Starts in the background, and tries until it works; `health()` says why it does not. */
  start(): void {
    void this.run();
  }

  /** Resolves with the end of the start. A start that can never work never ends: see `onFatal`. */
  get ready(): Promise<void> {
    return this.started.catch(() => new Promise<never>(() => undefined));
  }

  /** Stops consuming, finishes running work and closes every connection. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.beforeConsuming?.stop();
    this.wake?.();
    await this.runtime.stop();
    await this.atMost(Promise.all([this.bus.stop(), this.resourceManager.close()]));
  }

  /**
   * Prepares a service's own work as a branch, with its ledger row, to be enlisted by
   * `POST /v1/transactions/{id}/branches {participant, branchId, vote}`. Idempotent for a branch.
   *
   * @param branchId a new UUID, never used before
   * @param timeoutMs for the work and its locks; default 30,000
   * @throws ResourceManagerUnavailableError when the outcome is unknown: call it again with the same ids
   */
  async prepareBranch(
    transactionId: TransactionId,
    branchId: BranchId,
    work: (context: PostgresContext) => Promise<readonly JsonValue[]>,
    timeoutMs = PREPARE_TIMEOUT_MS,
  ): Promise<VoteResult | 'busy'> {
    const deadline = this.clock.now() + timeoutMs;
    return this.resourceManager.prepare(
      { protocol: '2pc', transactionId, branchId, deadline, timeoutMs, preparedByService: false },
      async (context) => BranchResults.of('prepareBranch', await work(context)),
    );
  }

  /** names this process to the coordinators */
  get instance(): string {
    return this.runtime.instance;
  }

  /** The branch whose one-shot handler runs in this asynchronous context, for pools that join. */
  readonly currentWork: CurrentWork = () => this.resourceManager.currentWork();

  /**
   * Opens the session of a branch of a global transaction. Waits for the start of the participant, at most until the
   * deadline. See `ParticipantRuntime.hold`.
   *
   * @throws CodedError at once when the participant can never start with this set-up
   * @throws ResourceManagerUnavailableError when it has not started by then, with the reason
   */
  async hold(request: HoldRequest): Promise<HeldBranch<PostgresContext>> {
    const started = withTimeLimit(this.clock, request.timeoutMs, 'the start of the participant', this.started);
    await started.catch((cause: unknown) => {
      if (!(cause instanceof TimeLimitError)) throw cause;
      const why = this.obstacle() ?? 'the log says why';
      throw new ResourceManagerUnavailableError(`the participant has not started, so it has no session: ${why}`, {
        cause,
      });
    });
    return this.runtime.hold(request);
  }

  async health(): Promise<ParticipantHealth> {
    const { subscribed, idleMs } = this.runtime.consuming();
    const busConnected = this.bus.isConnected();
    const consuming = subscribed && idleMs < MAXIMUM_IDLE_MS;
    const { overdue, oldestWorkMs, oldestDecisionMs } = this.runtime.metrics();
    const working = overdue === 0;
    const ping = withTimeLimit(this.clock, PING_LIMIT_MS, 'a ping', this.resourceManager.ping());
    const databaseReachable = await ping.then(
      () => true,
      () => false,
    );
    const { abstainsBefore: limit } = this.resourceManager;
    const abstainsBefore = limit > 0 ? new Date(limit).toISOString() : null;
    const obstacle = this.obstacle();
    return {
      ready: busConnected && consuming && databaseReachable && working && obstacle === undefined,
      busConnected,
      databaseReachable,
      consuming,
      working,
      abstainsBefore,
      oldestWorkMs: Math.round(Math.max(oldestWorkMs, oldestDecisionMs)),
      ...(obstacle !== undefined && { obstacle }),
    };
  }

  metrics(): ParticipantMetrics {
    return this.runtime.metrics();
  }

  /** The first obstacle between the start and the first message. */
  private obstacle(): string | undefined {
    if (this.failure) return this.failure.message;
    if (!this.isListening) return this.handlers.notListening;
    return this.beforeConsuming?.obstacle() ?? this.bus.obstacle();
  }

  private async run(): Promise<void> {
    await this.handlers.listening;
    this.isListening = true;
    for (let attempt = 0; !this.stopped; attempt++) {
      const result = await this.tryStart();
      if (result === 'started') return this.checkCoordinators();
      if (result === 'over') return;
      await this.pause(backoffMs(attempt, RETRY, this.random));
    }
  }

  /** `over`: the process stops, or must be set up differently. */
  private async tryStart(): Promise<'started' | 'failed' | 'over'> {
    try {
      this.handlers.check(this.options.participant);
      await this.resourceManager.start();
      await this.beforeConsuming?.run();
      if (this.stopped) return 'over';
      await this.bus.start();
      await this.runtime.start();
      this.markStarted();
      this.logger.info(sentenceOfStart(this.options.participant, this.handlers.operations()));
      return 'started';
    } catch (error) {
      if (this.stopped) return 'over';
      if (error instanceof CodedError && !error.retryable) {
        this.logger.error(error.message);
        this.failure = error;
        this.markFailed(error);
        this.reportFatal(error);
        return 'over';
      }
      this.logger.warn(`the participant cannot start yet, trying again: ${errorMessage(error)}`);
      return 'failed';
    }
  }

  /** One that does not answer is asked again, a few times: it may be starting. */
  private async checkCoordinators(): Promise<void> {
    const { clock, logger } = this;
    const { cluster = 'local', link, token, tls } = this.options;
    const secureFetch = tls && coordinatorFetch(tls, cluster);
    let unanswered = this.options.coordinators ?? [];
    for (let attempt = 0; unanswered.length > 0 && attempt < COORDINATOR_ATTEMPTS && !this.stopped; attempt++) {
      if (attempt > 0) await this.pause(backoffMs(attempt, RETRY, this.random));
      unanswered = await reportCoordinators(
        unanswered,
        { cluster, link },
        { clock, logger, token, fetch: secureFetch },
      );
    }
  }

  private reportFatal(error: CodedError): void {
    const { onFatal } = this.options;
    if (onFatal) guarded(onFatal, (failure) => this.logger.error(`onFatal failed: ${errorMessage(failure)}`))(error);
  }

  private async pause(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer: Timer = this.clock.setTimer(delayMs, resolve);
      this.wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  private async atMost(work: Promise<unknown>): Promise<void> {
    try {
      await withTimeLimit(this.clock, CLOSE_TIMEOUT_MS, 'closing the connections', work);
    } catch (error) {
      this.logger.warn(`stopping: ${errorMessage(error)}`);
    }
  }
}

/** A service whose methods join has no operations. */
function sentenceOfStart(participant: string, operations: readonly string[]): string {
  const served = operations.length === 0 ? '' : `, with the operations ${operations.join(', ')}`;
  return `${participant} takes part in transactions${served}`;
}
