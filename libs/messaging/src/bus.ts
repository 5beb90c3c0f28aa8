import type { ProtocolMessage } from '@concordat/commit-protocol';
import type { DeadLetterCounts } from './contract/intake.js';
import type { Topic } from './contract/topics.js';

export interface OutgoingMessage {
  readonly topic: Topic;
  readonly message: ProtocolMessage;
}

/** Both return undefined when there is nothing to wait for. */
export interface CommitHooks {
  before(): Promise<void> | undefined;
  after(): Promise<void> | undefined;
}

export interface SubscriptionOptions {
  /** members of one group share the topics; every group of the cluster reads all of them */
  readonly group: string;
  readonly topics: readonly Topic[];
  /**
   * Handles one message that was decoded and validated. May return a promise: the bus hands on further
   * messages meanwhile (at most `maximumInFlight`) and remembers a message as consumed only when everything
   * before it in its partition is finished. A rejection is logged and counts as finished: what must be
   * repeated is repeated by the protocol, never by the broker.
   */
  readonly onMessage: (message: ProtocolMessage) => void | Promise<void>;
  /**
   * Where this member begins. `committed` (the default): where its group left off, and a new group at the
   * oldest message. `latest`: with what is published once the subscription stands, whatever the group had
   * consumed; for readers to whom what is past will be repeated. With Kafka such a reader has a group of its
   * own at each start, made from `group`, so it never waits for the session of its predecessor to end.
   */
  readonly start?: 'committed' | 'latest';
  /**
   * Called around each commit of offsets, which waits for it: for tests that crash a process there. What `before`
   * rejects with keeps the commit from being made this time.
   */
  readonly aroundCommit?: CommitHooks;
  /** unfinished messages at most, default 1,024; beyond, the bus stops fetching */
  readonly maximumInFlight?: number;
  /** how long `stop` waits for handlers, default 5,000 ms; what is unfinished then comes again to the next member */
  readonly stopTimeoutMs?: number;
}

/** The same with the names that the broker knows (`Namespace`), as the buses hand it to what reads from a broker. */
export interface BrokerSubscription extends Omit<SubscriptionOptions, 'topics'> {
  readonly topics: readonly string[];
}

export const DEFAULT_MAXIMUM_IN_FLIGHT = 1_024;
export const DEFAULT_STOP_TIMEOUT_MS = 5_000;

export interface Subscription {
  /** Stops fetching; what was handed on is not taken back. For a node that has no use for the messages now. */
  pause(): void;
  /**
   * Goes on with what arrives from now on: messages published during the pause are skipped. The broker is asked
   * where "now" is, so messages published within the first milliseconds after the call may be skipped as well.
   */
  resumeFromLatest(): void;
  /** Milliseconds since the broker last answered a fetch, for liveness checks; 0 while paused. */
  idleMs(): number;
  /** Waits for the messages in hand (`stopTimeoutMs`), remembers how far it got, and leaves the group. */
  stop(): Promise<void>;
}

/**
 * The wire between coordinators and participants: topics with an order per key, delivery at least once.
 * Nothing is lost while the broker is down for less than its retention, but anything may come late, twice or
 * behind a later message of another topic. The key of every message is its transaction.
 *
 * A bus belongs to one cluster, whose name stands in every topic, group and message; clusters may share a broker.
 * What is of another cluster, or cannot be decoded, goes to the dead-letter topic with the reason, and the
 * subscription goes on.
 */
export interface MessageBus {
  /** Connects, or keeps trying in the background: publishing and subscribing work as soon as the broker does. */
  start(): Promise<void>;
  /**
   * Sees to it that topics are there, and makes what is missing. Tries again for as long as the broker is away or a
   * topic cannot be used as it is (`obstacle` says why).
   */
  ensureTopics(topics: readonly Topic[]): Promise<void>;
  /**
   * Sends messages, in order per topic and key. What is published while a request is under way goes with the
   * next one. Resolves when the broker has acknowledged them; rejects with `MessageBusError` when they were
   * dropped (buffer full, or stopped), and then the protocol sends again what matters. Each is encoded by itself: one
   * that no reader would take loses no other, and is told by an `UnsendableMessagesError` once the others have arrived.
   */
  publish(messages: readonly OutgoingMessage[]): Promise<void>;
  /**
   * Resolves when the subscription stands, or after a few seconds while the broker is away: it then comes to
   * stand in the background.
   */
  subscribe(options: SubscriptionOptions): Promise<Subscription>;
  isConnected(): boolean;
  /** Why messages cannot be exchanged now, and what to do about it where a person must; undefined when they can. */
  obstacle(): string | undefined;
  /** What this process has put aside since its start, by reason. */
  deadLetters(): DeadLetterCounts;
  /** Sends what is buffered (for at most a few seconds), stops every subscription and disconnects. */
  stop(): Promise<void>;
}
