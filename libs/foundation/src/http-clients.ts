import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { errorMessage } from './coded-error.js';
import { connectionLimit, type ConnectionNeeds } from './connection-limit.js';
import { guarded } from './guarded.js';
import type { Logger } from './logger.js';
import { openFilesLimit } from './open-files.js';

/** Limit for the headers of a request; the limit of the whole request if that is shorter. */
const HEADERS_TIMEOUT_MS = 10_000;
/** A client that reads nothing of its answer for this long is disconnected. */
export const UNREAD_TIMEOUT_MS = 30_000;
/** Incomplete bodies and unread answers of all clients together. */
const MAXIMUM_BYTES = 256 * 1024 * 1024;
/** Checks of the time limits of requests, per limit. */
const CHECKS_PER_TIMEOUT = 10;
const MAXIMUM_CHECK_INTERVAL_MS = 1_000;
/** Interval of checks of answers and bodies. */
const SWEEP_INTERVAL_MS = 250;
const REPORT_INTERVAL_MS = 60_000;
/** The largest read of the system: this much of a body may have been read with its headers. */
const READ_BYTES = 64 * 1024;

/** Options of `http.createServer` and of the server itself, in Fastify's form. */
export interface RequestTimeouts {
  readonly requestTimeout: number;
  readonly http: { readonly headersTimeout: number; readonly connectionsCheckingInterval: number };
}

/** A request that is not complete in time is answered 408, and its connection ends. */
export function requestTimeouts(requestTimeoutMs: number): RequestTimeouts {
  return {
    requestTimeout: requestTimeoutMs,
    http: {
      headersTimeout: Math.min(HEADERS_TIMEOUT_MS, requestTimeoutMs),
      connectionsCheckingInterval: Math.min(MAXIMUM_CHECK_INTERVAL_MS, requestTimeoutMs / CHECKS_PER_TIMEOUT),
    },
  };
}

/** A request and its answer, as what its client takes from the process. */
export interface ClientExchange {
  /** nothing is left of it: the answer is read, or the client is gone */
  readonly isOver: boolean;
  /** of an incomplete body, or of an answer that is not read yet */
  readonly bytes: number;
  /** Ends it when its client takes too long. Called every 250 ms. */
  check(): void;
  /** Ends it at once. */
  cutOff(): void;
}

export interface ClientLimits {
  readonly connections: ConnectionNeeds;
  readonly logger: Logger;
  /** a client that reads nothing of its answer for this long is disconnected; default 30 s */
  readonly unreadTimeoutMs?: number;
  /** incomplete bodies and unread answers of all clients together; default 256 MiB */
  readonly maximumBytes?: number;
  /** for requests that are not those of HTTP/1.1, which it leaves alone (undefined) */
  readonly exchangeOf?: (request: IncomingMessage, response: ServerResponse) => ClientExchange | undefined;
  /** connections have to make room, beside the idle ones of HTTP/1.1 */
  readonly onCrowded?: () => void;
}

/**
 * Bounds what the clients of an HTTP server can take from its process: connections (and so files), time, and memory.
 * `requestTimeouts` has the time limits of requests.
 *
 * - The number of connections leaves files for the rest of the process; idle ones make room for new ones.
 * - A connection that cannot be accepted is logged: an `error` event without a listener would end the process.
 * - A client that does not read its answer is disconnected.
 * - Incomplete bodies and unread answers of all clients together are bounded in bytes: beyond, the oldest are
 *   disconnected.
 */
