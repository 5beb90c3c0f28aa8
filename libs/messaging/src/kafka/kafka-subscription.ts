import {
  backoffMs,
  type Clock,
  errorMessage,
  type Logger,
  type Random,
  type Timer,
  withTimeLimit,
  sleep,
} from '@concordat/foundation';
import {
  DEFAULT_MAXIMUM_IN_FLIGHT,
  DEFAULT_STOP_TIMEOUT_MS,
  type Subscription,
  type BrokerSubscription,
} from '../bus.js';
import type { SignedRecord } from '../contract/authenticity.js';
import type { MessageIntake } from '../contract/intake.js';
import { MAXIMUM_SPAN, OffsetTracker } from './offset-tracker.js';

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface TopicPartitionOffset extends TopicPartition {
  readonly offset: number;
}

export interface ConsumedMessage {
  readonly offset: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: SignedRecord['headers'];
}

/** Messages of one partition in one answer to a fetch. */
export interface ConsumedBatch extends TopicPartition {
  readonly messages: readonly ConsumedMessage[];
  /** Sends a heartbeat if one is due. Rejects when the group changes. */
  heartbeat(): Promise<void>;
  /** Whether the rest of the batch is still wanted: the consumer is running and has not been repositioned. */
  isWanted(): boolean;
  /** The next fetch begins after this offset. */
  resolve(offset: string): void;
}

export interface ConsumerEvents {
  /** The group assigned partitions to this member; called before the first fetch from them. */
  onJoined(assignment: readonly TopicPartition[]): void;
  onBatch(batch: ConsumedBatch): Promise<void>;
  onAnswered(): void;
  /** This consumer has ended for good. */
  onCrashed(error: unknown): void;
}

/** One consumer in a group, from its connection to its crash or its end. */
export interface GroupConsumer {
  connect(): Promise<void>;
  /** Ends the memberships that an earlier process of the same name left behind. */
  evictPredecessor(): Promise<void>;
  endOffsets(): Promise<TopicPartitionOffset[]>;
  /** Joins the group and fetches until it is disconnected. */
  run(): Promise<void>;
  /** Stops fetching for good. */
  pause(): void;
  seek(position: TopicPartitionOffset): void;
  commit(positions: readonly TopicPartitionOffset[]): Promise<void>;
  disconnect(): Promise<void>;
}

export interface KafkaSubscriptionDependencies {
  readonly createConsumer: (group: string, topics: readonly string[], events: ConsumerEvents) => GroupConsumer;
  readonly intake: Pick<MessageIntake, 'take'>;
  readonly uniqueGroup: (group: string) => string;
  readonly onEnded: () => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly commitIntervalMs: number;
  readonly stallTimeoutMs: number;
}

interface ConsumedPartition extends TopicPartition {
  tracker: OffsetTracker;
  committed: number | undefined;
}

const REBUILD = { baseMs: 100, capMs: 2_000 };
/** A consumer that lived this long was healthy: its end resets the retry delay. */
const HEALTHY_LIFE_MS = 30_000;
const DISCONNECT_LIMIT_MS = 5_000;
const COMMIT_LIMIT_MS = 2_000;
/** How often a held batch checks whether it is still held, and whether a heartbeat is due. */
const HELD_CHECK_MS = 500;

/**
 * One subscription on Kafka. kafkajs' consumers crash and get stuck, so each is watched, and a new one is built when
 * one has ended, for ever and at a capped delay.
 *
 * States: joining ⇄ consuming (a consumer is established) → stopped; `paused` is independent of them. A paused
 * subscription holds the first batch that arrives: kafkajs fetches nothing until it gets that back. Its own pause would
 * end only after a sleep of up to `fetchWaitMs`, and a new leader waits for the replies.
 * Invariants: at most `maximumInFlight` unfinished messages; committed offsets are at or below the lowest unfinished
 * message; events of a consumer that was given up are ignored.
 */
export class KafkaSubscription implements Subscription {
  /** Settles when the subscription is established for the first time. */
  readonly standing: Promise<void>;
  private readonly latest: boolean;
  private readonly group: string;
  private readonly topics: readonly string[];
  private consumer: GroupConsumer | undefined;
  private joined = false;
  private partitions = new Map<string, ConsumedPartition>();
  /** with `start: 'latest'`: the end of each partition when this subscription was made */
  private beginnings: Map<string, number> | undefined;
  private inFlight = 0;
  private paused = false;
  /** the resume in progress; another pause cancels it */
  private resumption: symbol | undefined;
  private stopping: Promise<void> | undefined;
  /** by a broker only: consumers that fail to start do not count */
  private answeredAt: number;
  /** the latest answer while this member had its place in the group */
  private consumedAt: number | undefined;
  private lastFailure: unknown;
  private evicted = false;
  private commitTimer: Timer | undefined;
  private committing: Promise<void> | undefined;
  private assigned: ReadonlySet<string> = new Set();
  private announceStanding: () => void = () => undefined;
  private endLife: (reason: unknown) => void = () => undefined;
  private wakeSupervisor: () => void = () => undefined;
  private readonly waiters = new Set<() => void>();
  private supervision: Promise<void> | undefined;

