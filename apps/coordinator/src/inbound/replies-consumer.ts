import { errorMessage, noFailpoints, type Failpoints, type Logger } from '@concordat/foundation';
import {
  DEAD_LETTER_TOPIC,
  OUTCOMES_TOPIC,
  REPLIES_TOPIC,
  withFailpoints,
  type MessageBus,
  type Subscription,
} from '@concordat/messaging';
import type { ProtocolMessage, ReplyMessage } from '@concordat/commit-protocol';
import type { TransactionManager } from '../transactions/transaction-manager.js';

/**
 * Passes the replies of participants to the transaction manager. Every node subscribes to all replies, but only the
 * leader fetches them: a follower has no use for them. Participants repeat what is missed at a change of leader.
 *
 * States: new → connecting (retries while the broker is unavailable) → paused ⇄ consuming → stopped.
 */
export class RepliesConsumer {
  private subscription: Subscription | undefined;
  private consuming = false;
  private stopped = false;

  private readonly bus: MessageBus;

  constructor(
    bus: MessageBus,
    private readonly manager: TransactionManager,
    private readonly nodeId: number,
    private readonly logger: Logger,
    failpoints: Failpoints = noFailpoints,
  ) {
    this.bus = withFailpoints(bus, { process: 'coordinator', failpoints, logger });
  }

  /** Begins to connect. Resolves when replies are consumed, or the consumer was stopped before. */
  async start(): Promise<void> {
    try {
      await this.bus.start();
      await this.bus.ensureTopics([REPLIES_TOPIC, OUTCOMES_TOPIC, DEAD_LETTER_TOPIC]);
      const subscription = await this.bus.subscribe({
        group: `coordinator.${this.nodeId}`,
        topics: [REPLIES_TOPIC],
        start: 'latest', // the next leader asks again for what this node missed
        onMessage: (message) => {
          if (isReply(message)) this.manager.onReply(message);
          else this.logger.warn(`a ${message.type} message does not belong to ${REPLIES_TOPIC}; it is ignored`);
        },
      });
      this.subscription = subscription;
      if (!this.consuming) subscription.pause();
      if (this.stopped) await subscription.stop();
    } catch (error) {
      if (!this.stopped) this.logger.error(`replies are not consumed: ${errorMessage(error)}`, error);
    }
  }

  /** Call it with true as soon as the node leads, before it acts, and with false when it no longer leads. */
  consume(consuming: boolean): void {
    if (this.consuming === consuming) return;
    this.consuming = consuming;
    if (consuming) this.subscription?.resumeFromLatest();
    else this.subscription?.pause();
  }

  /** Why the node cannot receive replies now; undefined when it can. */
  obstacle(): string | undefined {
    const obstacle = this.bus.obstacle();
    if (this.subscription) return obstacle;
    return `replies are not consumed yet: ${obstacle ?? 'the broker has not been reached'}`;
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.subscription?.stop();
  }
}

/** Which messages of the replies topic are for coordinators. An answer to a branch's own ballot is not. */
function isReply(message: ProtocolMessage): message is ReplyMessage {
  switch (message.type) {
    case 'vote':
    case 'done':
    case 'inquiry':
    case 'announce':
    case 'branches-decided':
      return true;
    case 'ballot-answer':
      return message.proposer === undefined;
    default:
      return false;
  }
}
