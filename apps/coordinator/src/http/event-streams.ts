import { Inject, Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import { guarded, type Logger } from '@concordat/foundation';
import type { FastifyReply } from 'fastify';
import { CLUSTER, type ClusterApi } from '../cluster/cluster.api.js';
import { LOGGER } from '../logging.js';
import {
  TRANSACTIONS,
  type TransactionEvent,
  type TransactionsApi,
  type TransactionView,
} from '../transactions/transactions.api.js';
import { OverloadedError, TransactionNotFoundError } from '../transactions/errors.js';

/** More streams than this on one node are refused with `OVERLOADED`. */
const MAXIMUM_STREAMS = 1_000;
/** A client that leaves this much unread is cut off; it resumes with its Last-Event-ID. */
const MAXIMUM_BUFFER_BYTES = 1024 * 1024;
const KEEP_ALIVE_MS = 15_000;
const RECONNECT_MS = 1_000;
/** A follower may learn of a transaction a moment after its client did. */
const FIRST_STATE_WAIT_MS = 1_000;

interface Stream {
  readonly reply: FastifyReply;
  /** undefined: events of all transactions */
  readonly transactionId: string | undefined;
  /** index of the newest event the client has; it has none of a lower index to come */
  lastIndex: number;
  /** transactions whose event with that index the client has: one log entry may change several */
  readonly sentAtLast: Set<string>;
}

/**
 * The open event streams of a node.
 *
 * It listens to the transactions only while somebody listens to it, and turns each event into text once. Every
 * queue is bounded: the number of streams, and what a slow client leaves unread.
 */
@Injectable()
export class EventStreams implements BeforeApplicationShutdown {
  private readonly streams = new Set<Stream>();
  private detach: (() => void)[] = [];
  private keepAlive: NodeJS.Timeout | undefined;

  constructor(
    @Inject(TRANSACTIONS) private readonly transactions: TransactionsApi,
    @Inject(CLUSTER) private readonly cluster: ClusterApi,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** Number of open streams. */
  get size(): number {
    return this.streams.size;
  }

  /**
   * Streams the events of all transactions, from `lastEventId` on if there is one.
   *
   * Looking back and joining happen in one step, so no event falls between them.
   *
   * @throws OverloadedError
   */
  openAll(reply: FastifyReply, lastEventId: number | undefined): void {
    this.refuseTooMany();
    const stream: Stream = { reply, transactionId: undefined, lastIndex: lastEventId ?? -1, sentAtLast: new Set() };
    writeHead(reply);
    if (lastEventId !== undefined) {
      const missed = this.transactions.missedSince(lastEventId);
      if (missed.kind === 'reset') {
        this.sendReset(stream, this.cluster.view().appliedIndex);
      } else {
        for (const event of missed.events) this.send(stream, event, formatEvent(event));
      }
    }
    if (isOpen(reply)) this.add(stream);
  }

  /**
   * Streams one transaction: its state now, each change, and the end when it has ended.
   *
   * @param state asked for just now
   * @throws OverloadedError
   */
  openOne(reply: FastifyReply, state: TransactionView): void {
    this.refuseTooMany();
    const stream: Stream = { reply, transactionId: state.id, lastIndex: -1, sentAtLast: new Set() };
    writeHead(reply);
    const event = { logIndex: state.logIndex, transaction: state };
    this.send(stream, event, formatEvent(event));
    if (state.endedAt !== null) {
      reply.raw.end();
    } else if (isOpen(reply)) {
      this.add(stream);
      const missed = this.transactions.missedSince(state.logIndex); // what came while the state was asked for
      if (missed.kind === 'events') for (const later of missed.events) this.deliver(stream, later);
    }
  }

  /**
   * The state of a transaction as this node knows it. A follower waits a moment for one that it does not know
   * yet, so that a client may begin at one node and listen at another.
   *
   * @throws TransactionNotFoundError, TransactionExpiredError
   */
  async stateOf(transactionId: string): Promise<TransactionView> {
    try {
      return (await this.transactions.get(transactionId, 'stale')).value;
    } catch (error) {
      if (!(error instanceof TransactionNotFoundError) || this.cluster.isLeader()) throw error;
      return this.firstState(transactionId, error);
    }
  }

  private firstState(transactionId: string, notFound: Error): Promise<TransactionView> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        for (const detach of detachments) detach();
      };
      const found = (transaction: TransactionView): void => {
        end();
        resolve(transaction);
      };
      const detachments = [
        this.transactions.subscribe(({ transaction }) => {
          if (transaction.id === transactionId) found(transaction);
        }),
        this.transactions.onReset(() => {
          this.transactions.get(transactionId, 'stale').then(
            ({ value }) => found(value),
            () => undefined,
          ); // not in the snapshot either
        }),
      ];
      const timer = setTimeout(() => {
        end();
        reject(notFound);
      }, FIRST_STATE_WAIT_MS);
    });
  }

  /** Ends all streams; a client resumes elsewhere with its Last-Event-ID. */
  closeAll(): void {
    for (const { reply } of this.streams) reply.raw.end();
    this.streams.clear();
    this.rest();
  }

  beforeApplicationShutdown(): void {
    this.closeAll();
  }

  private refuseTooMany(): void {
    if (this.streams.size < MAXIMUM_STREAMS) return;
    throw new OverloadedError(`this node serves ${MAXIMUM_STREAMS} event streams already; use another one`, {
      details: { limit: MAXIMUM_STREAMS },
    });
  }

  private add(stream: Stream): void {
    this.streams.add(stream);
    stream.reply.raw.once(
      'close',
      guarded(
        () => this.remove(stream),
        (error) => this.logger.error('an event stream could not be ended', error),
      ),
    );
    if (this.detach.length === 0) {
      this.detach = [
        this.transactions.subscribe((event) => this.publish(event)),
        this.transactions.onReset((throughIndex) => this.reset(throughIndex)),
      ];
    }
    this.keepAlive ??= setInterval(() => this.sendKeepAlive(), KEEP_ALIVE_MS).unref();
  }

  private remove(stream: Stream): void {
    this.streams.delete(stream);
    if (this.streams.size === 0) this.rest();
  }

  private rest(): void {
    for (const detach of this.detach) detach();
    this.detach = [];
    clearInterval(this.keepAlive);
    this.keepAlive = undefined;
  }

  private publish(event: TransactionEvent): void {
    let text: string | undefined;
    for (const stream of this.streams) {
      if (wants(stream, event)) this.deliver(stream, event, (text ??= formatEvent(event)));
    }
  }

  private deliver(stream: Stream, event: TransactionEvent, text = formatEvent(event)): void {
    if (!wants(stream, event)) return;
    this.send(stream, event, text);
    if (stream.transactionId === undefined || event.transaction.endedAt === null) return;
    this.remove(stream);
    stream.reply.raw.end();
  }

  /** A snapshot brought changes without events: who hears of all reads anew, who hears of one gets its state. */
  private reset(throughIndex: number): void {
    for (const stream of this.streams) {
      if (stream.transactionId === undefined) this.sendReset(stream, throughIndex);
      else void this.refresh(stream, stream.transactionId);
    }
  }

  private async refresh(stream: Stream, transactionId: string): Promise<void> {
    try {
      const { value: transaction } = await this.transactions.get(transactionId, 'stale');
      if (this.streams.has(stream)) this.deliver(stream, { logIndex: transaction.logIndex, transaction });
    } catch {
      this.remove(stream); // it ended and was dropped meanwhile; the client is told so when it asks again
      stream.reply.raw.end();
    }
  }

  private sendReset(stream: Stream, throughIndex: number): void {
    advance(stream, throughIndex);
    this.write(stream, `event: reset\nid: ${throughIndex}\ndata: {}\n\n`);
  }

  private send(stream: Stream, { logIndex, transaction }: TransactionEvent, text: string): void {
    if (logIndex < stream.lastIndex) return;
    if (logIndex > stream.lastIndex) advance(stream, logIndex);
    else if (stream.sentAtLast.has(transaction.id)) return;
    stream.sentAtLast.add(transaction.id);
    this.write(stream, text);
  }

  private write(stream: Stream, text: string): void {
    const { raw } = stream.reply;
    if (raw.writableLength > MAXIMUM_BUFFER_BYTES) {
      this.remove(stream);
      raw.destroy();
    } else if (!raw.destroyed) {
      raw.write(text);
    }
  }

  /** A node that was removed from its group hears of nothing any more; another one does. */
  private sendKeepAlive(): void {
    if (this.cluster.exclusion() !== undefined) return this.closeAll();
    for (const stream of this.streams) this.write(stream, ': keep-alive\n\n');
  }
}

function advance(stream: Stream, logIndex: number): void {
  stream.lastIndex = logIndex;
  stream.sentAtLast.clear();
}

function wants({ transactionId }: Stream, { transaction }: TransactionEvent): boolean {
  return transactionId === undefined || transactionId === transaction.id;
}

function isOpen(reply: FastifyReply): boolean {
  return !reply.raw.destroyed && !reply.raw.writableEnded;
}

function writeHead(reply: FastifyReply): void {
  reply.hijack();
  reply.raw.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
  });
  reply.raw.write(`retry: ${RECONNECT_MS}\n\n`);
}

function formatEvent({ logIndex, transaction }: TransactionEvent): string {
  return `event: transaction\nid: ${logIndex}\ndata: ${JSON.stringify(transaction)}\n\n`;
}
