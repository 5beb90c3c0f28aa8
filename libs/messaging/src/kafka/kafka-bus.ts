import { randomUUID } from 'node:crypto';
import { backoffMs, errorMessage, withTimeLimit, sleep } from '@concordat/foundation';
import type { BrokerBus, OutgoingMessage, PublishOptions, Subscription, SubscriptionOptions } from '../bus.js';
import { MessageBusError } from '../contract/errors.js';
import { allocateEncodersFromPool } from './encoder-buffers.js';
import { describeBrokerFault } from './broker-fault.js';
import { withDefaults } from './default-settings.js';
import { withTopicAdmin } from './kafka-admin.js';
import {
  KafkaGroupConsumer,
  errorTypes,
  type KafkaMessageBusOptions,
  KafkaSender,
  type KafkaSettings,
  RECONNECT,
} from './kafka-client.js';
import { stopIdleTimers } from './idle-timers.js';
import { MessageIntake, type DeadLetterCounts } from '../contract/intake.js';
import { KafkaSubscription } from './kafka-subscription.js';
import { Namespace } from '../contract/namespace.js';
import { writeProduceRequestsInOnePass } from './produce-request.js';
import { SendQueue } from '../send-queue.js';
import type { DeadLetter } from '../contract/dead-letter.js';
import { publishEach, signBatch } from '../contract/publishing.js';
import { TopicSetup, TopicSetupError } from './topic-setup.js';
import { DEAD_LETTER_TOPIC, type Topic } from '../contract/topics.js';
import { wantedRights } from './wanted-rights.js';

const DRAIN_MS = 5_000;
/** A rebalance may leave a member without an answer for 10 s, with two fetches or heartbeats around it. */
const SILENCE_LIMIT_MS = 13_000;

/**
 * The message bus on Apache Kafka. The sender, the send queue and `KafkaSubscription` make up for weaknesses of
 * kafkajs: endless reconnection at a capped delay, commits in the background, consumers and producers that are watched
 * and rebuilt.
 *
 * States: new → started → stopped.
 */
export class KafkaMessageBus implements BrokerBus {
  private readonly settings: KafkaSettings;
  private readonly namespace: Namespace;
  private readonly intake: MessageIntake;
  private readonly queue: SendQueue;
  private readonly sender: KafkaSender;
  private readonly topicSetup: TopicSetup;
  private topicProblem: string | undefined;
  private readonly requests: Record<string, number> = {};
  private readonly subscriptions = new Set<KafkaSubscription>();
  private stopped = false;
  private starting: Promise<void> | undefined;

  constructor(options: KafkaMessageBusOptions) {
    this.settings = withDefaults(options);
    stopIdleTimers();
    writeProduceRequestsInOnePass();
    allocateEncodersFromPool();
    this.namespace = new Namespace(options);
    this.intake = new MessageIntake(
      this.namespace,
      (letter) => this.publishDeadLetter(letter),
      this.settings.logger,
      options.signatures,
    );
    this.topicSetup = new TopicSetup(this.settings, this.settings.logger, wantedRights(options));
    this.sender = new KafkaSender(this.settings, (names) => this.setUpTopics(names), this.countRequest);
    this.queue = new SendQueue({
      send: (batch) => this.sender.send(signBatch(options.signatures, batch)),
      addedBytes: options.signatures?.maximumHeaderBytes ?? 0,
      defer: (action) => void setImmediate(action),
      clock: this.settings.clock,
      random: this.settings.random,
      logger: this.settings.logger,
      ...(options.queueLimits && { limits: options.queueLimits }),
    });
  }

  async start(): Promise<void> {
    this.starting ??= this.sender.connect().then((connected) => {
      if (connected) this.queue.open();
    });
    await this.awaitStart('the connection to Kafka', this.starting);
  }

  async ensureTopics(topics: readonly Topic[]): Promise<void> {
    const { clock, logger, random } = this.settings;
    const names = topics.map((topic) => this.namespace.topic(topic));
    let told: string | undefined;
    for (let attempt = 0; ; attempt++) {
      if (this.stopped)
        throw new MessageBusError('BUS_STOPPED', 'the message bus was stopped before the topics were ready');
      try {
        return await this.setUpTopics(names);
      } catch (error) {
        const isTold = error instanceof TopicSetupError;
        const problem = isTold ? error.message : describeBrokerFault(error, this.settings);
        if (problem !== told) logger.warn(`the topics cannot be used yet, trying again: ${problem}`);
        told = problem;
      }
      await sleep(clock, backoffMs(attempt, RECONNECT, random));
    }
  }

