import { backoffMs, type Clock, type Logger, type Random, type Timer, errorMessage } from '@concordat/foundation';
import type { EncodedMessage } from './contract/codec.js';
import { MessageBusError, type MessageBusErrorCode } from './contract/errors.js';

export interface SendQueueLimits {
  /** messages that may wait, default 100,000 */
  readonly maximumMessages: number;
  /** bytes of keys and values that may wait, default 64 MiB */
  readonly maximumBytes: number;
  /** how long a message may wait for a broker that is away, default 120,000 ms */
  readonly maximumAgeMs: number;
  /** messages of one request, default 4,096 */
  readonly batchMessages: number;
  /** bytes of one request, default 768 KiB: a broker takes 1 MiB for one partition unless told otherwise */
  readonly batchBytes: number;
}

export const DEFAULT_SEND_QUEUE_LIMITS: SendQueueLimits = {
  maximumMessages: 100_000,
  maximumBytes: 64 * 1024 * 1024,
  maximumAgeMs: 120_000,
  batchMessages: 4_096,
  batchBytes: 768 * 1024,
};

/** The broker will never take what was sent; repeating it is of no use. */
export class SendRefusedError extends Error {
  override readonly name = 'SendRefusedError';
}

export interface SendQueueDependencies {
  /** Sends one batch; rejects with `SendRefusedError` when repeating it is of no use. */
  readonly send: (batch: readonly EncodedMessage[]) => Promise<void>;
  /** Runs `action` at the end of the current turn: what is published in one turn goes in one batch. */
  readonly defer: (action: () => void) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly limits?: Partial<SendQueueLimits>;
}

interface Publication {
  remaining: number;
  readonly resolve: () => void;
  readonly reject: (error: MessageBusError) => void;
}

interface Waiting {
  readonly entry: EncodedMessage;
  readonly sizeBytes: number;
  readonly queuedAt: number;
  readonly publication: Publication;
}

const RETRY = { baseMs: 50, capMs: 1_000 };

/**
 * What waits for the broker. One request is under way at a time; what is published meanwhile goes with the
 * next one. A failed request is repeated without end, at a capped delay and in the same order, until the
 * broker takes it or its messages are older than `maximumAgeMs`.
 *
 * States: closed gate (before `open`) → idle ⇄ sending ⇄ waiting to retry → closed (after `close`).
 * Invariants: at most one request under way; bytes and messages held never exceed the limits; every
 * publication is settled exactly once.
 */
export class SendQueue {
  private queue: Waiting[] = [];
  private queuedBytes = 0;
  private sending = false;
  private scheduled = false;
  private gateOpen = false;
  private closed = false;
  private failures = 0;
  private retryTimer: Timer | undefined;
  private readonly idleWaiters: (() => void)[] = [];
  private readonly limits: SendQueueLimits;

  constructor(private readonly dependencies: SendQueueDependencies) {
    this.limits = { ...DEFAULT_SEND_QUEUE_LIMITS, ...dependencies.limits };
  }

  /** Messages that no broker has acknowledged yet. */
  get size(): number {
    return this.queue.length;
  }

  /** Starts sending what waits. */
  open(): void {
    this.gateOpen = true;
    this.schedule();
  }

  /**
   * Resolves when the broker has acknowledged all of them; rejects with `MessageBusError` as soon as one of
   * them was dropped. All of one call are taken in or none.
   */
  publish(entries: readonly EncodedMessage[]): Promise<void> {
    if (this.closed) return Promise.reject(dropped('BUS_STOPPED', 'the message bus was stopped'));
    if (entries.length === 0) return Promise.resolve();
    const sizes = entries.map(sizeBytesOf);
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    const { maximumMessages, maximumBytes } = this.limits;
    if (this.queue.length + entries.length > maximumMessages || this.queuedBytes + bytes > maximumBytes) {
      const waiting = `${this.queue.length} messages (${this.queuedBytes} bytes)`;
      return Promise.reject(dropped('BUS_BUFFER_FULL', `${waiting} already wait for the broker`));
    }
    return new Promise((resolve, reject) => {
      const publication = { remaining: entries.length, resolve, reject };
      const queuedAt = this.dependencies.clock.monotonic();
      entries.forEach((entry, index) => {
        this.queue.push({ entry, sizeBytes: sizes[index]!, queuedAt, publication });
      });
      this.queuedBytes += bytes;
      this.schedule();
    });
  }

