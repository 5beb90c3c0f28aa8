import { errorMessage, invariant, withTimeLimit, type Clock, type Logger } from '@concordat/foundation';
import type { ProtocolMessage } from '@concordat/commit-protocol';
import {
  DEFAULT_MAXIMUM_IN_FLIGHT,
  DEFAULT_STOP_TIMEOUT_MS,
  type Subscription,
  type SubscriptionOptions,
} from '../bus.js';

export interface InboxDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  /** called when a message must wait, and when none waits any more: streams are read only in between */
  readonly onFull: (isFull: boolean) => void;
  /** milliseconds since the latest frame of another end */
  readonly idleMs: () => number;
}

/** The subscriptions of one end of the direct link, by topic. */
export class DirectInbox {
  private readonly subscriptions = new Set<DirectSubscription>();

  constructor(private readonly dependencies: InboxDependencies) {}

  subscribe(options: SubscriptionOptions): Subscription {
    const subscription: DirectSubscription = new DirectSubscription(options, this.dependencies, () => {
      this.subscriptions.delete(subscription);
      this.dependencies.onFull(this.isFull);
    });
    this.subscriptions.add(subscription);
    return subscription;
  }

  get isFull(): boolean {
    return [...this.subscriptions].some(({ isFull }) => isFull);
  }

  has(topic: string): boolean {
    return [...this.subscriptions].some(({ topics }) => topics.includes(topic));
  }

  /** Delivers a message to all subscriptions of its topic; drops it when there are none. */
  deliver(topic: string, message: ProtocolMessage): void {
    for (const subscription of this.subscriptions) {
      if (subscription.topics.includes(topic)) subscription.deliver(message);
    }
  }

  newLeader(): void {
    for (const subscription of this.subscriptions) subscription.newLeader();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.subscriptions].map((subscription) => subscription.stop()));
  }
}

/**
 * Delivers messages as they arrive, at most `maximumInFlight` unfinished ones. Further ones wait, and no stream is read
 * meanwhile, so at most one read's messages wait.
 *
 * States: running ⇄ paused → stopped. While paused it drops messages: a node that does not lead has no use for them.
 */
class DirectSubscription implements Subscription {
  readonly topics: readonly string[];
  private state: 'running' | 'paused' | 'stopped' = 'running';
  private inFlight = 0;
  private waiting: ProtocolMessage[] = [];
  private readonly maximumInFlight: number;
  private readonly finishedWaiters: (() => void)[] = [];
  private readonly onHandled = (): void => this.finished();

  constructor(
    private readonly options: SubscriptionOptions,
    private readonly dependencies: InboxDependencies,
    private readonly onStopped: () => void,
  ) {
    this.topics = options.topics;
    this.maximumInFlight = options.maximumInFlight ?? DEFAULT_MAXIMUM_IN_FLIGHT;
  }

  get isFull(): boolean {
    return this.waiting.length > 0;
  }

  deliver(message: ProtocolMessage): void {
    if (this.state !== 'running') return;
    if (this.inFlight < this.maximumInFlight) return this.dispatch(message);
    this.waiting.push(message);
    if (this.waiting.length === 1) this.dependencies.onFull(true);
  }

  newLeader(): void {
    if (this.state === 'running') this.options.onNewLeader?.();
  }

  pause(): void {
    if (this.state !== 'running') return;
    this.state = 'paused';
    this.forgetWaiting();
  }

  resumeFromLatest(): void {
    if (this.state === 'paused') this.state = 'running';
  }

  idleMs(): number {
    return this.state === 'running' ? this.dependencies.idleMs() : 0;
  }

  async stop(): Promise<void> {
    if (this.state === 'stopped') return;
    this.state = 'stopped';
    this.forgetWaiting();
    const { clock } = this.dependencies;
    const limitMs = this.options.stopTimeoutMs ?? DEFAULT_STOP_TIMEOUT_MS;
    if (this.inFlight > 0) {
      const finished = new Promise<void>((resolve) => this.finishedWaiters.push(resolve));
      await withTimeLimit(clock, limitMs, 'handling the unfinished messages', finished).catch(() => undefined);
    }
    this.onStopped();
  }

  private dispatch(message: ProtocolMessage): void {
    this.inFlight++;
    let handled: void | Promise<void> = undefined;
    try {
      handled = this.options.onMessage(message);
    } catch (error) {
      this.report(message, error);
    }
    if (!handled) return this.finished();
    handled
      .then(this.onHandled, (error: unknown) => {
        this.report(message, error);
        this.finished();
      })
      .catch((error: unknown) => this.report(message, error)); // what comes next may fail, too
  }

  private finished(): void {
    this.inFlight--;
    invariant(this.inFlight >= 0, 'a message is finished once');
    if (this.inFlight === 0) for (const wake of this.finishedWaiters.splice(0)) wake();
    if (this.state !== 'running' || this.inFlight >= this.maximumInFlight) return;
    const next = this.waiting.shift();
    if (!next) return;
    if (this.waiting.length === 0) this.dependencies.onFull(false);
    this.dispatch(next);
  }

  private forgetWaiting(): void {
    if (this.waiting.length === 0) return;
    this.waiting = [];
    this.dependencies.onFull(false);
  }

  private report({ type }: ProtocolMessage, error: unknown): void {
    this.dependencies.logger.error(`the handler of a ${type} message failed: ${errorMessage(error)}`, error);
  }
}