  async publish(messages: readonly OutgoingMessage[], { atOnce = false }: PublishOptions = {}): Promise<void> {
    return publishEach(this.namespace, messages, (entries) => this.queue.publish(entries, atOnce));
  }

  async subscribe(options: SubscriptionOptions): Promise<Subscription> {
    if (this.stopped) throw new MessageBusError('BUS_STOPPED', 'the message bus was stopped');
    const { clock, random, logger, commitIntervalMs, stallTimeoutMs } = this.settings;
    const subscription: KafkaSubscription = new KafkaSubscription(
      {
        createConsumer: (group, topics, events) =>
          new KafkaGroupConsumer(
            this.settings,
            group,
            topics,
            events,
            (names) => this.setUpTopics(names),
            this.countRequest,
          ),
        intake: this.intake,
        uniqueGroup: (group) => `${group}.${randomUUID()}`,
        onEnded: () => this.subscriptions.delete(subscription),
        clock,
        random,
        logger,
        commitIntervalMs,
        stallTimeoutMs,
      },
      {
        ...options,
        group: this.namespace.group(options.group),
        topics: options.topics.map((topic) => this.namespace.topic(topic)),
      },
    );
    this.subscriptions.add(subscription);
    subscription.start();
    await this.awaitStart(`the subscription of ${options.group}`, subscription.standing);
    return subscription;
  }

  isConnected(): boolean {
    return !this.stopped && this.sender.isConnected && !this.isUnanswered();
  }

  obstacle(): string | undefined {
    if (this.topicProblem !== undefined) return this.topicProblem;
    return this.isConnected() ? this.subscriptionProblem() : (this.sender.fault ?? 'the broker cannot be reached');
  }

  deadLetters(): DeadLetterCounts {
    return this.intake.deadLetters;
  }

  signatureWarnings(): DeadLetterCounts {
    return this.intake.signatureWarnings;
  }

  /** Produce requests are counted per batch, which is one request to each broker that leads one of its partitions. */
  brokerRequests(): Readonly<Record<string, number>> {
    return { ...this.requests };
  }

  async stop(): Promise<void> {
    if (this.stopped) return;
    this.stopped = true;
    await Promise.all([...this.subscriptions].map((subscription) => subscription.stop()));
    await this.queue.close(DRAIN_MS);
    await this.sender.disconnect();
  }

  /** The sender notices only when it sends; subscriptions ask all the time. */
  private isUnanswered(): boolean {
    return [...this.subscriptions].some((subscription) => subscription.silentMs() >= SILENCE_LIMIT_MS);
  }

  /** A consumer that ends is usually back at once. */
  private subscriptionProblem(): string | undefined {
    const failed = [...this.subscriptions].find(
      (subscription) => subscription.failure() !== undefined && subscription.idleMs() >= SILENCE_LIMIT_MS,
    );
    return failed && describeSubscriptionFailure(failed.groupName, failed.failure());
  }

  /** Remembers for `obstacle` what somebody must correct at the broker. */
  private async setUpTopics(names: readonly string[]): Promise<void> {
    try {
      await withTopicAdmin(this.settings, (admin) => this.topicSetup.ensure(admin, names));
      this.topicProblem = undefined;
    } catch (error) {
      if (error instanceof TopicSetupError) this.topicProblem = error.message;
      throw error;
    }
  }

  private readonly countRequest = (kind: string): void => {
    this.requests[kind] = (this.requests[kind] ?? 0) + 1;
  };

  /** Resolves after `standingTimeoutMs` at the latest; the start then continues in the background. */
  private async awaitStart(what: string, promise: Promise<void>): Promise<void> {
    const { clock, logger, standingTimeoutMs } = this.settings;
    try {
      await withTimeLimit(clock, standingTimeoutMs, what, promise);
    } catch (error) {
      logger.warn(`${errorMessage(error)}; trying again in the background`);
    }
  }

  publishDeadLetter(letter: DeadLetter): void {
    const topic = this.namespace.topic(DEAD_LETTER_TOPIC);
    this.queue.publish([{ ...letter, topic }]).catch((error: unknown) => {
      this.settings.logger.error('a dead letter was lost', error);
    });
  }
}

/** kafkajs hides that a right on the group is missing: it then says that the group has no coordinator. */
function describeSubscriptionFailure(group: string, failure: unknown): string {
  const ofTopics = errorTypes(failure).includes('TOPIC_AUTHORIZATION_FAILED');
  const fix = ofTopics ? 'grant this user Read on its topics' : 'check that this user has Read on the group';
  return `the subscription of the group "${group}" does not stand (${errorMessage(failure)}): ${fix}`;
}
