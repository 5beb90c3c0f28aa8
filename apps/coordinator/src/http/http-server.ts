import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { LIMITS } from '@concordat/commit-protocol';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import {
  connectionLimit,
  guarded,
  limitClients,
  openFilesLimit,
  parseRequestTarget,
  requestTimeouts,
  UNREAD_TIMEOUT_MS,
  type Logger,
} from '@concordat/foundation';
import type { FastifyError, FastifyHttpOptions, FastifyHttpsOptions, FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '../config.js';
import { ANSWER_HEADERS, Http1Response } from './answer-headers.js';
import { answeredBelow } from './answered-status.js';
import { sendProblem } from './answers.js';
import { clientConnections, type ClientConnectionsConfig } from './client-connections.js';
import { Http2Exchange } from './http2-exchange.js';
import { Http2Request } from './http2-request.js';
import type { Http2Response } from './http2-response.js';
import { Http2Sessions } from './http2-sessions.js';
import { BODY_LIMIT_BYTES } from './json-body.js';
import type { NodeCertificates } from '../node-certificates.js';
import { pathOf } from './problem.filter.js';
import { makeProblem, problemOf, type Problem, type ProblemCode } from './problems.js';
import { secureServer, tlsServerOptions } from './tls-server.js';

/** As sent: the name of a lock may have every character escaped. A longer part of a path is refused before routing. */
const MAXIMUM_PARAMETER_LENGTH = 3 * LIMITS.lockNameLength;
/** Never a valid target: makes the router refuse a target that `parseRequestTarget` refused. */
const REFUSED_TARGET = '/%';
/** A connection without a request is closed after this time. */
const IDLE_TIMEOUT_MS = 72_000;

export type HttpServerOptions = Pick<Config, 'requestTimeoutMs'> &
  Partial<Pick<Config, 'tls'>> &
  ClientConnectionsConfig;

export interface HttpServer {
  readonly adapter: FastifyAdapter;
  /** undefined: it speaks HTTP/1.1 only */
  readonly http2: Http2Sessions | undefined;
}

/**
 * The HTTP server below the routes: parses the request target, answers invalid HTTP with a problem, and disconnects
 * stalled clients. Over TLS it speaks HTTP/1.1 and HTTP/2 on one port, and the routes see no difference.
 */
export function createHttpServer(
  config: HttpServerOptions,
  logger: Logger,
  certificates?: NodeCertificates,
): HttpServer {
  const { requestTimeoutMs, tls } = config;
  const limits = requestTimeouts(requestTimeoutMs);
  const unanswered = new UnansweredRequests();
  const givenUp = new WeakSet<Duplex>();
  const failed = (error: unknown): void => logger.error('a connection without valid HTTP could not be closed', error);
  const options: FastifyHttpOptions<Server> & { skipMiddie: boolean } = {
    forceCloseConnections: true,
    keepAliveTimeout: IDLE_TIMEOUT_MS,
    bodyLimit: BODY_LIMIT_BYTES,
    skipMiddie: true, // no Express middleware is used, and Middie costs a hook per request
    routerOptions: { maxParamLength: MAXIMUM_PARAMETER_LENGTH },
    ...limits,
    http: { ...limits.http, ServerResponse: Http1Response },
    rewriteUrl: ({ url }) => {
      const target = parseRequestTarget(url ?? '');
      return target.ok ? target.pathAndQuery : REFUSED_TARGET;
    },
    frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) =>
      sendProblem(reply, frameworkProblem(error, request)),
    clientErrorHandler: guarded((error: ClientError, socket: Duplex) => {
      if (givenUp.has(socket)) return; // Node.js reports each further piece
      givenUp.add(socket);
      unanswered.whenAnswered(
        socket,
        guarded(() => {
          const status = answerClientError(error, socket);
          if (status !== undefined) unanswered.endWith(socket, status);
        }, failed),
      );
    }, failed),
  };
  const adapter = createAdapter(options, certificates, tls?.http2 ?? false);
  const server: Server = adapter.getHttpServer();
  server.prependListener(
    'request',
    guarded((request, response) => {
      if (!(request instanceof Http2Request)) unanswered.add(request, response); // it pipelines nothing
    }, failed),
  );
  server.on(
    'connect',
    guarded((request: IncomingMessage, socket: Duplex) => {
      // detached from the server: an error without a listener would end the process
      socket.on('error', () => undefined);
      unanswered.whenAnswered(
        socket,
        guarded(() => refuseConnect(request, socket), failed),
      );
    }, failed),
  );
  const http2 = tls?.http2 && certificates?.http ? createSessions(config, logger, server) : undefined;
  limitClients(server, {
    connections: clientConnections(config),
    logger,
    exchangeOf: (request, response) => {
      if (!(request instanceof Http2Request)) return undefined;
      const limits = { requestTimeoutMs, unreadTimeoutMs: UNREAD_TIMEOUT_MS };
      return new Http2Exchange(request, response as unknown as Http2Response, limits);
    },
    onCrowded: () => http2?.closeIdle(),
  });
  if (tls && certificates?.http) secureServer(server as TlsServer, { tls, node: certificates, logger, http2 });
  if (http2) adapter.getInstance().addHook('preClose', () => http2.end());
  return { adapter, http2 };
}