  /** Tries to send what waits for at most `drainMs`, then drops the rest with `BUS_STOPPED`; with 0 at once. */
  async close(drainMs: number): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    if (this.gateOpen && drainMs > 0 && this.queue.length > 0) {
      await new Promise<void>((resolve) => {
        const timer = this.dependencies.clock.setTimer(drainMs, resolve);
        this.idleWaiters.push(() => {
          timer.cancel();
          resolve();
        });
      });
    }
    this.gateOpen = false;
    this.retryTimer?.cancel();
    this.drop(this.queue.splice(0), dropped('BUS_STOPPED', 'the message bus was stopped before the broker answered'));
  }

  private schedule(): void {
    if (!this.gateOpen || this.sending || this.scheduled || this.retryTimer || this.queue.length === 0) return;
    this.scheduled = true;
    this.dependencies.defer(() => {
      this.scheduled = false;
      if (this.gateOpen && !this.sending && !this.retryTimer && this.queue.length > 0) void this.sendNext();
    });
  }

  private async sendNext(): Promise<void> {
    this.sending = true;
    const batch = this.takeBatch();
    try {
      await this.dependencies.send(batch.map(({ entry }) => entry));
      this.acknowledge(batch);
    } catch (error) {
      if (error instanceof SendRefusedError) await this.sendOneByOne(batch);
      else this.retryLater(error);
    }
    this.sending = false;
    if (this.queue.length === 0) for (const wake of this.idleWaiters.splice(0)) wake();
    this.schedule();
  }

  /** The batch stays at the head of the queue until its fate is known, so a failure needs no putting back. */
  private takeBatch(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const { sizeBytes } of this.queue) {
      bytes += sizeBytes;
      if (count > 0 && (bytes > this.limits.batchBytes || count >= this.limits.batchMessages)) break;
      count++;
    }
    return this.queue.slice(0, count);
  }

  /** A refused batch is sent message by message, so that one bad message does not take others with it. */
  private async sendOneByOne(batch: readonly Waiting[]): Promise<void> {
    for (const waiting of batch) {
      if (!this.gateOpen) return;
      try {
        await this.dependencies.send([waiting.entry]);
        this.acknowledge([waiting]);
      } catch (error) {
        if (!(error instanceof SendRefusedError)) return this.retryLater(error);
        const refusal = `the broker refuses a message for ${waiting.entry.topic}: ${error.message}`;
        this.dependencies.logger.error(refusal);
        this.drop(this.removeHead(1), dropped('BUS_MESSAGE_REFUSED', refusal, error));
      }
    }
  }

  private acknowledge(batch: readonly Waiting[]): void {
    this.failures = 0;
    for (const { publication } of this.removeHead(batch.length)) {
      if (--publication.remaining === 0) publication.resolve();
    }
  }

  private retryLater(error: unknown): void {
    const { clock, logger, random } = this.dependencies;
    const oldestAllowed = clock.monotonic() - this.limits.maximumAgeMs;
    const expired = this.queue.findIndex(({ queuedAt }) => queuedAt > oldestAllowed);
    const aged = this.removeHead(expired === -1 ? this.queue.length : expired);
    if (aged.length > 0) {
      const complaint = `${aged.length} messages waited longer than ${this.limits.maximumAgeMs} ms for the broker`;
      logger.error(`${complaint} and were dropped`, error);
      this.drop(aged, dropped('BUS_MESSAGE_EXPIRED', complaint, error));
    }
    if (!this.gateOpen) return;
    const delayMs = backoffMs(this.failures++, RETRY, random);
    if (this.failures === 1) logger.warn(`cannot send to the broker, trying again: ${errorMessage(error)}`);
    this.retryTimer = clock.setTimer(delayMs, () => {
      this.retryTimer = undefined;
      this.schedule();
    });
  }

  private removeHead(count: number): Waiting[] {
    const removed = this.queue.splice(0, count);
    for (const { sizeBytes } of removed) this.queuedBytes -= sizeBytes;
    return removed;
  }

  private drop(waiting: readonly Waiting[], error: MessageBusError): void {
    for (const { publication } of waiting) publication.reject(error);
    if (this.queue.length === 0) this.queuedBytes = 0;
  }
}

function sizeBytesOf({ key, value }: EncodedMessage): number {
  return (key?.length ?? 0) + (value?.length ?? 0);
}

function dropped(code: MessageBusErrorCode, message: string, cause?: unknown): MessageBusError {
  return new MessageBusError(code, message, { cause });
}