  constructor(
    private readonly dependencies: KafkaSubscriptionDependencies,
    private readonly options: BrokerSubscription,
  ) {
    this.latest = options.start === 'latest';
    this.group = this.latest ? dependencies.uniqueGroup(options.group) : options.group;
    this.topics = [...new Set(options.topics)];
    this.answeredAt = dependencies.clock.monotonic();
    this.standing = new Promise((resolve) => (this.announceStanding = resolve));
  }

  start(): void {
    this.supervision = this.supervise();
    this.scheduleCommit();
  }

  pause(): void {
    this.paused = true;
    this.resumption = undefined;
  }

  resumeFromLatest(): void {
    if (!this.paused || this.resumption || this.stopping) return;
    this.resumption = Symbol('resumption');
    void this.seekToEnd(this.resumption);
  }

  idleMs(): number {
    if (this.paused) return 0;
    return this.consumedAt === undefined ? Infinity : this.dependencies.clock.monotonic() - this.consumedAt;
  }

  /** on the broker */
  get groupName(): string {
    return this.group;
  }

  /** Why the latest consumer ended, as long as no other has a place in the group; undefined when one has. */
  failure(): unknown {
    return this.joined ? undefined : this.lastFailure;
  }

  /** Milliseconds since the broker last answered anything; a paused subscription still sends heartbeats. */
  silentMs(): number {
    return this.dependencies.clock.monotonic() - this.answeredAt;
  }

  stop(): Promise<void> {
    this.stopping ??= this.stopOnce();
    return this.stopping;
  }

  private async stopOnce(): Promise<void> {
    const { clock, logger, onEnded } = this.dependencies;
    if (this.joined) this.consumer?.pause();
    const deadline = clock.monotonic() + (this.options.stopTimeoutMs ?? DEFAULT_STOP_TIMEOUT_MS);
    while (this.inFlight > 0 && clock.monotonic() < deadline) await this.woken(deadline - clock.monotonic());
    this.commitTimer?.cancel();
    try {
      await withTimeLimit(clock, COMMIT_LIMIT_MS, 'the last offset commit', this.commitPositions());
    } catch (error) {
      logger.warn(`${this.group} could not commit its last offsets: ${errorMessage(error)}`);
    }
    this.endLife('stopped');
    this.wakeSupervisor();
    await this.supervision;
    this.announceStanding();
    onEnded();
  }

  /** Builds consumer after consumer until the subscription is stopped. */
  private async supervise(): Promise<void> {
    const { clock, logger, random } = this.dependencies;
    for (let failures = 0; !this.stopping; failures++) {
      const bornAt = clock.monotonic();
      let reason: unknown;
      try {
        reason = await this.live();
      } catch (error) {
        reason = error;
      }
      if (this.stopping) return;
      this.lastFailure = reason;
      if (clock.monotonic() - bornAt > HEALTHY_LIFE_MS) failures = 0;
      const delayMs = backoffMs(failures, REBUILD, random);
      logger.warn(`the consumer of ${this.group} ended (${errorMessage(reason)}); a new one is started`);
      await new Promise<void>((resolve) => {
        const timer = clock.setTimer(delayMs, resolve);
        this.wakeSupervisor = () => {
          timer.cancel();
          resolve();
        };
      });
    }
  }

  /** Runs one consumer; resolves with the reason for its end. */
  private async live(): Promise<unknown> {
    const { clock, createConsumer, logger } = this.dependencies;
    let end: (reason: unknown) => void = () => undefined;
    const ended = new Promise<unknown>((resolve) => (end = resolve));
    this.endLife = end;
    const ifCurrent = (action: () => void): void => {
      if (this.consumer === consumer) action();
    };
    const consumer = createConsumer(this.group, this.topics, {
      onJoined: (assignment) => ifCurrent(() => this.takeOver(consumer, assignment)),
      onBatch: (batch) => (this.consumer === consumer ? this.dispatchBatch(consumer, batch) : Promise.resolve()),
      onAnswered: () => ifCurrent(() => this.noteAnswer()),
      onCrashed: end,
    });
    this.consumer = consumer;
    const watch = this.watchForStall(end);
    const joining = this.join(consumer);
    try {
      await Promise.race([joining, ended]);
      return await ended;
    } finally {
      watch.cancel();
      this.consumer = undefined;
      this.joined = false;
      this.wake();
      const retired = this.retire(consumer, joining);
      await withTimeLimit(clock, DISCONNECT_LIMIT_MS, 'the disconnection', retired).catch((error: unknown) =>
        logger.debug(`${this.group}: ${errorMessage(error)}`),
      );
    }
  }

