import { METHODS } from 'node:http';
import { constants, performServerHandshake, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { guarded, OnceInAWhile, type Logger } from '@concordat/foundation';
import { Http2Request } from './http2-request.js';
import { Http2Response } from './http2-response.js';
import { ClientSession, type SessionEnd, type SessionLimits } from './http2-session.js';
import { makeProblem, type Problem } from './problems.js';

/** Requests of one session that are open at a time; a client waits with further ones. */
const MAXIMUM_STREAMS = 100;
/** As `maxHeaderSize` of HTTP/1.1: larger headers are answered 431. */
const MAXIMUM_HEADER_BYTES = 16 * 1024;
/** Requests with larger headers are refused by the library below, which answers nothing. */
const REFUSED_HEADER_BYTES = 64 * 1024;
const REFUSED_HEADER_FIELDS = 256;
/** Of one session: more of them end it. */
const MAXIMUM_INVALID_FRAMES = 100;
const MAXIMUM_REFUSED_STREAMS = 100;
const KNOWN_METHODS: ReadonlySet<string> = new Set(METHODS);
const CHECK_INTERVAL_MS = 250;
/** For the last frames of a session that ends; its client may read none. */
const END_MS = 500;
/** GOAWAY with it refuses no request (RFC 9113, section 6.8). */
const ANY_STREAM = 2 ** 31 - 1;

/** Bounds what a session may send, and so what it may take. */
const SESSION_OPTIONS = {
  maxHeaderListPairs: REFUSED_HEADER_FIELDS,
  maxSessionInvalidFrames: MAXIMUM_INVALID_FRAMES,
  maxSessionRejectedStreams: MAXIMUM_REFUSED_STREAMS,
  settings: {
    maxConcurrentStreams: MAXIMUM_STREAMS,
    maxHeaderListSize: REFUSED_HEADER_BYTES,
    enableConnectProtocol: false,
  },
} as const;

/** Its last part is missing in the types of Node.js. */
type StreamEvent = [
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  rawHeaders: readonly string[],
];

export interface Http2SessionsOptions extends SessionLimits {
  /** requests of all sessions that are open at a time; more are answered `OVERLOADED` */
  readonly maximumRequests: number;
  readonly logger: Logger;
  /** gets each request that is valid */
  readonly onRequest: (request: Http2Request, response: Http2Response) => void;
}

/**
 * The connections of HTTP/2: makes requests of them that look like those of HTTP/1.1, and sees that none takes more
 * than it may in time, frames and requests.
 *
 * serving → `announceEnd()` → clients send no new requests → `end()` → all are closed.
 */
export class Http2Sessions {
  private readonly sessions = new Set<ClientSession>();
  private openRequests = 0;
  private isEnding = false;
  private timer: NodeJS.Timeout | undefined;
  private readonly ended: OnceInAWhile;

  constructor(private readonly options: Http2SessionsOptions) {
    const { logger } = options;
    this.ended = new OnceInAWhile((count, reason) =>
      logger.warn(`${count} HTTP/2 sessions ended for what their clients sent, or did not send; the last: ${reason}`),
    );
  }

  get size(): number {
    return this.sessions.size;
  }

  /** Takes a connection on which the client has chosen HTTP/2. */
  serve(socket: TLSSocket): void {
    const session = performServerHandshake(socket, SESSION_OPTIONS);
    const client = new ClientSession(socket, session, this.options, performance.now());
    this.sessions.add(client);
    const failed = (error: unknown): void => {
      this.options.logger.error('a session of HTTP/2 failed', error);
      socket.destroy();
    };
    session.on('error', () => undefined); // of the client; "close" follows
    session.once(
      'close',
      guarded(() => void this.sessions.delete(client), failed),
    );
    session.on(
      'stream',
      guarded((...[stream, headers, , rawHeaders]: StreamEvent) => {
        this.onStream(client, stream, headers, rawHeaders);
      }, failed),
    );
    const check = guarded(() => this.check(), failed);
    this.timer ??= setInterval(check, CHECK_INTERVAL_MS).unref();
  }

  /** Makes room for new connections. */
  closeIdle(): void {
    for (const { isIdle, session } of this.sessions) if (isIdle) session.close();
  }

  /** Tells all clients to use another connection, at another node. What they have sent is served, then they are closed. */
  announceEnd(): void {
    this.isEnding = true;
    for (const { isIdle, session } of this.sessions) {
      if (session.destroyed || session.closed) continue;
      if (isIdle) session.close();
      else session.goaway(constants.NGHTTP2_NO_ERROR, ANY_STREAM);
    }
  }

  /** Closes all sessions and resolves when they are; requests that are still open are cut off. */
  async end(): Promise<void> {
    await Promise.all([...this.sessions].map((client) => this.endOne(client, constants.NGHTTP2_NO_ERROR)));
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private check(): void {
    const now = performance.now();
    for (const client of this.sessions) {
      const end = client.check(now);
      if (end) this.endFor(client, end);
    }
    if (this.sessions.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private endFor(client: ClientSession, { reason, code }: SessionEnd): void {
    if (reason === 'idle') return client.session.close();
    this.ended.count(reason);
    void this.endOne(client, code);
  }

  private endOne({ session, socket }: ClientSession, code: number): Promise<void> {
    return new Promise((resolve) => {
      const cut = guarded(
        () => socket.destroy(),
        () => undefined,
      );
      const timer = setTimeout(cut, END_MS);
      const closed = (): void => {
        clearTimeout(timer);
        resolve();
      };
      if (socket.destroyed) return closed();
      socket.once(
        'close',
        guarded(closed, () => resolve()),
      );
      const isFault = code !== constants.NGHTTP2_NO_ERROR;
      if (!session.destroyed) session.destroy(isFault ? new Error('the session is ended') : undefined, code);
    });
  }

  private onStream(
    client: ClientSession,
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    rawHeaders: readonly string[],
  ): void {
    const request = new Http2Request(stream, headers, rawHeaders, { socket: client.socket, meter: client });
    client.onRequest(stream.id ?? 0, request.headerBytes, request.hasBody);
    if (stream.destroyed) return client.onEnded(true, performance.now()); // given up in the same breath
    const response = new Http2Response(stream, request, client);
    this.openRequests++;
    const ended = (): void => {
      this.openRequests--;
      client.onEnded(stream.aborted || stream.rstCode !== constants.NGHTTP2_NO_ERROR, performance.now());
      if (this.isEnding && client.isIdle) client.session.close();
    };
    stream.once(
      'close',
      guarded(ended, (error) => this.options.logger.error('a request of HTTP/2 could not be counted', error)),
    );
    const refusal = this.refusalOf(request);
    if (refusal) return answerWith(response, refusal);
    const { expect } = request.headers;
    if (expect === '100-continue') response.writeContinue();
    else if (expect !== undefined) return void response.writeHead(417).end(); // as node:http
    this.options.onRequest(request, response);
  }

  private refusalOf({ method, headerBytes, url }: Http2Request): Problem | undefined {
    if (headerBytes > MAXIMUM_HEADER_BYTES) {
      return makeProblem('HEADERS_TOO_LARGE', 'the request could not be read as HTTP', '/');
    }
    if (method === 'CONNECT') {
      return makeProblem('MALFORMED_HTTP', 'CONNECT is for proxies, and this is not one', url ?? '');
    }
    if (!KNOWN_METHODS.has(method)) {
      return makeProblem('MALFORMED_HTTP', 'the request could not be read as HTTP', '/'); // as node:http
    }
    const { maximumRequests } = this.options;
    if (this.openRequests <= maximumRequests) return undefined;
    return makeProblem('OVERLOADED', `this node serves ${maximumRequests} requests already; use another one`, '/');
  }
}

/** Answers a request that never reaches the routes, or whose time is over. */
export function answerWith(response: Http2Response, problem: Problem): void {
  const body = JSON.stringify(problem);
  response.writeHead(problem.status, {
    'content-type': 'application/problem+json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}
