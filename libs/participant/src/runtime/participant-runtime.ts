import {
  certificateExpiries,
  errorMessage,
  guarded,
  noFailpoints,
  silentLogger,
  UuidV7Generator,
  unreachable,
  withTimeLimit,
  type Failpoints,
  type Logger,
} from '@concordat/foundation';
import {
  LIMITS,
  ParticipantMachine,
  type BranchAddress,
  type DecisionMessage,
  type DoneMessage,
  type ParticipantEffect,
  type ParticipantEvent,
  type ParticipantMessage,
  type ProtocolMessage,
  type TransactionId,
  type VoteMessage,
} from '@concordat/commit-protocol';
import {
  REPLIES_TOPIC,
  decideTopic,
  isParticipantName,
  noDeadLetters,
  prepareTopic,
  withFailpoints,
  type MessageBus,
  type MessageSender,
  type Subscription,
} from '@concordat/messaging';
import { Announcer, refuseInvalidOperations } from './announcer.js';
import { BoundedPool } from './bounded-pool.js';
import { BranchExecutor, branchOf, type DatabaseEffect } from './branch-executor.js';
import { ParticipantConfigurationError, ParticipantStoppedError } from './errors.js';
import type { HeldBranch } from './held-branch.js';
import { HeldBranches, type HoldRequest } from './held-branches.js';
import { ReplyBatcher } from './reply-batcher.js';
import { MetricsRecorder, type ParticipantMetrics } from './participant-metrics.js';
import {
  DEFAULT_PARTICIPANT_LIMITS,
  type ParticipantLimits,
  type ParticipantRuntimeOptions,
} from './participant-runtime.types.js';
import { PreparedPlaces } from './prepared-places.js';
import type { BranchIdentity, PreparedBranch } from './resource-manager.js';
import { Sweeper } from './sweeper.js';
import { TerminationWatch } from './termination-watch.js';
import { limitOf, timeLeftMs } from './time-left.js';

/** Messages in flight beyond those in the pools: they are answered from memory at once. */
const IN_FLIGHT_SLACK = 128;
/** Sendings of an unknown operation that stay unanswered; about 15 s at the coordinators' pace. */
const UNANSWERED_SENDINGS = 4;

/**
 * One process of a participant: receives the coordinators' messages, carries out the effects of the participant
 * machine, and answers (protocol sections 5 and 7).
 *
 * States: new → started → stopped. Invariants: work and decisions run in separate pools, so that branches waiting for
 * locks never delay the decisions that release them; work starts only while the database has room for prepared
 * branches; both queues are bounded, and what does not fit is dropped, because the coordinator sends it again; a message
 * counts as consumed when nothing of its transaction is running or waiting.
 */
export class ParticipantRuntime<Context> {
  private readonly limits: ParticipantLimits;
  private readonly logger: Logger;
  private readonly bus: MessageBus;
  private readonly machine: ParticipantMachine;
  private readonly places: PreparedPlaces;
  private readonly workPool: BoundedPool;
  private readonly decisionPool: BoundedPool;
  private readonly replies: ReplyBatcher;
  private readonly held: HeldBranches<Context>;
  private readonly executor: BranchExecutor<Context>;
  private readonly sweeper: Sweeper;
  private readonly termination: TerminationWatch;
  private readonly recorder = new MetricsRecorder();
  private readonly idleWaiters = new Map<TransactionId, (() => void)[]>();
  private subscription: Subscription | undefined;
  private readonly announcer: Announcer;
  /** names this process among those of the participant; a branch that it holds is enlisted with it */
  readonly instance: string;
  private state: 'new' | 'started' | 'stopped' = 'new';

