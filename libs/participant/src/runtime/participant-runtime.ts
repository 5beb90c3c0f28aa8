import {
  backoffMs,
  errorMessage,
  noFailpoints,
  silentLogger,
  unreachable,
  type Failpoints,
  type JsonValue,
  type Logger,
  type Timer,
} from '@concordat/foundation';
import {
  ParticipantMachine,
  type BranchAddress,
  type CommitOnePhaseMessage,
  type CoordinatorMessage,
  type DoneMessage,
  type ParticipantEffect,
  type ParticipantEvent,
  type PrepareMessage,
  type ProtocolMessage,
  type TransactionId,
  type VoteMessage,
  type WorkMessage,
} from '@concordat/commit-protocol';
import {
  REPLIES_TOPIC,
  decideTopic,
  isParticipantName,
  prepareTopic,
  withFailpoints,
  type MessageBus,
  type Subscription,
} from '@concordat/messaging';
import { BoundedPool } from './bounded-pool.js';
import { BranchRefusedError, ParticipantConfigurationError } from './errors.js';
import { Outbox } from './outbox.js';
import type { ParticipantFailpoint } from './participant-failpoints.js';
import { MetricsRecorder, type ParticipantMetrics } from './participant-metrics.js';
import {
  DEFAULT_PARTICIPANT_LIMITS,
  type ParticipantLimits,
  type ParticipantRuntimeOptions,
} from './participant-runtime.types.js';
import type { BranchWork, PreparedBranch } from './resource-manager.js';
import { Sweeper } from './sweeper.js';

/** Messages in hand beyond what the pools hold: answered from memory, so they are finished at once. */
const IN_FLIGHT_SLACK = 128;
/** between the first two announcements; each further one comes twice as late, up to the limit */
const FIRST_ANNOUNCE_INTERVAL_MS = 250;

/**
 * One process of a participant: hears the coordinators, carries out what the participant machine asks for, and
 * answers (protocol sections 5 and 7).
 *
 * States: new → started → stopped. Invariants: work and rulings run in pools of their own, so that branches that
 * wait for locks never hold back the decisions that free them; both queues are bounded, and what does not fit is
 * dropped, because the coordinator sends it again; a message counts as consumed when nothing of its transaction
 * is in hand any more.
 */
export class ParticipantRuntime<Context> {
  private readonly limits: ParticipantLimits;
  private readonly logger: Logger;
  private readonly failpoints: Failpoints;
  private readonly bus: MessageBus;
  private readonly machine: ParticipantMachine;
  private readonly workPool: BoundedPool;
  private readonly rulingPool: BoundedPool;
  private readonly outbox: Outbox;
  private readonly sweeper: Sweeper;
  private readonly recorder = new MetricsRecorder();
  private readonly idleWaiters = new Map<TransactionId, (() => void)[]>();
  private subscription: Subscription | undefined;
  private announceTimer: Timer | undefined;
  private announcements = 0;
  private state: 'new' | 'started' | 'stopped' = 'new';

  constructor(private readonly options: ParticipantRuntimeOptions<Context>) {
    if (!isParticipantName(options.participant)) {
      throw new ParticipantConfigurationError(
        `"${options.participant}" cannot name a participant: use lower-case letters, digits and hyphens, at most 63`,
      );
    }
    this.limits = { ...DEFAULT_PARTICIPANT_LIMITS, ...options.limits };
    const { participant, clock } = options;
    this.logger = options.logger ?? silentLogger;
    this.failpoints = options.failpoints ?? noFailpoints;
    const { failpoints, logger } = this;
    this.bus = withFailpoints(options.bus, { process: 'participant', failpoints, logger });
    this.machine = new ParticipantMachine({ participant, ...this.limits });
    this.workPool = new BoundedPool(this.limits.workConcurrency, this.limits.workQueue);
    this.rulingPool = new BoundedPool(this.limits.rulingConcurrency, this.limits.rulingQueue);
    this.outbox = new Outbox(this.bus, clock, logger, this.limits.acknowledgementDelayMs);
    this.sweeper = this.createSweeper();
  }

