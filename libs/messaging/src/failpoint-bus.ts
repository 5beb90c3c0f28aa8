import { noFailpoints, reachFailpoint, type Failpoints, type Logger } from '@concordat/foundation';
import type { ProtocolMessage } from '@concordat/commit-protocol';
import type {
  CommitHooks,
  InstanceStreams,
  MessageBus,
  OutgoingMessage,
  PublishOptions,
  Subscription,
  SubscriptionOptions,
} from './bus.js';
import type { MessageSender } from './contract/authenticity.js';
import { noDeadLetters, type DeadLetterCounts } from './contract/intake.js';
import type { Topic } from './contract/topics.js';

/**
 * Around each publication, by type of message: before it is handed to the bus, and when the broker has acknowledged it
 * or, on a direct stream, the operating system has its bytes.
 */
export const SENDING_MOMENTS = ['before-send', 'after-send'] as const;
/** Around the handling of each message, by type: before it, and after all its effects are finished. */
export const HANDLING_MOMENTS = ['received', 'handled'] as const;
/** Around each commit of offsets: `<process>.offsets.<moment>`. */
export const OFFSET_MOMENTS = ['before-commit', 'after-commit'] as const;

export interface FailpointBusOptions {
  /** first part of every name: `coordinator` or `participant` */
  readonly process: string;
  readonly failpoints: Failpoints;
  readonly logger: Logger;
}

/** Adds failpoints around everything on a bus. Returns `bus` itself when failpoints are switched off. */
export function withFailpoints(bus: MessageBus, options: FailpointBusOptions): MessageBus {
  return options.failpoints === noFailpoints ? bus : new FailpointBus(bus, options);
}

/**
 * The failpoints of the wire: `<process>.<type of message>.<moment>`. The messages of one publication pass those of all
 * their types together. A paused message may be overtaken by others, as between topics.
 *
 * An error before the action fails it. After the action an error can change nothing, so it is logged.
 */
class FailpointBus implements MessageBus {
  constructor(
    private readonly bus: MessageBus,
    private readonly options: FailpointBusOptions,
  ) {}

  start(): Promise<void> {
    return this.bus.start();
  }

  ensureTopics(topics: readonly Topic[]): Promise<void> {
    return this.bus.ensureTopics(topics);
  }

  isConnected(): boolean {
    return this.bus.isConnected();
  }

  obstacle(): string | undefined {
    return this.bus.obstacle();
  }

  deadLetters(): DeadLetterCounts {
    return this.bus.deadLetters();
  }

  signatureWarnings(): DeadLetterCounts {
    return this.bus.signatureWarnings?.() ?? noDeadLetters();
  }

  brokerRequests(): Readonly<Record<string, number>> {
    return this.bus.brokerRequests?.() ?? {};
  }

  get instances(): InstanceStreams | undefined {
    return this.bus.instances;
  }

  stop(): Promise<void> {
    return this.bus.stop();
  }

  async publish(messages: readonly OutgoingMessage[], options?: PublishOptions): Promise<void> {
    const types = [...new Set(messages.map(({ message }) => message.type))];
    const held = together(types.map((type) => this.hit(type, 'before-send')));
    if (held) await held;
    await this.bus.publish(messages, options);
    const heldAfter = together(types.map((type) => this.reach(type, 'after-send')));
    if (heldAfter) await heldAfter;
  }

  subscribe(options: SubscriptionOptions): Promise<Subscription> {
    const { onMessage } = options;
    const aroundCommit: CommitHooks = {
      before: () => this.hit('offsets', 'before-commit'),
      after: () => this.reach('offsets', 'after-commit'),
    };
    return this.bus.subscribe({
      ...options,
      aroundCommit,
      onMessage: (message, sender) => this.handle(message, sender, onMessage),
    });
  }

  private handle(
    message: ProtocolMessage,
    sender: MessageSender | undefined,
    onMessage: SubscriptionOptions['onMessage'],
  ): void | Promise<void> {
    const held = this.hit(message.type, 'received');
    const handled = held ? held.then(() => onMessage(message, sender)) : onMessage(message, sender);
    return handled ? handled.then(() => this.reach(message.type, 'handled')) : this.reach(message.type, 'handled');
  }

  private hit(thing: string, moment: string): Promise<void> | undefined {
    return this.options.failpoints.hit(`${this.options.process}.${thing}.${moment}`);
  }

  private reach(thing: string, moment: string): Promise<void> | undefined {
    return reachFailpoint(this.options.failpoints, `${this.options.process}.${thing}.${moment}`, this.options.logger);
  }
}

async function all(held: readonly Promise<void>[]): Promise<void> {
  await Promise.all(held);
}

/** Undefined when there is nothing to wait for. */
function together(hits: readonly (Promise<void> | undefined)[]): Promise<void> | undefined {
  const held = hits.filter((hit) => hit !== undefined);
  return held.length === 0 ? undefined : all(held);
}