  constructor(private readonly options: ParticipantRuntimeOptions<Context>) {
    if (!isParticipantName(options.participant)) {
      throw new ParticipantConfigurationError(
        `"${options.participant}" cannot name a participant: use lower-case letters, digits and hyphens, at most 63`,
      );
    }
    this.instance = options.instance ?? new UuidV7Generator(() => options.clock.now(), options.random).next();
    this.limits = { ...DEFAULT_PARTICIPANT_LIMITS, ...options.limits };
    const { resultSizeBytes } = this.limits;
    if (!(resultSizeBytes >= 2 && resultSizeBytes <= LIMITS.resultsBytes)) {
      throw new ParticipantConfigurationError(
        `limits.resultSizeBytes is ${resultSizeBytes}; it must be from 2 to ${LIMITS.resultsBytes}, which a message takes`,
      );
    }
    const { participant, clock } = options;
    this.logger = options.logger ?? silentLogger;
    const { logger } = this;
    const failpoints = options.failpoints ?? noFailpoints;
    this.bus = withFailpoints(options.bus, { process: 'participant', failpoints, logger });
    this.machine = new ParticipantMachine({ participant, ...this.limits });
    this.places = new PreparedPlaces({
      clock,
      maximum: () => this.limits.preparedBranches ?? options.resourceManager.maximumPrepared ?? Infinity,
      onRoom: () => this.wake(),
    });
    // A held branch has one of the connections for work, and may be prepared soon.
    const hasRoom = (running: number): boolean =>
      this.places.hasRoom(running + this.held.count) &&
      running < Math.max(1, this.limits.workConcurrency - this.held.count);
    this.workPool = new BoundedPool(this.limits.workConcurrency, this.limits.workQueue, clock, hasRoom);
    this.decisionPool = new BoundedPool(this.limits.decisionConcurrency, this.limits.decisionQueue, clock);
    this.replies = new ReplyBatcher(this.bus, clock, logger, this.limits.acknowledgementDelayMs);
    this.held = this.createHeldBranches();
    this.executor = this.createExecutor(failpoints);
    this.announcer = this.createAnnouncer();
    this.sweeper = this.createSweeper();
    this.termination = this.createTermination();
  }

  /** Begins to consume. The resource manager and the bus must have been started. */
  async start(): Promise<void> {
    const { bus } = this;
    const { participant } = this.options;
    refuseInvalidOperations(this.options.handlers.operations());
    const topics = [prepareTopic(participant), decideTopic(participant)];
    await bus.ensureTopics([...topics, REPLIES_TOPIC]);
    const { workConcurrency, workQueue, decisionConcurrency, decisionQueue } = this.limits;
    const subscription = await bus.subscribe({
      group: `participant.${participant}`,
      topics,
      maximumInFlight: workConcurrency + workQueue + decisionConcurrency + decisionQueue + IN_FLIGHT_SLACK,
      onMessage: (message, sender) => this.onMessage(message, sender),
      onNewLeader: () => this.announceAgain(),
    });
    if (this.state !== 'new') return subscription.stop(); // stopped in the meantime
    this.state = 'started';
    this.subscription = subscription;
    this.announcer.start();
    this.sweeper.start();
  }

  /**
   * Opens the session of a branch that this process holds between calls, and that the leader asks it to prepare: enlist
   * the branch with `instance`. Waits for a place and a connection, never beyond the deadline.
   *
   * @throws HeldBranchesExhaustedError when no place becomes free in time, or the wait would be for a branch in
   *   `suspends`
   * @throws BranchOccupiedError when the branch is held, prepared or ended
   * @throws ResourceManagerUnavailableError when the database cannot be reached
   * @throws ParticipantStoppedError after `stop`, or before `start`
   */
  async hold(request: HoldRequest): Promise<HeldBranch<Context>> {
    if (this.state === 'new') throw new ParticipantStoppedError('the participant has not started; start it first');
    return this.held.hold(request);
  }

  /** Rolls held branches back, stops consuming, finishes running work within `drainTimeoutMs` and sends batched replies. */
  async stop(): Promise<void> {
    if (this.state === 'stopped') return;
    this.state = 'stopped';
    this.announcer.leave();
    this.termination.stop();
    this.places.stop();
    await this.atMost(Promise.all([this.held.stop(), this.sweeper.stop(), this.subscription?.stop()]));
    await this.atMost(this.replies.flush());
  }

  /** Whether messages are being fetched; `idleMs` is the time since the broker last answered. */
  consuming(): { readonly subscribed: boolean; readonly idleMs: number } {
    const subscribed = this.state === 'started' && this.subscription !== undefined;
    return { subscribed, idleMs: this.subscription?.idleMs() ?? 0 };
  }

