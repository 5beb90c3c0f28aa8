import { SystemClock } from '@concordat/foundation';
import type { ProtocolMessage, ReplyMessage } from '@concordat/commit-protocol';
import { REPLIES_TOPIC, decideTopic, prepareTopic, type MessageBus } from '@concordat/messaging';
import { MemoryBroker, MemoryMessageBus } from '@concordat/messaging/testing';

/** Votes yes and obeys. */
export const OBEDIENT = ['bench-a', 'bench-b'] as const;
/** Never answers: its transactions stay undecided. */
export const SILENT = 'bench-silent';
/** Votes yes and never says that it has ended: its transactions stay decided. */
export const FORGETFUL = 'bench-forgetful';
export const OPERATION = 'work';

const ALL = [...OBEDIENT, SILENT, FORGETFUL];
/** Messages that the broker keeps of each partition; nobody reads them a second time. */
const RETAINED_MESSAGES = 1_000;

/** The participants of one coordinator's process, and the wire to them: both in its memory. */
export class Participants {
  private readonly broker = new MemoryBroker({ clock: new SystemClock(), retainedMessages: RETAINED_MESSAGES });
  private readonly bus = new MemoryMessageBus(this.broker, { cluster: 'test' });

  /** For the coordinator. */
  createBus(): MessageBus {
    return new MemoryMessageBus(this.broker, { cluster: 'test' });
  }

  async start(): Promise<void> {
    await this.bus.start();
    const topics = ALL.flatMap((name) => [prepareTopic(name), decideTopic(name)]);
    await this.bus.ensureTopics([...topics, REPLIES_TOPIC]);
    await this.bus.subscribe({ group: 'bench', topics, onMessage: (message) => this.onMessage(message) });
  }

  announce(): Promise<void> {
    return this.reply(
      ...ALL.map((participant) => ({ type: 'announce' as const, participant, operations: [OPERATION] })),
    );
  }

  private async onMessage(message: ProtocolMessage): Promise<void> {
    if (message.type !== 'prepare' && message.type !== 'decision') return;
    if (message.participant === SILENT) return;
    const { transactionId, branchId, participant } = message;
    const address = { transactionId, branchId, participant };
    if (message.type === 'prepare') await this.reply({ type: 'vote', ...address, vote: 'yes', results: [null] });
    if (message.type !== 'decision' || participant === FORGETFUL) return;
    await this.reply({ type: 'done', ...address, end: message.decision === 'commit' ? 'committed' : 'aborted' });
  }

  private async reply(...messages: readonly ReplyMessage[]): Promise<void> {
    await this.bus.publish(messages.map((message) => ({ topic: REPLIES_TOPIC, message })));
  }
}