export function limitClients(server: Server, limits: ClientLimits): void {
  const { logger } = limits;
  const { maximum, warning } = connectionLimit(limits.connections, openFilesLimit());
  const failed = (error: unknown): void => logger.error('the supervision of HTTP clients failed', error);
  if (warning !== undefined) logger.warn(warning);
  server.maxConnections = maximum;
  const makeRoom = (): void => {
    server.closeIdleConnections();
    limits.onCrowded?.();
  };
  const refused = new OnceInAWhile((count) =>
    logger.warn(`${count} HTTP connections refused: the limit of ${maximum} open connections is reached`),
  );
  server.on(
    'drop',
    guarded(() => {
      makeRoom();
      refused.count();
    }, failed),
  );
  const notAccepted = new OnceInAWhile((count, reason) =>
    logger.warn(`${count} HTTP connections could not be accepted: ${reason}`),
  );
  server.on(
    'error',
    guarded((error: NodeJS.ErrnoException) => {
      if (error.syscall !== 'accept') return; // the caller of `listen` reports it
      makeRoom();
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

/** Requests whose answer is not read yet, the oldest first. */
class OpenExchanges {
  private readonly open = new Set<ClientExchange>();
  private readonly maximumBytes: number;
  private readonly unreadTimeoutMs: number;
  private readonly cutOff: OnceInAWhile;

  constructor(private readonly limits: ClientLimits) {
    const { logger, maximumBytes = MAXIMUM_BYTES, unreadTimeoutMs = UNREAD_TIMEOUT_MS } = limits;
    this.maximumBytes = maximumBytes;
    this.unreadTimeoutMs = unreadTimeoutMs;
    this.cutOff = new OnceInAWhile((count) =>
      logger.warn(
        `${count} HTTP clients disconnected: ${maximumBytes} bytes of bodies and answers are in transit, which is the limit`,
      ),
    );
  }

  add(request: IncomingMessage, response: ServerResponse): void {
    const exchange =
      this.limits.exchangeOf?.(request, response) ?? new Http1Exchange(request, response, this.unreadTimeoutMs);
    this.open.add(exchange);
    // an aborted one has no such event; the next check removes it
    const forget = (): void => void this.open.delete(exchange);
    response.once('finish', guarded(forget, forget));
  }

  sweep(): void {
    let total = 0;
    for (const exchange of this.open) {
      if (exchange.isOver) {
        this.open.delete(exchange);
        continue;
      }
      total += exchange.bytes;
      exchange.check();
    }
    for (const exchange of this.open) {
      if (total <= this.maximumBytes) return;
      const { bytes } = exchange;
      if (bytes === 0) continue;
      total -= bytes;
      exchange.cutOff();
      this.cutOff.count();
    }
  }
}

/** Its time limits are those of Node.js, beside the one for reading. */
class Http1Exchange implements ClientExchange {
  private readonly socket: Socket;
  /** bytes that the connection had read before the body, or fewer */
  private readonly bytesBefore: number;
  /** of the body, from its headers */
  private readonly declaredBytes: number;
  /** whether the time limit for reading is running */
  private isTimed = false;

  constructor(
    private readonly request: IncomingMessage,
    private readonly response: ServerResponse,
    private readonly unreadTimeoutMs: number,
  ) {
    this.socket = request.socket;
    this.bytesBefore = Math.max(0, this.socket.bytesRead - READ_BYTES);
    this.declaredBytes = Number(request.headers['content-length'] ?? Number.POSITIVE_INFINITY);
  }

  get isOver(): boolean {
    return this.response.destroyed || this.socket.destroyed;
  }

  get bytes(): number {
    const { request, response, socket, bytesBefore, declaredBytes } = this;
    if (this.isUnread) return response.writableLength;
    return request.complete ? 0 : Math.min(declaredBytes, socket.bytesRead - bytesBefore);
  }

  /** Node.js ends a connection after this time without progress, and sets another limit when the answer is read. */
  check(): void {
    if (this.isTimed || !this.isUnread) return;
    this.isTimed = true;
    this.socket.setTimeout(this.unreadTimeoutMs);
  }

  cutOff(): void {
    this.socket.destroy();
  }

  private get isUnread(): boolean {
    return this.response.writableEnded && !this.response.writableFinished;
  }
}

/** Logs a repeated event at once, and then once a minute with its count and the reason of the last. */
export class OnceInAWhile {
  private happened = 0;
  private reportedAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly tell: (count: number, reason: string) => void) {}

  count(reason = ''): void {
    this.happened++;
    if (performance.now() - this.reportedAt < REPORT_INTERVAL_MS) return;
    this.tell(this.happened, reason);
    [this.happened, this.reportedAt] = [0, performance.now()];
  }
}