  /** The database was replaced; the coordinators are told at once, for their operators. */
  databaseChanged(): void {
    this.recorder.databaseChanges++;
    this.announceAgain();
  }

  metrics(): ParticipantMetrics {
    return {
      ...this.recorder.snapshot(),
      unsendable: this.replies.unsendableCount,
      deadLetters: this.bus.deadLetters(),
      signatureWarnings: this.bus.signatureWarnings?.() ?? noDeadLetters(),
      brokerRequests: this.bus.brokerRequests?.() ?? {},
      certificateExpirySeconds: certificateExpiries(),
      workRunning: this.workPool.runningCount,
      workWaiting: this.workPool.waitingCount,
      heldBranches: this.held.count,
      heldBranchesWaiting: this.held.waitingCount,
      oldestHeldMs: this.held.oldestMs,
      decisionsRunning: this.decisionPool.runningCount,
      decisionsWaiting: this.decisionPool.waitingCount,
      oldestWorkMs: this.workPool.oldestRunningMs,
      oldestDecisionMs: this.decisionPool.oldestRunningMs,
      overdue: this.workPool.overdueCount + this.decisionPool.overdueCount,
    };
  }

  private announceAgain(): void {
    if (this.state === 'started') this.announcer.announce();
  }

  private onMessage(message: ProtocolMessage, sender?: MessageSender): void | Promise<void> {
    if (message.type === 'decision' && isPeer(sender)) return this.decidedByPeer(message);
    switch (message.type) {
      case 'ballot-request':
        if (!message.proposer) this.termination.answered(message.branchId);
        return this.receive(message);
      case 'prepare':
        if (message.heldBy !== undefined && message.heldBy !== this.instance) return undefined; // only its holder may vote
        this.termination.answered(message.branchId);
        return this.receive(message);
      case 'decision':
        if (message.decision === 'abort') this.endSessionElsewhere(message);
        this.termination.answered(message.branchId);
        return this.receive(message);
      case 'commit-one-phase':
      case 'ruling':
      case 'undecided':
      case 'unknown-old':
        this.termination.answered(message.branchId);
        return this.receive(message);
      case 'ballot-answer':
      case 'termination-due':
        return this.receive(message);
      default:
        return undefined; // not for participants
    }
  }

  /**
   * Where messages are signed, a branch does not take a decision from another participant, which may have no branch in
   * the transaction. It asks the branches of the transaction itself, and hears the decision from one of them.
   */
  private decidedByPeer({ transactionId, branchId, participant }: DecisionMessage): void | Promise<void> {
    return this.receive({ type: 'termination-due', transactionId, branchId, participant });
  }

  private receive(message: ParticipantMessage): void | Promise<void> {
    if (this.isForAnotherVersion(message)) return undefined;
    this.step({ type: 'message', message });
    if (this.machine.isIdle(message.transactionId)) return undefined;
    return new Promise((resolve) => {
      const waiters = this.idleWaiters.get(message.transactionId);
      if (waiters) waiters.push(resolve);
      else this.idleWaiters.set(message.transactionId, [resolve]);
    });
  }