  /**
   * Ends a consumer for good. kafkajs ignores a disconnect during a join and would then keep the partitions for ever
   * without consuming, so the join is awaited first.
   */
  private async retire(consumer: GroupConsumer, joining: Promise<void>): Promise<void> {
    await joining.catch(() => undefined);
    await consumer.disconnect();
  }

  private async join(consumer: GroupConsumer): Promise<void> {
    const isOver = (): boolean => this.consumer !== consumer;
    await consumer.connect();
    if (isOver()) return;
    if (this.latest && !this.beginnings) {
      const ends = await consumer.endOffsets();
      this.beginnings = new Map(ends.map((end) => [keyOf(end), end.offset]));
    }
    if (isOver()) return;
    if (!this.latest && !this.evicted) {
      try {
        await consumer.evictPredecessor();
        this.evicted = true;
      } catch (error) {
        // it only saves the wait for a dead member's session; a broker may forbid it
        this.dependencies.logger.debug(`${this.group} could not look for its predecessor: ${errorMessage(error)}`);
      }
    }
    if (isOver()) return;
    await consumer.run();
  }

  private noteAnswer(): void {
    this.answeredAt = this.dependencies.clock.monotonic();
    if (this.joined) this.consumedAt = this.answeredAt;
  }

  /** Ends a consumer that no broker has answered for too long, whatever its own state. */
  private watchForStall(end: (reason: unknown) => void): Timer {
    const { clock, stallTimeoutMs } = this.dependencies;
    const bornAt = clock.monotonic();
    let timer: Timer;
    const look = (): void => {
      const silentMs = clock.monotonic() - Math.max(bornAt, this.answeredAt);
      if (silentMs >= stallTimeoutMs) end(new Error(`no answer from the broker for ${Math.round(silentMs)} ms`));
      else timer = clock.setTimer(stallTimeoutMs - silentMs + 1, look);
    };
    timer = clock.setTimer(stallTimeoutMs, look);
    return { cancel: () => timer.cancel() };
  }

  /**
   * Positions this consumer. A partition that stays with this member continues after the last delivered message, so a
   * rebalance or a rebuilt consumer repeats nothing; any other begins at the committed offset.
   */
  private takeOver(consumer: GroupConsumer, assignment: readonly TopicPartition[]): void {
    const kept = new Map<string, ConsumedPartition>();
    for (const { topic, partition } of assignment) {
      const key = keyOf({ topic, partition });
      const known = this.partitions.get(key) ?? this.beginAtLatest({ topic, partition });
      if (!known) continue;
      kept.set(key, known);
      consumer.seek({ topic, partition, offset: known.tracker.end });
    }
    this.partitions = kept;
    this.assigned = new Set(assignment.map(keyOf));
    this.joined = true;
    this.consumedAt = this.dependencies.clock.monotonic();
    if (this.stopping) consumer.pause();
    this.announceStanding();
  }

  private beginAtLatest({ topic, partition }: TopicPartition): ConsumedPartition | undefined {
    if (!this.beginnings) return undefined;
    const begin = this.beginnings.get(keyOf({ topic, partition })) ?? 0; // a partition that was created later
    return { topic, partition, tracker: new OffsetTracker(begin), committed: undefined };
  }

  private async dispatchBatch(consumer: GroupConsumer, batch: ConsumedBatch): Promise<void> {
    if (this.paused) return this.hold(consumer, batch);
    const isWanted = (): boolean => this.consumer === consumer && !this.paused && !this.stopping && batch.isWanted();
    let last: string | undefined;
    try {
      for (const message of batch.messages) {
        while (this.isFull() && isWanted()) {
          await this.woken(HELD_CHECK_MS);
          await batch.heartbeat();
        }
        if (!isWanted()) break;
        this.dispatch(this.partitionAt(batch, Number(message.offset)), message);
        last = message.offset;
      }
    } finally {
      if (last !== undefined && this.consumer === consumer) batch.resolve(last);
    }
  }

  /** Holds a batch while the subscription is paused; none of its messages is delivered. */
  private async hold(consumer: GroupConsumer, batch: ConsumedBatch): Promise<void> {
    while (this.paused && !this.stopping && this.consumer === consumer && batch.isWanted()) {
      await this.woken(HELD_CHECK_MS);
      await batch.heartbeat();
    }
  }

  /** A partition whose offsets went back was recreated, or lost its end with a disk: tracking starts again. */
  private partitionAt({ topic, partition }: TopicPartition, offset: number): ConsumedPartition {
    const key = keyOf({ topic, partition });
    let known = this.partitions.get(key);
    if (!known || offset < known.tracker.end) {
      known = { topic, partition, tracker: new OffsetTracker(offset), committed: undefined };
      this.partitions.set(key, known);
    }
    return known;
  }

