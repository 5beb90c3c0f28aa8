import { ConnectionError, InvalidAnswerError, type ConcordatError } from '../errors/errors.js';
import { mismatch } from '../model/shape.js';
import { clusterShape, transactionShape } from '../model/shapes.js';
import type { Transaction } from '../model/transaction.js';
import { idOf } from '../requests.js';
import { inRange, timeoutOf, type CallOptions } from '../transport/options.js';
import { Scope } from '../transport/scope.js';
import type { Call, OpenStream, Transport } from '../transport/transport.js';
import { EventParser, type ServerEvent } from './event-parser.js';

export interface WatchOptions extends CallOptions {
  /**
   * how long a stream may be silent before it counts as broken, in milliseconds. Default 45,000: a coordinator sends
   * something at least each 15 s
   */
  readonly idleTimeoutMs?: number | undefined;
}

export interface WatchAllOptions extends WatchOptions {
  /** the `logIndex` of the last event that was seen: the stream begins with what changed since. Default: from now on */
  readonly after?: number | undefined;
}

export type WatchEvent =
  /** one transaction has changed; `logIndex` resumes the watch */
  | { readonly kind: 'transaction'; readonly logIndex: number; readonly transaction: Transaction }
  /** changes were missed, too many or too long ago to be sent: read what you need anew, with `list`. The watch goes on */
  | { readonly kind: 'reset'; readonly logIndex: number };

const DEFAULT_IDLE_TIMEOUT_MS = 45_000;
/** before a stream that has ended is opened again, unless it said otherwise */
const RECONNECT_MS = 1_000;

/** Watches transactions over one stream after the other; none of them ends the watch by breaking. */
export class Watch {
  constructor(
    private readonly transport: Transport,
    private readonly options: WatchOptions,
  ) {}

  /** The states of one transaction, each newer than the one before, until it has ended. */
  async *one(transactionId: string): AsyncGenerator<Transaction, void, undefined> {
    const call = streamOf(`/v1/transactions/${idOf(transactionId)}/events`, undefined, transactionId);
    let logIndex = -1;
    for await (const event of this.events(() => call)) {
      // A new stream opens with a state that may be known, and another coordinator may be behind.
      if (event.kind === 'reset' || event.transaction.logIndex <= logIndex) continue;
      ({ logIndex } = event.transaction);
      yield event.transaction;
      if (event.transaction.endedAt !== null) return;
    }
  }

  /** The changes of all transactions, until the signal ends it. */
  async *all(after: number | undefined): AsyncGenerator<WatchEvent, void, undefined> {
    // Without a place in the log, what changes while the first stream is broken would be missed.
    const start = after === undefined ? await this.now() : undefined;
    let last = start ?? inRange('after', after!, 0, Number.MAX_SAFE_INTEGER);
    /** one log entry may change several transactions, and those of the last one come again after a reconnect */
    const seenAtLast = new Set<string>();
    for await (const event of this.events(() => streamOf('/v1/events', last))) {
      if (event.kind === 'transaction' && event.logIndex === start) continue;
      if (event.logIndex !== last) seenAtLast.clear();
      last = event.logIndex;
      if (event.kind === 'transaction') {
        if (seenAtLast.has(event.transaction.id)) continue;
        seenAtLast.add(event.transaction.id);
      }
      yield event;
    }
  }

  /** Index of what the coordinator that answers has applied. */
  private async now(): Promise<number> {
    const call = { method: 'GET', path: '/v1/cluster', repeatability: 'read', statuses: [200] } as const;
    return (await this.transport.read(call, clusterShape, this.options)).appliedIndex;
  }

  /** @param next the call of the next stream, which may depend on what was seen */
  private async *events(next: () => Call): AsyncGenerator<WatchEvent, never, undefined> {
    const { clock, random } = this.transport.settings;
    const lifetime = new Scope(clock, this.options.signal);
    const options = { ...this.options, signal: lifetime.signal };
    try {
      for (;;) {
        const stream = await this.transport.open(next(), options);
        const parser = new EventParser();
        try {
          yield* this.read(stream, parser);
        } catch (error) {
          lifetime.signal.throwIfAborted();
          if (!(error instanceof ConnectionError)) throw error;
        } finally {
          // also when the reader has left the loop
          stream.scope.abort(new DOMException('the stream is no longer read', 'AbortError'));
          stream.scope.dispose();
        }
        // spread, so that watchers whose coordinator has died do not come back together
        await lifetime.pause((parser.reconnectMs ?? RECONNECT_MS) * (1 + random() / 2));
      }
    } finally {
      lifetime.dispose();
    }
  }

  private async *read({ body, scope }: OpenStream, parser: EventParser): AsyncGenerator<WatchEvent, void, undefined> {
    const idleMs = timeoutOf('idleTimeoutMs', this.options.idleTimeoutMs ?? DEFAULT_IDLE_TIMEOUT_MS);
    const decoder = new TextDecoder();
    const reader = body.getReader();
    try {
      for (;;) {
        scope.endAfter(idleMs);
        const { done, value } = await reader.read().catch((cause: unknown) => {
          throw new ConnectionError('the stream of events has broken', { cause });
        });
        if (done) return;
        // While events are handed out, nobody reads; that time does not count.
        scope.rest();
        for (const event of parser.push(decoder.decode(value, { stream: true }))) {
          const watched = watchEventOf(event);
          if (watched !== undefined) yield watched;
        }
      }
    } finally {
      await reader.cancel().catch(() => undefined);
    }
  }
}

function streamOf(path: string, after: number | undefined, transactionId?: string): Call {
  return {
    method: 'GET',
    path,
    repeatability: 'read',
    lastEventId: after === undefined ? undefined : String(after),
    statuses: [200],
    ...(transactionId !== undefined && { transactionId }),
  };
}

/** @returns undefined for an event of a kind that a newer coordinator may have; @throws InvalidAnswerError */
function watchEventOf({ event, data, id }: ServerEvent): WatchEvent | undefined {
  if (event !== 'transaction' && event !== 'reset') return undefined;
  if (id === undefined || !/^\d{1,15}$/.test(id)) throw invalid(`the id "${id}" of an event is no index of the log`);
  const logIndex = Number(id);
  if (event === 'reset') return { kind: 'reset', logIndex };
  let transaction: unknown;
  try {
    transaction = JSON.parse(data);
  } catch (cause) {
    throw invalid('the data of an event is not valid JSON', cause);
  }
  const found = mismatch(transactionShape, transaction, 'the data of an event');
  if (found !== undefined) throw invalid(found);
  return { kind: 'transaction', logIndex, transaction: transaction as Transaction };
}

function invalid(message: string, cause?: unknown): ConcordatError {
  return new InvalidAnswerError(message, { cause });
}
