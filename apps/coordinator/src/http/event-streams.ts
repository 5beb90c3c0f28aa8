import { Inject, Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import { connectionLimit, guarded, openFilesLimit, type Logger } from '@concordat/foundation';
import type { FastifyReply } from 'fastify';
import { CLUSTER, type ClusterApi } from '../cluster/cluster.api.js';
import { clientConnections, type ClientConnectionsConfig } from './client-connections.js';
import { CONFIG } from '../config.js';
import { LOGGER } from '../logging.js';
import {
  TRANSACTIONS,
  type TransactionEvent,
  type TransactionsApi,
  type TransactionView,
} from '../transactions/transactions.api.js';
import { isVisible, type Access } from '../transactions/access.js';
import { wallTime } from '../auth/wall-time.js';
import { OverloadedError, TransactionNotFoundError } from '../transactions/errors.js';

/**
 * Streams per node; never more than half of its connections either, and half of that for one principal. More are
 * refused with `OVERLOADED`.
 */
const MAXIMUM_STREAMS = 1_000;
/** A client that reads nothing for this long while data waits is disconnected; it resumes with Last-Event-ID. */
const STALLED_MS = 30_000;
/** Events that a stream takes from the history at a time. */
const BACKLOG_EVENTS = 500;
const KEEP_ALIVE_MS = 15_000;
const RECONNECT_MS = 1_000;
/** A follower may apply a transaction a moment after its client got the answer. */
const FIRST_STATE_WAIT_MS = 1_000;

/** Who reads a stream. */
export interface StreamReader {
  /** undefined: nobody is asked */
  readonly principal: string | undefined;
  /** what it may see */
  readonly access: Access | undefined;
  /** when its credential ends, and with it the stream; milliseconds since 1970 */
  readonly expiresAt: number | undefined;
  /** whether the credential counts still, where that can change */
  readonly counts?: (() => boolean) | undefined;
}

/** Without authentication. */
const ANYBODY: StreamReader = { principal: undefined, access: undefined, expiresAt: undefined };

interface Stream {
  readonly reply: FastifyReply;
  readonly reader: StreamReader;
  /** undefined: events of all transactions */
  readonly transactionId: string | undefined;
  /** index of the newest event the client has; all further events have this index or a higher one */
  lastIndex: number;
  /** transactions whose event with `lastIndex` the client has, or may not see: one log entry may change several */
  readonly sentAtLast: Set<string>;
  /** runs while the client has not read what was written */
  stalled: NodeJS.Timeout | undefined;
  /** events that the client missed and gets next */
  backlog: TransactionEvent[];
  /** whether events were skipped since the backlog was read */
  missed: boolean;
}

/**
 * The open event streams of a node. Subscribes to the transactions only while streams are open, and serialises each
 * event once.
 *
 * A stream is live, or behind: its client has not read yet what was written. No event is queued for a client that is
 * behind. When it has read, it gets what it missed from the history, as after a reconnect with Last-Event-ID, at its
 * own pace, until it is live again. So a stream buffers at most one event more than its socket. A client that reads
 * nothing for 30 s is disconnected.
 */
@Injectable()
export class EventStreams implements BeforeApplicationShutdown {
  private readonly streams = new Set<Stream>();
  private readonly maximumStreams: number;
  private detach: (() => void)[] = [];
  private keepAlive: NodeJS.Timeout | undefined;

  constructor(
    @Inject(TRANSACTIONS) private readonly transactions: TransactionsApi,
    @Inject(CLUSTER) private readonly cluster: ClusterApi,
    @Inject(LOGGER) private readonly logger: Logger,
    @Inject(CONFIG) config: ClientConnectionsConfig,
  ) {
    const { maximum } = connectionLimit(clientConnections(config), openFilesLimit());
    this.maximumStreams = Math.min(MAXIMUM_STREAMS, Math.floor(maximum / 2));
  }

  get size(): number {
    return this.streams.size;
  }

  /**
   * Streams the events of all transactions that the reader may see, after `lastEventId` if given.
   *
   * Reading the history and subscribing happen in one turn, so no event is lost between them.
   *
   * @throws OverloadedError
   */
  openAll(reply: FastifyReply, lastEventId: number | undefined, reader = ANYBODY): void {
    this.refuseTooMany(reader);
    const stream = createStream(reply, reader, undefined, lastEventId ?? -1);
    writeHead(reply);
    this.add(stream);
    if (lastEventId !== undefined) this.catchUp(stream);
  }

  /**
   * Streams one transaction: its state now, each change, and the end when it has ended.
   *
   * @param state read in this turn
   * @throws OverloadedError
   */
  openOne(reply: FastifyReply, state: TransactionView, reader = ANYBODY): void {
    this.refuseTooMany(reader);
    const stream = createStream(reply, reader, state.id, -1);
    writeHead(reply);
    this.add(stream);
    this.deliver(stream, { logIndex: state.logIndex, transaction: state });
    if (this.streams.has(stream)) this.catchUp(stream); // events since the state was read
  }

  /**
   * The state of a transaction on this node. A follower waits a moment for an unknown one, so that a client may begin a
   * transaction at one node and read its events at another.
   *
   * @throws TransactionNotFoundError, TransactionExpiredError
   */
  async stateOf(transactionId: string, access?: Access): Promise<TransactionView> {
    try {
      return (await this.transactions.get(transactionId, 'stale', access)).value;
    } catch (error) {
      if (!(error instanceof TransactionNotFoundError) || this.cluster.isLeader()) throw error;
      return this.firstState(transactionId, access, error);
    }
  }

  private firstState(transactionId: string, access: Access | undefined, notFound: Error): Promise<TransactionView> {
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
          if (transaction.id === transactionId && isVisible(transaction, access)) found(transaction);
        }),
        this.transactions.onReset(() => {
          this.transactions.get(transactionId, 'stale', access).then(
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
    for (const stream of this.streams) this.end(stream);
  }

  beforeApplicationShutdown(): void {
    this.closeAll();
  }

  private refuseTooMany({ principal }: StreamReader): void {
    const limit = this.maximumStreams;
    if (this.streams.size >= limit) {
      throw new OverloadedError(`this node serves ${limit} event streams already; use another one`, {
        details: { limit },
      });
    }
    // one principal leaves room for others
    const ofOne = Math.ceil(limit / 2);
    if (principal === undefined || this.streams.size < ofOne || this.countOf(principal) < ofOne) return;
    throw new OverloadedError(`this node serves ${ofOne} event streams of this principal already; use another one`, {
      details: { limit: ofOne },
    });
  }

  private countOf(principal: string): number {
    let count = 0;
    for (const { reader } of this.streams) if (reader.principal === principal) count++;
    return count;
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
    this.keepAlive ??= setInterval(
      guarded(
        () => this.sendKeepAlive(),
        (error) => this.logger.error('keeping the event streams alive failed', error),
      ),
      KEEP_ALIVE_MS,
    ).unref();
  }

  private end(stream: Stream): void {
    this.remove(stream);
    stream.reply.raw.end();
  }

  private remove(stream: Stream): void {
    clearTimeout(stream.stalled);
    stream.backlog = [];
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
      if (!wants(stream, event)) continue;
      if (isBehind(stream)) stream.missed = true;
      else this.deliver(stream, event, (text ??= formatEvent(event)));
    }
  }

  private deliver(stream: Stream, event: TransactionEvent, text?: string): void {
    this.send(stream, event, text);
    if (stream.transactionId === undefined || event.transaction.endedAt === null) return;
    this.end(stream);
  }

  /** Sends what the client missed, as fast as it reads; reads the history again when the backlog is used up. */
  private catchUp(stream: Stream): void {
    const missed = this.transactions.missedSince(stream.lastIndex, (logIndex, id) => {
      return isOf(stream, id) && isNewAt(stream, logIndex, id);
    });
    if (missed.kind === 'reset') {
      stream.missed = false;
      return this.miss(stream);
    }
    const events = missed.events.filter((event) => wants(stream, event) && isNew(stream, event));
    stream.missed = missed.more || events.length > BACKLOG_EVENTS;
    stream.backlog = events.slice(0, BACKLOG_EVENTS).toReversed();
    this.drainBacklog(stream);
  }

  private drainBacklog(stream: Stream): void {
    while (this.streams.has(stream) && stream.stalled === undefined) {
      const event = stream.backlog.pop();
      if (event !== undefined) this.deliver(stream, event);
      else if (stream.missed) return this.catchUpSoon(stream);
      else return;
    }
  }

  /** Events that the reader may not see fill no socket, so without a pause all of the history would be read in one turn. */
  private catchUpSoon(stream: Stream): void {
    if (stream.reader.access === undefined) return this.catchUp(stream);
    const goOn = guarded(
      () => {
        if (this.streams.has(stream)) this.catchUp(stream);
      },
      (error) => this.fail(stream, error),
    );
    setImmediate(goOn);
  }

  /** The history is too short: a stream of all transactions is reset, a stream of one gets its state. */
  private miss(stream: Stream): void {
    stream.backlog = [];
    if (stream.transactionId === undefined) this.sendReset(stream, this.cluster.view().appliedIndex);
    else void this.refresh(stream, stream.transactionId);
  }

  /** A snapshot brought changes without events. */
  private reset(throughIndex: number): void {
    for (const stream of this.streams) {
      if (isBehind(stream)) stream.missed = true;
      else if (stream.transactionId === undefined) this.sendReset(stream, throughIndex);
      else void this.refresh(stream, stream.transactionId);
    }
  }

  private async refresh(stream: Stream, transactionId: string): Promise<void> {
    try {
      const { value: transaction } = await this.transactions.get(transactionId, 'stale', stream.reader.access);
      if (this.streams.has(stream)) this.deliver(stream, { logIndex: transaction.logIndex, transaction });
    } catch {
      this.end(stream); // it ended and was dropped; the client learns that with its next request
    }
  }

  private sendReset(stream: Stream, throughIndex: number): void {
    advance(stream, throughIndex);
    this.write(stream, `event: reset\nid: ${throughIndex}\ndata: {}\n\n`);
  }

  private send(stream: Stream, event: TransactionEvent, text?: string): void {
    if (!isNew(stream, event)) return;
    if (event.logIndex > stream.lastIndex) advance(stream, event.logIndex);
    stream.sentAtLast.add(event.transaction.id);
    if (!isVisible(event.transaction, stream.reader.access)) return; // it counts as read
    this.write(stream, text ?? formatEvent(event));
  }

  private write(stream: Stream, text: string): void {
    const { raw } = stream.reply;
    if (!mayRead(stream.reader)) return this.end(stream);
    if (raw.destroyed || raw.writableEnded || raw.write(text) || stream.stalled !== undefined) return;
    const failed = (error: unknown): void => this.fail(stream, error);
    stream.stalled = setTimeout(
      guarded(() => this.cutOff(stream), failed),
      STALLED_MS,
    ).unref();
    raw.once(
      'drain',
      guarded(() => this.onRead(stream), failed),
    );
  }

  private onRead(stream: Stream): void {
    clearTimeout(stream.stalled);
    stream.stalled = undefined;
    this.drainBacklog(stream);
  }

  private cutOff(stream: Stream): void {
    this.remove(stream);
    stream.reply.raw.destroy();
  }

  private fail(stream: Stream, error: unknown): void {
    this.logger.error('an event stream failed and is ended', error);
    this.cutOff(stream);
  }

  /**
   * A node that was removed from its group gets no events any more, so its clients must go elsewhere. A client whose
   * credential has ended, or counts no longer, must show a new one; it gets no event meanwhile.
   */
  private sendKeepAlive(): void {
    if (this.cluster.exclusion() !== undefined) return this.closeAll();
    for (const stream of this.streams) {
      if (!mayRead(stream.reader)) this.end(stream);
      else if (!isBehind(stream)) this.write(stream, ': keep-alive\n\n');
    }
  }
}

function mayRead({ expiresAt = Number.POSITIVE_INFINITY, counts }: StreamReader): boolean {
  return expiresAt > wallTime() && counts?.() !== false;
}

function advance(stream: Stream, logIndex: number): void {
  stream.lastIndex = logIndex;
  stream.sentAtLast.clear();
}

function isNew(stream: Stream, { logIndex, transaction }: TransactionEvent): boolean {
  return isNewAt(stream, logIndex, transaction.id);
}

function isNewAt({ lastIndex, sentAtLast }: Stream, logIndex: number, id: string): boolean {
  return logIndex > lastIndex || (logIndex === lastIndex && !sentAtLast.has(id));
}

function wants(stream: Stream, { transaction }: TransactionEvent): boolean {
  return isOf(stream, transaction.id);
}

function isOf({ transactionId }: Stream, id: string): boolean {
  return transactionId === undefined || transactionId === id;
}

/** Whether the client has not read yet what was written, or there is more in the backlog or in the history. */
function isBehind({ stalled, backlog, missed }: Stream): boolean {
  return stalled !== undefined || backlog.length > 0 || missed;
}

function createStream(
  reply: FastifyReply,
  reader: StreamReader,
  transactionId: string | undefined,
  lastIndex: number,
): Stream {
  return {
    reply,
    reader,
    transactionId,
    lastIndex,
    sentAtLast: new Set(),
    stalled: undefined,
    backlog: [],
    missed: false,
  };
}

function writeHead(reply: FastifyReply): void {
  reply.hijack();
  reply.raw.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store, no-transform',
    'x-accel-buffering': 'no',
  });
  reply.raw.write(`retry: ${RECONNECT_MS}\n\n`);
}

function formatEvent({ logIndex, transaction }: TransactionEvent): string {
  return `event: transaction\nid: ${logIndex}\ndata: ${JSON.stringify(transaction)}\n\n`;
}