  /** Begins to consume. The resource manager and the bus must have been started. */
  async start(): Promise<void> {
    const { bus } = this;
    const { participant } = this.options;
    const topics = [prepareTopic(participant), decideTopic(participant)];
    await bus.ensureTopics([...topics, REPLIES_TOPIC]);
    const { workConcurrency, workQueue, rulingConcurrency, rulingQueue } = this.limits;
    const subscription = await bus.subscribe({
      group: `concordat-participant.${participant}`,
      topics,
      maximumInFlight: workConcurrency + workQueue + rulingConcurrency + rulingQueue + IN_FLIGHT_SLACK,
      onMessage: (message) => this.onMessage(message),
    });
    if (this.state !== 'new') return subscription.stop(); // stopped meanwhile
    this.state = 'started';
    this.subscription = subscription;
    this.announce();
    this.sweeper.start();
  }

  /** Stops consuming, finishes what is in hand within `drainTimeoutMs` and sends what is gathered. */
  async stop(): Promise<void> {
    if (this.state === 'stopped') return;
    this.state = 'stopped';
    this.announceTimer?.cancel();
    await this.atMost(Promise.all([this.sweeper.stop(), this.subscription?.stop()]));
    await this.atMost(this.outbox.flush());
  }

  /** Whether messages are being fetched; `idleMs` is the time since the broker last answered. */
  consuming(): { readonly subscribed: boolean; readonly idleMs: number } {
    const subscribed = this.state === 'started' && this.subscription !== undefined;
    return { subscribed, idleMs: this.subscription?.idleMs() ?? 0 };
  }

  metrics(): ParticipantMetrics {
    const { votes, refusals, ends, alerts, dropped, unknown, inquiries, preparedBranches, oldestPreparedAgeMs } =
      this.recorder;
    return {
      votes: { ...votes },
      refusals: { ...refusals },
      ends: { ...ends },
      alerts: { ...alerts },
      dropped,
      unknown,
      inquiries,
      preparedBranches,
      oldestPreparedAgeMs,
      workRunning: this.workPool.runningCount,
      workWaiting: this.workPool.waitingCount,
      rulingsRunning: this.rulingPool.runningCount,
      rulingsWaiting: this.rulingPool.waitingCount,
    };
  }

  private onMessage(message: ProtocolMessage): void | Promise<void> {
    switch (message.type) {
      case 'prepare':
      case 'commit-one-phase':
      case 'decision':
      case 'ruling':
      case 'unknown-old':
        return this.receive(message);
      default:
        return undefined; // not for participants
    }
  }

  private receive(message: CoordinatorMessage): void | Promise<void> {
    this.step({ type: 'message', message });
    if (this.machine.isIdle(message.transactionId)) return undefined;
    return new Promise((resolve) => {
      const waiters = this.idleWaiters.get(message.transactionId);
      if (waiters) waiters.push(resolve);
      else this.idleWaiters.set(message.transactionId, [resolve]);
    });
  }

  private step(event: ParticipantEvent): void {
    const { transactionId } = event.type === 'message' ? event.message : event.branch;
    for (const effect of this.machine.step(event)) this.execute(effect);
    if (!this.machine.isIdle(transactionId)) return;
    const waiters = this.idleWaiters.get(transactionId);
    if (!waiters) return;
    this.idleWaiters.delete(transactionId);
    for (const resolve of waiters) resolve();
  }

