import type { ProtocolMessage } from '@concordat/commit-protocol';
import type { MessageSender } from './contract/authenticity.js';
import type { DeadLetter } from './contract/dead-letter.js';
import type { DeadLetterCounts } from './contract/intake.js';
import type { Topic } from './contract/topics.js';

export interface OutgoingMessage {
  readonly topic: Topic;
  readonly message: ProtocolMessage;
}

export interface PublishOptions {
  /**
   * Somebody waits for these messages: they leave before the rest of this turn is done, and share no write with what it
   * sends later. Default: at the end of the turn.
   */
  readonly atOnce?: boolean;
}

/** Both return undefined when there is nothing to wait for. */
export interface CommitHooks {
  before(): Promise<void> | undefined;
  after(): Promise<void> | undefined;
}

export interface SubscriptionOptions {
  /** members of one group share the topics' messages; every group of the cluster gets all of them */
  readonly group: string;
  readonly topics: readonly Topic[];
  /**
   * Handles one decoded and validated message. May return a promise: the bus delivers further messages meanwhile (at
   * most `maximumInFlight`), and commits a message when it and all before it in its partition are finished. A rejection
   * is logged and counts as finished: the protocol repeats messages, never the broker.
   *
   * `sender` is who has signed it; undefined where signatures are not checked.
   */
  readonly onMessage: (message: ProtocolMessage, sender?: MessageSender) => void | Promise<void>;
  /**
   * Where this member begins. `committed` (the default): at its group's committed offset; a new group at the oldest
   * message. `latest`: at the end of the topics, whatever the group committed; for readers that get missed messages
   * again. On Kafka such a reader has a new group at each start, derived from `group`, so it never waits for the
   * session of its predecessor.
   */
  readonly start?: 'committed' | 'latest';
  /**
   * Called when another coordinator begins to lead, or the leader can be reached again: what was said before may have
   * reached nobody. Only where this end knows the leader, that is at a participant with direct streams.
   */
  readonly onNewLeader?: () => void;
  /**
   * Called around each commit of offsets, which waits for it: for tests that crash a process there. A rejection of
   * `before` skips this commit.
   */
  readonly aroundCommit?: CommitHooks;
  /** maximum number of unfinished messages, default 1,024; at the maximum the bus stops fetching */
  readonly maximumInFlight?: number;
  /** how long `stop` waits for handlers, default 5,000 ms; unfinished messages come again to the next member */
  readonly stopTimeoutMs?: number;
}

/** The same with names of the broker (`Namespace`), for code that reads from a broker. */
export interface BrokerSubscription extends Omit<SubscriptionOptions, 'topics'> {
  readonly topics: readonly string[];
}

export const DEFAULT_MAXIMUM_IN_FLIGHT = 1_024;
export const DEFAULT_STOP_TIMEOUT_MS = 5_000;

export interface Subscription {
  /** Stops fetching; delivered messages are not taken back. For a node that does not use the messages now. */
  pause(): void;
  /**
   * Continues at the end of the topics: messages published during the pause are skipped. The broker tells the end, so
   * messages of the first milliseconds after the call may be skipped as well.
   */
  resumeFromLatest(): void;
  /**
   * Milliseconds since this member last had both its place in the group and an answer, for liveness checks. `Infinity`
   * until it has its place for the first time, however often the broker answers; 0 while paused.
   */
  idleMs(): number;
  /** Waits for unfinished messages (`stopTimeoutMs`), commits the offsets, and leaves the group. */
  stop(): Promise<void>;
}

/** Which processes of participants this end can address, one by one. */
export interface InstanceStreams {
  /** whether the instance has an open stream to this process */
  has(participant: string, instance: string): boolean;
}

/**
 * The wire between coordinators and participants: topics with an order per key, delivery at least once. Nothing is lost
 * while the broker is down for less than its retention, but any message may be late, duplicated, or behind a later one
 * of another topic. The key of every message is its transaction.
 *
 * A bus belongs to one cluster, whose name is part of every topic, group and message; clusters may share a broker.
 * Messages of another cluster, and those that cannot be decoded, go to the dead-letter topic with the reason, and the
 * subscription continues.
 */
export interface MessageBus {
  /** Connects, retrying in the background: publishing and subscribing work as soon as the broker does. */
  start(): Promise<void>;
  /**
   * Creates the topics that do not exist. Retries while the broker is unavailable or a topic cannot be used (`obstacle`
   * says why).
   */
  ensureTopics(topics: readonly Topic[]): Promise<void>;
  /**
   * Sends messages, in order per topic and key. Those published during a request go with the next one. Resolves when
   * the broker has acknowledged them; on direct streams, when the socket has the bytes or the stream has ended. Rejects with `MessageBusError` when they were dropped (buffer full, or stopped);
   * then the protocol sends again. A message that no reader would accept does not affect the others:
   * `UnsendableMessagesError` reports it once they have arrived.
   */
  publish(messages: readonly OutgoingMessage[], options?: PublishOptions): Promise<void>;
  /**
   * Resolves when the subscription is established, or after a few seconds if the broker is unavailable: then it is
   * established in the background.
   */
  subscribe(options: SubscriptionOptions): Promise<Subscription>;
  isConnected(): boolean;
  /** Why messages cannot be exchanged now, and what somebody must do about it; undefined when they can. */
  obstacle(): string | undefined;
  /** Messages moved to the dead-letter topic since the start, by reason. */
  deadLetters(): DeadLetterCounts;
  /**
   * Messages since the start that were delivered although their signatures do not hold, by reason; they would be dead
   * letters if signatures were required. Absent where none are checked.
   */
  signatureWarnings?(): DeadLetterCounts;
  /**
   * Requests to the broker since the start that sent messages or that consumers made, by their names in the broker's
   * protocol: `Produce`, `Fetch`, `Heartbeat` and so on. Absent where there is no broker.
   */
  brokerRequests?(): Readonly<Record<string, number>>;
  /**
   * On a coordinator with direct streams: the instances that a message `heldBy` reaches. Absent where no instance can be
   * addressed; then a `prepare` with `heldBy` must not be published.
   */
  readonly instances?: InstanceStreams | undefined;
  /** Sends what is buffered (for at most a few seconds), stops every subscription and disconnects. */
  stop(): Promise<void>;
}

/** A bus with a broker, where dead letters have a topic. */
export interface BrokerBus extends MessageBus {
  /** Adds to the dead-letter topic. A letter that the broker does not take is lost, and the log says so. */
  publishDeadLetter(letter: DeadLetter): void;
}