  /**
   * An operation that this process does not have, but another version of the participant may. A `no` would be final, so
   * the first sendings stay unanswered, as if lost.
   */
  private isForAnotherVersion(message: ParticipantMessage): boolean {
    if (message.type !== 'prepare' && message.type !== 'commit-one-phase') return false;
    if (message.attempt >= UNANSWERED_SENDINGS) return false;
    const served = this.options.handlers.operations();
    const missing = message.operations.find(({ operation }) => !served.includes(operation));
    if (!missing) return false;
    this.recorder.dropped++;
    this.logger.warn(
      `there is no operation "${missing.operation}" here; the work of branch ${message.branchId} of transaction ` +
        `${message.transactionId} is left to a process of another version`,
    );
    return true;
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
        // A held branch has its place, and what it locked may be what the work in the other pool waits for.
        return this.submit(effect.message.heldBy === undefined ? this.workPool : this.decisionPool, effect);
      case 'run-one-phase':
        return this.submit(this.workPool, effect);
      case 'run-commit':
      case 'run-abort':
      case 'run-ruling':
      case 'run-ballot':
      case 'open-ballot':
        return this.submit(this.decisionPool, effect);
      case 'cancel-work':
        return this.cancelWork(effect.branch);
      case 'reply':
        return this.reply(effect.message, effect.prompt);
      case 'send':
        return this.replies.send(effect.message);
      case 'alert':
        return this.alert(effect);
      default:
        unreachable(effect, 'participant effect');
    }
  }

  private submit(pool: BoundedPool, effect: DatabaseEffect): void {
    const branch = branchOf(effect);
    const run = async (): Promise<void> => {
      const event = await this.executor.run(effect);
      if (event.type === 'unknown') this.recorder.unknown++;
      this.watchOver(effect, event);
      this.countPrepared(event);
      this.step(event);
      this.held.wake();
    };
    const accepted = pool.submit(keyOf(branch), run, () => this.allowedMs(effect));
    if (accepted) return;
    this.recorder.dropped++;
    this.step({ type: 'unknown', branch });
  }

  /** Work that waits is dropped; a held branch that waits for its last statements waits no longer. */
  private cancelWork(branch: BranchAddress): void {
    const waits = this.workPool.cancel(keyOf(branch)) || this.decisionPool.cancel(keyOf(branch));
    if (waits) return this.step({ type: 'unknown', branch });
    this.held.close(branch)?.catch((error: unknown) => {
      const which = `held branch ${branch.branchId} of transaction ${branch.transactionId}`;
      this.logger.warn(`${which} could not be closed: ${errorMessage(error)}`);
    });
  }

  /** The holder of an aborted branch has no stream: it would keep its locks until its deadline. */
  private endSessionElsewhere(message: DecisionMessage): void {
    if (message.heldBy === undefined || message.heldBy === this.instance) return;
    this.options.resourceManager.endSession?.(message).catch((error: unknown) => {
      const which = `branch ${message.branchId} of transaction ${message.transactionId}`;
      this.logger.debug(`the session of ${which} goes on until its deadline: ${errorMessage(error)}`);
    });
  }

  /** There may be room for more prepared branches. */
  private wake(): void {
    this.workPool.wake();
    this.held.wake();
  }

  /** How long its handlers may run. */
  private allowedMs(effect: DatabaseEffect): number {
    return 'message' in effect ? timeLeftMs(limitOf(effect.message), this.options.clock) : 0;
  }

  /** A three-phase branch that voted yes waits for the coordinators until it has ended. */
  private watchOver(effect: DatabaseEffect, event: ParticipantEvent): void {
    const { branchId } = branchOf(effect);
    if (effect.type === 'run-prepare' && effect.message.protocol === '3pc') {
      if (event.type === 'voted' && event.result.vote === 'yes') this.termination.watch(effect.message);
    } else if (event.type === 'ended' || (event.type === 'ballot-opened' && event.opened.type !== 'opened')) {
      this.termination.forget(branchId);
    }
  }

  private countPrepared(event: ParticipantEvent): void {
    if (event.type === 'voted' && event.result.vote === 'yes') this.places.take(event.branch.branchId);
    else if (event.type === 'ended') this.places.free(event.branch.branchId);
  }

  private reply(message: VoteMessage | DoneMessage, prompt: boolean): void {
    if (message.type === 'done') {
      this.recorder.ends[message.end]++;
      if (prompt) this.replies.send(message);
      else this.replies.sendLazily(message);
      return;
    }
    this.recorder.votes[message.vote]++;
    if (message.error) this.recorder.refused(message.error.code);
    this.replies.send(message);
  }

  private alert({ code, branch, detail }: Extract<ParticipantEffect, { type: 'alert' }>): void {
    this.recorder.alerts[code]++;
    this.logger.error(`${code}: transaction ${branch.transactionId}, branch ${branch.branchId}: ${detail}`);
    const { onAlert } = this.options;
    if (!onAlert) return;
    const tell = guarded(onAlert, (error) => this.logger.error(`onAlert failed: ${errorMessage(error)}`, error));
    tell({ code, branch, detail });
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
        inquire: (branch) => this.inquireAboutPrepared(branch),
        observe: (prepared, oldestAgeMs, asOf) => {
          this.recorder.preparedBranches = prepared.length;
          this.recorder.oldestPreparedAgeMs = Math.max(0, oldestAgeMs);
          this.places.observe(prepared);
          const acceptors = prepared.filter(({ isAcceptor }) => isAcceptor);
          this.termination.retain(new Set(acceptors.map(({ branchId }) => branchId)), asOf);
          for (const branch of acceptors) this.termination.watch(branch);
        },
      },
    );
  }

  private createAnnouncer(): Announcer {
    const { clock, random, participant, handlers, resourceManager } = this.options;
    return new Announcer(this.limits.announceIntervalMs, {
      clock,
      random,
      participant,
      instance: this.instance,
      operations: () => handlers.operations(),
      abstainsBefore: () => resourceManager.abstainsBefore ?? 0,
      database: () => resourceManager.databaseName,
      send: (message) => this.replies.send(message),
    });
  }

  private createHeldBranches(): HeldBranches<Context> {
    const { clock, resourceManager } = this.options;
    const { workConcurrency, workQueue, heldBranches = Math.max(1, Math.floor(workConcurrency / 2)) } = this.limits;
    return new HeldBranches({
      resourceManager,
      clock,
      logger: this.logger,
      maximum: heldBranches,
      maximumWaiting: workQueue,
      hasRoom: () => this.places.hasRoom(this.workPool.runningCount + this.held.count),
      onFreed: () => this.workPool.wake(),
      onPrepared: (branchId) => this.places.take(branchId),
    });
  }

  private createExecutor(failpoints: Failpoints): BranchExecutor<Context> {
    const { resourceManager, handlers, tracing } = this.options;
    return new BranchExecutor({
      ...(tracing && { tracing }),
      resourceManager,
      handlers,
      held: this.held,
      failpoints,
      logger: this.logger,
      resultSizeBytes: this.limits.resultSizeBytes,
      onAbstention: () => void this.recorder.abstentions++,
      onImpossibleBallot: (branch) =>
        this.alert({
          type: 'alert',
          code: 'IMPOSSIBLE_BALLOT',
          branch,
          detail: 'a ballot was refused: it names other branches than the transaction has, or an impossible round',
        }),
    });
  }

  private createTermination(): TerminationWatch {
    const { clock, random, participant } = this.options;
    return new TerminationWatch(this.limits.terminationTimeoutMs, {
      clock,
      random,
      inquire: (branch) => this.inquire(branch),
      terminate: ({ transactionId, branchId }) => {
        this.recorder.terminations++;
        this.replies.send({ type: 'termination-due', transactionId, branchId, participant });
      },
    });
  }

  private inquireAboutPrepared(branch: PreparedBranch): void {
    const { transactionId, branchId } = branch;
    if (this.machine.isIdle(transactionId)) this.machine.foundPrepared(transactionId, branchId);
    this.inquire(branch);
  }

  private inquire({ transactionId, branchId }: BranchIdentity): void {
    if (!this.machine.isIdle(transactionId)) return; // its vote or its decision is being carried out
    this.recorder.inquiries++;
    const { participant, resourceManager } = this.options;
    const gid = resourceManager.gidOf({ transactionId, branchId });
    this.replies.send({ type: 'inquiry', transactionId, branchId, participant, gid });
  }

  /** Waits for `work`, at most the drain timeout. */
  private async atMost(work: Promise<unknown>): Promise<void> {
    try {
      await withTimeLimit(this.options.clock, this.limits.drainTimeoutMs, 'finishing the running work', work);
    } catch (error) {
      this.logger.warn(`stopping: ${errorMessage(error)}; the coordinator will send it again`);
    }
  }
}

function keyOf({ transactionId, branchId }: BranchAddress): string {
  return `${transactionId}/${branchId}`;
}

/** Whether a message is of another process than a coordinator. */
function isPeer(sender: MessageSender | undefined): boolean {
  return sender !== undefined && sender !== 'coordinator';
}