  private execute(effect: ParticipantEffect): void {
    switch (effect.type) {
      case 'inquire-all':
        return this.sweeper.inquireAll();
      case 'run-prepare':
        return this.submit(this.workPool, effect.message, () => this.prepare(effect.message));
      case 'run-one-phase':
        return this.submit(this.workPool, effect.message, () => this.onePhase(effect.message));
      case 'run-commit':
        return this.submit(this.rulingPool, effect.branch, () => this.commit(effect.branch));
      case 'run-abort':
        return this.submit(this.rulingPool, effect.branch, () => this.abort(effect.branch));
      case 'cancel-work':
        if (this.workPool.cancel(keyOf(effect.branch))) this.step({ type: 'unknown', branch: effect.branch });
        return;
      case 'reply':
        return this.reply(effect.message, effect.prompt);
      case 'alert':
        return this.alert(effect);
      default:
        unreachable(effect, 'participant effect');
    }
  }

  private submit(pool: BoundedPool, address: BranchAddress, run: () => Promise<ParticipantEvent>): void {
    const accepted = pool.submit(keyOf(address), async () => this.step(await run()));
    if (accepted) return;
    this.recorder.dropped++;
    this.step({ type: 'unknown', branch: addressOf(address) });
  }

  private async prepare(message: PrepareMessage): Promise<ParticipantEvent> {
    const branch = addressOf(message);
    try {
      const result = await this.options.resourceManager.prepare(branchWorkOf(message), (context) =>
        this.work(message, context, 'participant.prepare.before-prepare'),
      );
      if (result === 'busy') return { type: 'unknown', branch };
      if (result.vote === 'yes') await this.hit('participant.prepare.after-prepare');
      return { type: 'voted', branch, result };
    } catch (error) {
      return this.unknown(branch, 'prepare', error);
    }
  }

  private async onePhase(message: CommitOnePhaseMessage): Promise<ParticipantEvent> {
    const branch = addressOf(message);
    try {
      const result = await this.options.resourceManager.commitOnePhase(branchWorkOf(message), (context) =>
        this.work(message, context, 'participant.commit.before-commit'),
      );
      if (result === 'busy') return { type: 'unknown', branch };
      await this.hit('participant.commit.after-commit');
      return { type: 'concluded', branch, result };
    } catch (error) {
      return this.unknown(branch, 'commit-one-phase', error);
    }
  }

  private async commit(branch: BranchAddress): Promise<ParticipantEvent> {
    try {
      await this.hit('participant.commit.before-commit');
      const end = await this.options.resourceManager.commit(branch);
      await this.hit('participant.commit.after-commit');
      return { type: 'ended', branch, end };
    } catch (error) {
      return this.unknown(branch, 'commit', error);
    }
  }

  private async abort(branch: BranchAddress): Promise<ParticipantEvent> {
    try {
      await this.hit('participant.abort.before-rollback');
      const end = await this.options.resourceManager.abort(branch);
      await this.hit('participant.abort.after-rollback');
      return { type: 'ended', branch, end };
    } catch (error) {
      return this.unknown(branch, 'abort', error);
    }
  }

  private async work(
    { transactionId, branchId, deadline, operations }: WorkMessage,
    context: Context,
    failpoint: ParticipantFailpoint,
  ): Promise<readonly JsonValue[]> {
    if (operations.length === 0) {
      throw new BranchRefusedError('NOT_PREPARED', 'this branch was to be prepared by its service and is not there');
    }
    const held = this.hit('participant.work.before-handlers');
    if (held) await held; // else the first statement goes out in one write with those that opened the transaction
    const results: JsonValue[] = [];
    for (const call of operations) {
      results.push(await this.options.handlers.handle(call, context, { transactionId, branchId, deadline }));
    }
    const sizeBytes = Buffer.byteLength(JSON.stringify(results));
    if (sizeBytes > this.limits.resultSizeBytes) {
      const limit = this.limits.resultSizeBytes;
      throw new BranchRefusedError(
        'RESULT_TOO_LARGE',
        `the handlers returned ${sizeBytes} bytes, at most ${limit} fit`,
      );
    }
    await this.hit(failpoint);
    return results;
  }

