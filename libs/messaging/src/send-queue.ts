import { backoffMs, type Clock, type Logger, type Random, type Timer, errorMessage } from '@concordat/foundation';
import type { EncodedMessage } from './contract/codec.js';
import { MessageBusError, type MessageBusErrorCode } from './contract/errors.js';

export interface SendQueueLimits {
  /** maximum number of waiting messages, default 100,000 */
  readonly maximumMessages: number;
  /** maximum bytes of waiting keys and values, default 64 MiB */
  readonly maximumBytes: number;
  /** how long a message may wait for an unavailable broker, default 120,000 ms */
  readonly maximumAgeMs: number;
  /** messages per request, default 4,096 */
  readonly batchMessages: number;
  /** bytes per request, default 768 KiB: a broker accepts 1 MiB per partition by default */
  readonly batchBytes: number;
}

export const DEFAULT_SEND_QUEUE_LIMITS: SendQueueLimits = {
  maximumMessages: 100_000,
  maximumBytes: 64 * 1024 * 1024,
  maximumAgeMs: 120_000,
  batchMessages: 4_096,
  batchBytes: 768 * 1024,
};

/** The broker will never accept the batch; a retry is useless. */
export class SendRefusedError extends Error {
  override readonly name = 'SendRefusedError';
}

export interface SendQueueDependencies {
  /** Sends one batch; rejects with `SendRefusedError` when a retry is useless. */
  readonly send: (batch: readonly EncodedMessage[]) => Promise<void>;
  /** bytes that `send` adds to each message at most, for the size of requests; default 0 */
  readonly addedBytes?: number;
  /** Runs `action` at the end of the current turn: messages published in one turn form one batch. */
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
 * Messages that wait for the broker. One request at a time; messages published meanwhile go with the next one. A failed
 * request is retried for ever, at a capped delay and in the same order, until the broker accepts it or its messages are
 * older than `maximumAgeMs`.
 *
 * States: closed gate (before `open`) → idle ⇄ sending ⇄ waiting to retry → closed (after `close`).
 * Invariants: at most one request in flight; bytes and messages held never exceed the limits; every publication is
 * settled exactly once.
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

  /** Messages not acknowledged yet. */
  get size(): number {
    return this.queue.length;
  }

  open(): void {
    this.gateOpen = true;
    this.schedule();
  }

  /**
   * Resolves when the broker has acknowledged all of them; rejects with `MessageBusError` as soon as one is dropped.
   * The messages of one call are all accepted or all refused.
   *
   * @param atOnce not at the end of the turn, unless a request is in flight
   */
  publish(entries: readonly EncodedMessage[], atOnce = false): Promise<void> {
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
      if (atOnce && this.maySend()) void this.sendNext();
      else this.schedule();
    });
  }

  /** Sends what waits for at most `drainMs`, then drops the rest with `BUS_STOPPED`; with 0 at once. */
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
    if (this.scheduled || !this.maySend()) return;
    this.scheduled = true;
    this.dependencies.defer(() => {
      this.scheduled = false;
      if (this.maySend()) void this.sendNext();
    });
  }

  private maySend(): boolean {
    return this.gateOpen && !this.sending && !this.retryTimer && this.queue.length > 0;
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

  /** The batch stays in the queue until its fate is known, so a failure needs no restoring. */
  private takeBatch(): Waiting[] {
    const { addedBytes = 0 } = this.dependencies;
    let bytes = 0;
    let count = 0;
    for (const { sizeBytes } of this.queue) {
      bytes += sizeBytes + addedBytes;
      if (count > 0 && (bytes > this.limits.batchBytes || count >= this.limits.batchMessages)) break;
      count++;
    }
    return this.queue.slice(0, count);
  }

  /** Sends a refused batch message by message, so that one bad message does not affect the others. */
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
