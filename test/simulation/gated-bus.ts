import type { ProtocolMessage } from '@concordat/commit-protocol';
import {
  MemoryMessageBus,
  type MemoryBroker,
  type MessageBus,
  type OutgoingMessage,
  type Subscription,
  type SubscriptionOptions,
} from '@concordat/messaging';
import type { SimulatedProcess } from './simulated-process.js';

/**
 * The message bus of one simulated process: what arrives and what is acknowledged waits while the process is
 * stopped, and dies with it.
 */
export class GatedBus implements MessageBus {
  private readonly bus: MemoryMessageBus;

  /** @param observe sees every message when it is handed to the bus, which is before it can reach anybody */
  constructor(
    broker: MemoryBroker,
    private readonly process: SimulatedProcess,
    private readonly observe: (message: ProtocolMessage) => void,
  ) {
    this.bus = new MemoryMessageBus(broker);
    process.onDeath(() => this.bus.crash());
  }

  start(): Promise<void> {
    return this.bus.start();
  }

  ensureTopics(topics: readonly string[]): Promise<void> {
    return this.bus.ensureTopics(topics);
  }

  publish(messages: readonly OutgoingMessage[]): Promise<void> {
    if (!this.process.isAlive) return new Promise(() => undefined); // its code has ended right there
    for (const { message } of messages) this.observe(message);
    return this.process.hear(this.bus.publish(messages));
  }

  subscribe(options: SubscriptionOptions): Promise<Subscription> {
    return this.bus.subscribe({ ...options, onMessage: (message) => this.receive(options, message) });
  }

  isConnected(): boolean {
    return this.bus.isConnected();
  }

  stop(): Promise<void> {
    return this.bus.stop();
  }

  private receive({ onMessage }: SubscriptionOptions, message: ProtocolMessage): void | Promise<void> {
    let handled: void | Promise<void> = undefined;
    let done = false;
    let finish: (() => void) | undefined;
    this.process.enter(() => {
      done = true;
      handled = onMessage(message);
      if (finish) Promise.resolve(handled).then(finish, finish);
    });
    return done ? handled : new Promise((resolve) => (finish = resolve));
  }
}
