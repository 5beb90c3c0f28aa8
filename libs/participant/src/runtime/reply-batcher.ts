import { errorMessage, type Clock, type Logger, type Timer } from '@concordat/foundation';
import type { BallotMessage, ReplyMessage, TerminationDueMessage } from '@concordat/commit-protocol';
import { REPLIES_TOPIC, UnsendableReport, decideTopic, type MessageBus, type Topic } from '@concordat/messaging';

/** This many lazy messages are sent at once. */
const MAXIMUM_GATHERED = 512;

/** All messages that a participant sends: to coordinators, to other branches, and to itself. */
export type SentMessage = ReplyMessage | BallotMessage | TerminationDueMessage;

/**
 * Batches messages: all prompt ones of one turn leave in one `publish`. Lazy ones wait for the next prompt one, at most
 * `delayMs` milliseconds, because each request costs a socket write and a wake-up on both sides. Losing any of them is
 * safe: its receiver asks again.
 */
export class ReplyBatcher {
  private prompt: SentMessage[] = [];
  private lazy: SentMessage[] = [];
  private timer: Timer | undefined;
  private flushScheduled = false;
  private readonly pending = new Set<Promise<void>>();
  private readonly unsendable: UnsendableReport;

  constructor(
    private readonly bus: MessageBus,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly delayMs: number,
  ) {
    this.unsendable = new UnsendableReport(clock, (sentence) => logger.error(sentence));
  }

  /** Messages that could never be sent, since the start. */
  get unsendableCount(): number {
    return this.unsendable.count;
  }

  /** Sends at the end of this turn. */
  send(message: SentMessage): void {
    this.prompt.push(message);
    this.scheduleFlush();
  }

  /** Sends with the next prompt message, or after `delayMs` milliseconds. */
  sendLazily(message: SentMessage): void {
    this.lazy.push(message);
    if (this.lazy.length >= MAXIMUM_GATHERED) return this.scheduleFlush();
    this.timer ??= this.clock.setTimer(this.delayMs, () => this.flushNow());
  }

  /** Sends the batch and waits until it is sent or dropped. */
  async flush(): Promise<void> {
    this.flushNow();
    await Promise.all(this.pending);
  }

  private scheduleFlush(): void {
    if (this.flushScheduled) return;
    this.flushScheduled = true;
    queueMicrotask(() => this.flushNow());
  }

  private flushNow(): void {
    this.flushScheduled = false;
    this.timer?.cancel();
    this.timer = undefined;
    const batch = this.lazy.length === 0 ? this.prompt : [...this.prompt, ...this.lazy];
    this.prompt = [];
    this.lazy = [];
    if (batch.length === 0) return;
    const sending = this.publish(batch).finally(() => this.pending.delete(sending));
    this.pending.add(sending);
  }

  private async publish(batch: readonly SentMessage[]): Promise<void> {
    try {
      await this.bus.publish(batch.map((message) => ({ topic: topicOf(message), message })));
    } catch (error) {
      if (this.unsendable.take(error)) return;
      // before the first connection it is only this; the bus itself says when nothing can be reached
      const isAnnouncement = batch.every(({ type }) => type === 'announce');
      if (isAnnouncement)
        this.logger.debug(
          `the coordinators have not been told yet what this service can do, trying again: ${errorMessage(error)}`,
        );
      else
        this.logger.warn(
          `${batch.length} messages were dropped; their receivers will ask again: ${errorMessage(error)}`,
        );
    }
  }
}

function topicOf(message: SentMessage): Topic {
  switch (message.type) {
    case 'ballot-answer':
      return message.proposer ? decideTopic(message.proposer.participant) : REPLIES_TOPIC;
    case 'ballot-request':
    case 'decision':
    case 'termination-due':
      return decideTopic(message.participant);
    default:
      return REPLIES_TOPIC;
  }
}