  private unknown(branch: BranchAddress, what: string, error: unknown): ParticipantEvent {
    this.recorder.unknown++;
    this.logger.warn(
      `${what} of branch ${branch.branchId} has no known end, it will be repeated: ${errorMessage(error)}`,
    );
    return { type: 'unknown', branch };
  }

  private reply(message: VoteMessage | DoneMessage, prompt: boolean): void {
    if (message.type === 'done') {
      this.recorder.ends[message.end]++;
      if (prompt) this.outbox.send(message);
      else this.outbox.sendLazily(message);
      return;
    }
    this.recorder.votes[message.vote]++;
    if (message.error) this.recorder.refused(message.error.code);
    this.outbox.send(message);
  }

  private alert({ code, branch, detail }: Extract<ParticipantEffect, { type: 'alert' }>): void {
    this.recorder.alerts[code]++;
    this.logger.error(`${code}: transaction ${branch.transactionId}, branch ${branch.branchId}: ${detail}`);
    this.options.onAlert?.({ code, branch, detail });
  }

  /** Often at first, because a coordinator that starts at the same time may not be listening yet. */
  private announce(): void {
    const { participant, handlers, clock, random } = this.options;
    this.outbox.send({ type: 'announce', participant, operations: handlers.operations() });
    const spacing = { baseMs: FIRST_ANNOUNCE_INTERVAL_MS, capMs: this.limits.announceIntervalMs };
    const delayMs = backoffMs(this.announcements++, spacing, random);
    this.announceTimer = clock.setTimer(delayMs, () => {
      if (this.state === 'started') this.announce();
    });
  }

  private createSweeper(): Sweeper {
    const { sweepIntervalMs, inquiryAfterMs, inquiriesPerSweep } = this.limits;
    const { clock, resourceManager } = this.options;
    return new Sweeper(
      { intervalMs: sweepIntervalMs, thresholdMs: inquiryAfterMs, maximumInquiries: inquiriesPerSweep },
      {
        clock,
        logger: this.logger,
        listPrepared: () => resourceManager.listPrepared(),
        inquire: (branch) => this.inquire(branch),
        observe: (prepared, oldestAgeMs) => {
          this.recorder.preparedBranches = prepared;
          this.recorder.oldestPreparedAgeMs = Math.max(0, oldestAgeMs);
        },
      },
    );
  }

  private inquire({ transactionId, branchId, gid }: PreparedBranch): void {
    if (!this.machine.isIdle(transactionId)) return; // its vote or its decision is in hand
    this.machine.foundPrepared(transactionId, branchId);
    this.recorder.inquiries++;
    const { participant } = this.options;
    this.outbox.send({ type: 'inquiry', transactionId, branchId, participant, gid });
  }

  private hit(name: ParticipantFailpoint): Promise<void> | undefined {
    return this.failpoints.hit(name);
  }

  /** Waits for `work`, but no longer than the drain timeout. */
  private async atMost(work: Promise<unknown>): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.options.clock.setTimer(this.limits.drainTimeoutMs, () => {
        this.logger.warn('something is still in hand at the end; the coordinator will ask for it again');
        resolve();
      });
      const settle = (): void => {
        timer.cancel();
        resolve();
      };
      work.then(settle, (error: unknown) => {
        this.logger.warn(`stopping: ${errorMessage(error)}`);
        settle();
      });
    });
  }
}

function addressOf({ transactionId, branchId, participant }: BranchAddress): BranchAddress {
  return { transactionId, branchId, participant };
}

/** A branch without operations was prepared by its service: it is there already, or never will be. */
function branchWorkOf({ transactionId, branchId, deadline, operations }: WorkMessage): BranchWork {
  return { transactionId, branchId, deadline, preparedByService: operations.length === 0 };
}

function keyOf({ transactionId, branchId }: BranchAddress): string {
  return `${transactionId}/${branchId}`;
}
