import type { ProtocolMessage } from '@concordat/commit-protocol';
import type { Clock, Timer } from '@concordat/foundation';
import type {
  InstanceStreams,
  MessageBus,
  OutgoingMessage,
  PublishOptions,
  Subscription,
  SubscriptionOptions,
} from '@concordat/messaging';
import { replyOf, requestOf } from './message-kinds.js';
import type { MessageRules } from './message-rules.js';

/** Delegated branches whose answer may still come; an older one is taken for a decided one. */
const MAXIMUM_DELEGATED = 10_000;

/**
 * The bus of a coordinator, on which messages are lost, late or doubled by rules. It is at the coordinator's end of
 * each stream, so a participant cannot tell it from a bad network.
 */
export class FaultyBus implements MessageBus {
  private readonly timers = new Set<Timer>();
  private readonly delegated = new Set<string>();
  private stopped = false;

  constructor(
    private readonly bus: MessageBus,
    private readonly rules: MessageRules,
    private readonly clock: Clock,
  ) {}

  /** Processes of services can be asked by name: those that hold the sessions of global transactions. */
  get instances(): InstanceStreams | undefined {
    return this.bus.instances;
  }

  start(): Promise<void> {
    return this.bus.start();
  }

  ensureTopics(...parameters: Parameters<MessageBus['ensureTopics']>): Promise<void> {
    return this.bus.ensureTopics(...parameters);
  }

  isConnected(): boolean {
    return this.bus.isConnected();
  }

  obstacle(): string | undefined {
    return this.bus.obstacle();
  }

  deadLetters(): ReturnType<MessageBus['deadLetters']> {
    return this.bus.deadLetters();
  }

  async publish(messages: readonly OutgoingMessage[], options?: PublishOptions): Promise<void> {
    const undisturbed: OutgoingMessage[] = [];
    for (const outgoing of messages) {
      const { message } = outgoing;
      if (message.type === 'commit-one-phase') this.remember(message.branchId);
      for (const delayMs of this.rules.deliveriesOf(requestOf(message))) {
        if (delayMs === 0) undisturbed.push(outgoing);
        else this.later(delayMs, () => void this.bus.publish([outgoing]).catch(() => undefined)); // it is sent again
      }
    }
    if (undisturbed.length > 0) await this.bus.publish(undisturbed, options);
  }

  subscribe(options: SubscriptionOptions): Promise<Subscription> {
    return this.bus.subscribe({
      ...options,
      onMessage: (message, sender) => this.receive(message, (said) => options.onMessage(said, sender)),
    });
  }

  async stop(): Promise<void> {
    this.stopped = true;
    for (const timer of this.timers) timer.cancel();
    this.timers.clear();
    await this.bus.stop();
  }

  private receive(message: ProtocolMessage, deliver: SubscriptionOptions['onMessage']): void | Promise<void> {
    let now: void | Promise<void> = undefined;
    const reply = replyOf(message, (branchId) => this.delegated.has(branchId));
    for (const delayMs of this.rules.deliveriesOf(reply)) {
      if (delayMs === 0) now = deliver(message);
      else this.later(delayMs, () => void deliver(message));
    }
    return now;
  }

  private remember(branchId: string): void {
    this.delegated.add(branchId);
    const [oldest] = this.delegated;
    if (this.delegated.size > MAXIMUM_DELEGATED && oldest !== undefined) this.delegated.delete(oldest);
  }

  private later(delayMs: number, action: () => void): void {
    if (this.stopped) return;
    const timer = this.clock.setTimer(delayMs, () => {
      this.timers.delete(timer);
      action();
    });
    this.timers.add(timer);
  }
}
