import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { errorMessage } from './coded-error.js';
import { connectionLimit, type ConnectionNeeds } from './connection-limit.js';
import { guarded } from './guarded.js';
import type { Logger } from './logger.js';
import { openFilesLimit } from './open-files.js';

/** The headers of a request must have arrived within this time, or within that for the whole request if it is shorter. */
const HEADERS_TIMEOUT_MS = 10_000;
/** A client that reads nothing of its answer for so long is cut off. */
const UNREAD_TIMEOUT_MS = 30_000;
/** Bodies that have not come whole and answers that are not read, of all clients together. */
const BYTES_IN_HAND = 256 * 1024 * 1024;
/** How often the time limits of requests are looked at, as a part of the limit. */
const CHECKS_PER_TIMEOUT = 10;
const MAXIMUM_CHECK_INTERVAL_MS = 1_000;
/** How often answers and bodies are looked at. */
const SWEEP_INTERVAL_MS = 250;
const TOLD_EVERY_MS = 60_000;
/** What the system hands over at a time, at most: so much of a body may have been read with its headers. */
const READ_BYTES = 64 * 1024;

/** Options of `http.createServer` and of a server's own, in the form of Fastify's. */
export interface RequestTimeouts {
  readonly requestTimeout: number;
  readonly http: { readonly headersTimeout: number; readonly connectionsCheckingInterval: number };
}

/** A request that does not arrive whole in time is answered 408, and its connection ends. */
export function requestTimeouts(requestTimeoutMs: number): RequestTimeouts {
  return {
    requestTimeout: requestTimeoutMs,
    http: {
      headersTimeout: Math.min(HEADERS_TIMEOUT_MS, requestTimeoutMs),
      connectionsCheckingInterval: Math.min(MAXIMUM_CHECK_INTERVAL_MS, requestTimeoutMs / CHECKS_PER_TIMEOUT),
    },
  };
}

export interface ClientLimits {
  readonly connections: ConnectionNeeds;
  readonly logger: Logger;
  /** a client that reads nothing of its answer for so long is cut off; default 30 s */
  readonly unreadTimeoutMs?: number;
  /** bodies that have not come whole and answers that are not read, of all clients together; default 256 MiB */
  readonly bytesInHand?: number;
}

/**
 * Bounds what the clients of an HTTP server can take from its process, however many they are and however they behave:
 * connections (and so files), time, and memory. Requests have their time limits from `requestTimeouts`.
 *
 * - There are no more connections than leave files for the rest of the process; idle ones make room for new ones.
 * - A connection that cannot be accepted ends nothing: an error of a server that nobody hears would end the process.
 * - An answer that is not read is given up after a while.
 * - What all clients together have sent of their bodies, or have not read of their answers, is bounded in bytes: those
 *   who have had their time longest are cut off.
 */
export function limitClients(server: Server, limits: ClientLimits): void {
  const { logger } = limits;
  const { maximum, warning } = connectionLimit(limits.connections, openFilesLimit());
  const failed = (error: unknown): void => logger.error('the supervision of HTTP clients failed', error);
  if (warning !== undefined) logger.warn(warning);
  server.maxConnections = maximum;
  const refused = new OnceInAWhile((count) =>
    logger.warn(`${count} HTTP connections refused: the limit of ${maximum} open connections is reached`),
  );
  server.on(
    'drop',
    guarded(() => {
      server.closeIdleConnections();
      refused.count();
    }, failed),
  );
  const notAccepted = new OnceInAWhile((count, reason) =>
    logger.warn(`${count} HTTP connections could not be accepted: ${reason}`),
  );
  server.on(
    'error',
    guarded((error: NodeJS.ErrnoException) => {
      if (error.syscall !== 'accept') return; // whoever has it listen says so
      server.closeIdleConnections();
      notAccepted.count(errorMessage(error));
    }, failed),
  );
  const exchanges = new OpenExchanges(limits);
  server.prependListener(
    'request',
    guarded((request, response) => exchanges.add(request, response), failed),
  );
  server.once(
    'listening',
    guarded(() => {
      const sweep = guarded(() => exchanges.sweep(), failed);
      const timer = setInterval(sweep, SWEEP_INTERVAL_MS).unref();
      server.once(
        'close',
        guarded(() => clearInterval(timer), failed),
      );
    }, failed),
  );
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly socket: Socket;
  /** what the connection had read before its body, or less */
  readonly bytesBefore: number;
  /** of the body, as its headers say */
  readonly declaredBytes: number;
  /** whether the time that its client has to read is running */
  isTimed: boolean;
}

/** Requests that have no answer that was read, the oldest first. */
class OpenExchanges {
  private readonly open = new Set<Exchange>();
  private readonly bytesInHand: number;
  private readonly unreadTimeoutMs: number;
  private readonly cutOff: OnceInAWhile;

  constructor({ logger, bytesInHand = BYTES_IN_HAND, unreadTimeoutMs = UNREAD_TIMEOUT_MS }: ClientLimits) {
    this.bytesInHand = bytesInHand;
    this.unreadTimeoutMs = unreadTimeoutMs;
    this.cutOff = new OnceInAWhile((count) =>
      logger.warn(
        `${count} HTTP clients cut off: ${bytesInHand} bytes of bodies and answers are in transit, which is the limit`,
      ),
    );
  }

  add(request: IncomingMessage, response: ServerResponse): void {
    const { socket, headers } = request;
    const exchange = {
      request,
      response,
      socket,
      bytesBefore: Math.max(0, socket.bytesRead - READ_BYTES),
      declaredBytes: Number(headers['content-length'] ?? Number.POSITIVE_INFINITY),
      isTimed: false,
    };
    this.open.add(exchange);
    // one that breaks off has no such event, and goes with the next look
    const forget = (): void => void this.open.delete(exchange);
    response.once('finish', guarded(forget, forget));
  }

  sweep(): void {
    let total = 0;
    for (const exchange of this.open) {
      if (exchange.response.destroyed || exchange.socket.destroyed) {
        this.open.delete(exchange);
        continue;
      }
      total += bytesOf(exchange);
      this.time(exchange);
    }
    for (const exchange of this.open) {
      if (total <= this.bytesInHand) return;
      const bytes = bytesOf(exchange);
      if (bytes === 0) continue;
      total -= bytes;
      exchange.socket.destroy();
      this.cutOff.count();
    }
  }

  /** Node.js ends a connection after such a time without progress, and sets another one when the answer is read. */
  private time(exchange: Exchange): void {
    if (exchange.isTimed || !isUnread(exchange)) return;
    exchange.isTimed = true;
    exchange.socket.setTimeout(this.unreadTimeoutMs);
  }
}

function isUnread({ response }: Exchange): boolean {
  return response.writableEnded && !response.writableFinished;
}

function bytesOf(exchange: Exchange): number {
  const { request, response, socket, bytesBefore, declaredBytes } = exchange;
  if (isUnread(exchange)) return response.writableLength;
  return request.complete ? 0 : Math.min(declaredBytes, socket.bytesRead - bytesBefore);
}

/** Tells how often something happened, at once and then once in a while. */
class OnceInAWhile {
  private happened = 0;
  private toldAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly tell: (count: number, reason: string) => void) {}

  count(reason = ''): void {
    this.happened++;
    if (performance.now() - this.toldAt < TOLD_EVERY_MS) return;
    this.tell(this.happened, reason);
    [this.happened, this.toldAt] = [0, performance.now()];
  }
}