  private dispatch(
    { topic, partition, tracker }: ConsumedPartition,
    { offset, key, value, headers }: ConsumedMessage,
  ): void {
    const position = Number(offset);
    const givenUp = tracker.begin(position);
    if (givenUp !== undefined) {
      const { logger } = this.dependencies;
      logger.warn(
        `${topic}/${partition}: the message at offset ${givenUp} was not finished while ${MAXIMUM_SPAN} later ones ` +
          'arrived; it is given up, and its sender repeats it',
      );
    }
    this.inFlight++;
    const finish = (): void => this.finish(tracker, position);
    const fail = (error: unknown): void => {
      this.dependencies.logger.error(`the handler of ${topic} failed: ${errorMessage(error)}`, error);
      finish();
    };
    try {
      const taken = this.dependencies.intake.take({ topic, partition, offset, key, value, headers });
      const handled = taken && this.options.onMessage(taken.message, taken.sender);
      if (handled) handled.then(finish, fail);
      else finish();
    } catch (error) {
      fail(error);
    }
  }

  private finish(tracker: OffsetTracker, offset: number): void {
    this.inFlight--;
    tracker.finish(offset);
    this.wake();
  }

  private isFull(): boolean {
    return this.inFlight >= (this.options.maximumInFlight ?? DEFAULT_MAXIMUM_IN_FLIGHT);
  }

  private wake(): void {
    if (this.waiters.size > 0) for (const wake of this.waiters) wake();
  }

  /** Waits until a handler has finished or the pause ends, at most `limitMs`. */
  private woken(limitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        timer.cancel();
        this.waiters.delete(wake);
        resolve();
      };
      const timer = this.dependencies.clock.setTimer(limitMs, wake);
      this.waiters.add(wake);
    });
  }

  private scheduleCommit(): void {
    const { clock, commitIntervalMs, logger } = this.dependencies;
    if (this.latest) return; // the group is never used again
    this.commitTimer = clock.setTimer(commitIntervalMs, () => {
      this.commitPositions().catch((error: unknown) => {
        logger.debug(`${this.group} could not commit its offsets, trying again: ${errorMessage(error)}`);
      });
      if (!this.stopping) this.scheduleCommit();
    });
  }

  /** One commit at a time; callers in between wait for it and then commit the rest. */
  private async commitPositions(): Promise<void> {
    await this.committing?.catch(() => undefined);
    if (this.committing || this.latest || !this.joined || !this.consumer) return;
    const changed = [...this.partitions.values()].filter(({ tracker, committed }) => tracker.position !== committed);
    if (changed.length === 0) return;
    const positions = changed.map(({ topic, partition, tracker }) => ({ topic, partition, offset: tracker.position }));
    this.committing = this.commitNow(this.consumer, positions);
    try {
      await this.committing;
      changed.forEach((part, index) => (part.committed = positions[index]!.offset));
    } finally {
      this.committing = undefined;
    }
  }

  private async commitNow(consumer: GroupConsumer, positions: readonly TopicPartitionOffset[]): Promise<void> {
    const { aroundCommit } = this.options;
    await aroundCommit?.before();
    await consumer.commit(positions);
    await aroundCommit?.after();
  }

  /** Retries until the broker has told the ends of the partitions, or the subscription is paused again. */
  private async seekToEnd(resumption: symbol): Promise<void> {
    const { clock, logger, random } = this.dependencies;
    const isWanted = (): boolean => this.resumption === resumption && !this.stopping;
    for (let attempt = 0; isWanted(); attempt++) {
      const consumer = this.consumer;
      try {
        if (!consumer || !this.joined) throw new Error('no consumer is established');
        const ends = await consumer.endOffsets();
        if (!isWanted()) return;
        if (this.consumer === consumer && this.joined) return this.continueAt(consumer, ends);
      } catch (error) {
        logger.debug(`${this.group} cannot resume yet: ${errorMessage(error)}`);
      }
      await sleep(clock, backoffMs(attempt, { baseMs: 20, capMs: 1_000 }, random));
    }
  }

  private continueAt(consumer: GroupConsumer, ends: readonly TopicPartitionOffset[]): void {
    for (const { topic, partition, offset } of ends) {
      const key = keyOf({ topic, partition });
      if (!this.assigned.has(key)) continue;
      const known = this.partitions.get(key);
      if (known) known.tracker.skipTo(offset);
      else this.partitions.set(key, { topic, partition, tracker: new OffsetTracker(offset), committed: undefined });
      consumer.seek({ topic, partition, offset });
    }
    this.paused = false;
    this.resumption = undefined;
    this.noteAnswer();
    this.wake();
  }
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