/** Their requests go where those of HTTP/1.1 go. */
function createSessions(config: HttpServerOptions, logger: Logger, server: Server): Http2Sessions {
  const { headersTimeout } = requestTimeouts(config.requestTimeoutMs).http;
  return new Http2Sessions({
    headersTimeoutMs: headersTimeout,
    idleTimeoutMs: IDLE_TIMEOUT_MS,
    maximumRequests: connectionLimit(clientConnections(config), openFilesLimit()).maximum,
    logger,
    onRequest: (request, response) => server.emit('request', request, response),
  });
}

function createAdapter(
  options: FastifyHttpOptions<Server>,
  certificates: NodeCertificates | undefined,
  speaksHttp2: boolean,
): FastifyAdapter {
  if (!certificates?.http) return new FastifyAdapter(options);
  const { http, ...others } = options;
  const https = { ...http, ...tlsServerOptions(certificates.http, speaksHttp2) };
  // the adapter's type knows the server for plain text only
  return new FastifyAdapter({ ...others, https } as FastifyHttpsOptions<TlsServer>) as unknown as FastifyAdapter;
}

/**
 * The unanswered requests of each connection. A client may pipeline several; when one is invalid HTTP, those before it
 * are answered first, in order.
 */
class UnansweredRequests {
  private readonly ofSocket = new WeakMap<Duplex, Set<readonly [IncomingMessage, ServerResponse]>>();

  add(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    let ofSocket = this.ofSocket.get(socket);
    if (!ofSocket) this.ofSocket.set(socket, (ofSocket = new Set()));
    const entry = [request, response] as const;
    ofSocket.add(entry);
    response.once(
      'close',
      guarded(
        () => ofSocket.delete(entry),
        () => undefined,
      ),
    );
  }

  /** Says of what is left, which has not come whole, that its connection has answered it. */
  endWith(socket: Duplex, status: number): void {
    for (const [, response] of this.ofSocket.get(socket) ?? []) answeredBelow(response, status);
  }

  /** Calls back when all complete requests of a connection are answered; at once if none is pending. */
  whenAnswered(socket: Duplex, callback: () => void): void {
    const waiting = [...(this.ofSocket.get(socket) ?? [])].filter(
      ([request, response]) => request.complete || response.writableEnded,
    );
    // Deferred: Node.js may write an answer of its own after the last one and end the connection.
    const guardedLater = (): void => void setImmediate(callback);
    const last = waiting.at(-1)?.[1];
    if (last) last.once('close', guardedLater);
    else callback();
  }
}

function frameworkProblem(error: FastifyError, { raw }: FastifyRequest): Problem {
  const sent = originalTarget(raw);
  const target = parseRequestTarget(sent);
  if (target.ok) return problemOf(error, pathOf(target.pathAndQuery));
  return makeProblem('MALFORMED_HTTP', `the target ${target.reason}`, pathOf(sent));
}

/** Fastify keeps the original target here when it is rewritten. */
function originalTarget(raw: IncomingMessage & { originalUrl?: string }): string {
  return raw.originalUrl ?? raw.url ?? '';
}

type ClientError = Error & { code?: string };

const CLIENT_ERRORS: Readonly<Record<string, ProblemCode>> = {
  HPE_HEADER_OVERFLOW: 'HEADERS_TOO_LARGE',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'BODY_TOO_LARGE',
  ERR_HTTP_REQUEST_TIMEOUT: 'REQUEST_TIMEOUT',
};

/**
 * Answers requests that node:http cannot parse, or that do not come whole in time. Often no request object exists, so
 * the answer is written by hand. Returns its status; undefined: nobody is there to read one.
 */
function answerClientError(error: ClientError, socket: Duplex): number | undefined {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return undefined;
  }
  const code = CLIENT_ERRORS[error.code ?? ''] ?? 'MALFORMED_HTTP';
  const detail =
    code === 'REQUEST_TIMEOUT' ? 'the request did not arrive whole in time' : 'the request could not be read as HTTP';
  const problem = makeProblem(code, detail, '/');
  endWith(socket, problem);
  return problem.status;
}

function refuseConnect({ url }: IncomingMessage, socket: Duplex): void {
  endWith(socket, makeProblem('MALFORMED_HTTP', 'CONNECT is for proxies, and this is not one', url ?? ''));
}

function endWith(socket: Duplex, problem: Problem): void {
  const body = JSON.stringify(problem);
  const headers = {
    'content-type': 'application/problem+json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    connection: 'close',
    ...ANSWER_HEADERS,
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${problem.status} ${problem.title}\r\n${lines.join('')}\r\n${body}`);
}
