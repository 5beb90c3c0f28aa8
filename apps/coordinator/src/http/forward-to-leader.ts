import { Agent } from 'node:http';
import { Inject, Injectable } from '@nestjs/common';
import { guarded, type Logger } from '@concordat/foundation';
import replyFrom, { type FastifyReplyFromOptions } from '@fastify/reply-from';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { CLUSTER, type ClusterApi } from '../cluster/cluster.api.js';
import { CONFIG, type Config } from '../config.js';
import { FORWARDED_CERTIFICATE_HEADER } from '../auth/certificate-authenticator.js';
import { memberScheme } from '../cluster/member-address.js';
import { LOGGER } from '../logging.js';
import { NodeCertificates } from '../node-certificates.js';
import { requestUnlessAborted } from './abortable-request.js';
import { setAnswerHeaders } from './answer-headers.js';
import { sendProblem } from './answers.js';
import { FORWARDED_BY_HEADER, FORWARDED_FOR_HEADER } from './audit-entries.js';
import { LeaderAgent } from './leader-connections.js';
import { pathOf } from './problem.filter.js';
import { makeProblem, problemOf, RequestRefusedError, type ProblemCode } from './problems.js';
import { parseLockName, parseNodeId, parseTransactionId } from './validation.js';

/** URL of the node that answered, where a request was forwarded; clients save a hop by asking it themselves. */
export const LEADER_HEADER = 'concordat-leader';

/** How long a request waits for a known leader. */
const LEADER_WAIT_MS = 2_000;
/** Requests being forwarded; more are refused with `OVERLOADED`. */
const MAXIMUM_FORWARDED = 4_096;
/** Bodies of all requests being forwarded; more are refused with `OVERLOADED`. */
export const MAXIMUM_FORWARDED_BYTES = 128 * 1024 * 1024;
const MAXIMUM_CONNECTIONS = 1_024;
const CONNECT_TIMEOUT_MS = 1_000;
/** longer than the longest `waitMs` */
const ANSWER_TIMEOUT_MS = 75_000;
/** shorter than the server's own (72 s), so that no request is written to a closing connection */
const KEEP_ALIVE_MS = 30_000;
/** A leader that was replaced has this long to answer pending requests. */
const REPLACED_LEADER_GRACE_MS = 2_000;
const REPLACED_LEADER_CHECK_MS = 500;

const LEADERS_CALLS: ReadonlySet<string> = new Set([
  'POST /v1/transactions',
  'POST /v1/transactions/execute',
  'POST /v1/transactions/:id/branches',
  'POST /v1/transactions/:id/commit',
  'POST /v1/transactions/:id/abort',
  'POST /v1/transactions/:id/resolve',
  'PUT /v1/locks/:name',
  'POST /v1/locks/:name/renew',
  'DELETE /v1/locks/:name',
  'POST /v1/cluster/members',
  'DELETE /v1/cluster/members/:nodeId',
  'POST /v1/cluster/leader',
]);
/** What its client may give up at any time, and must not be carried out after that: a lock for nobody, say. */
const WAITING_CALLS: ReadonlySet<string> = new Set(['PUT /v1/locks/:name']);
const MEMBERS_CALLS: ReadonlySet<string> = new Set([
  'GET /v1/transactions',
  'GET /v1/transactions/:id',
  'GET /v1/in-doubt',
  'GET /v1/locks',
  'GET /v1/events',
  'GET /v1/transactions/:id/events',
]);

/** With these error codes no byte of the request has left. */
const NOT_SENT: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
  'CONNECT_TIMED_OUT',
  'TLS_HANDSHAKE_FAILED',
  'FST_REPLY_FROM_SERVICE_UNAVAILABLE',
]);

const HEADERS_OF_ONE_HOP = ['connection', 'keep-alive', 'transfer-encoding', 'date', 'proxy-connection'] as const;
const HEADERS_NOT_FORWARDED = [
  ...HEADERS_OF_ONE_HOP,
  'expect',
  'upgrade',
  'te',
  'trailer',
  FORWARDED_CERTIFICATE_HEADER,
] as const;

interface Forwarded {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly leaderUrl: string;
  readonly bodyBytes: number;
  /** monotonic milliseconds at which another leader was first seen */
  replacedAt: number | undefined;
}

/**
 * Forwards requests that only the leader can answer, before their bodies are parsed, and refuses requests that a node
 * outside the group cannot answer.
 *
 * The client's answer is exact: `NO_LEADER` only when nothing can have happened, `OUTCOME_UNKNOWN` when the request was
 * sent and no answer came. A body is read completely before anything is sent, so a client that hangs occupies no
 * connection to the leader, and no half-sent request exists.
 */
@Injectable()
export class ForwardToLeader {
  private readonly pending = new Set<Forwarded>();
  private pendingBytes = 0;
  private watch: NodeJS.Timeout | undefined;
  /** undefined: the nodes speak plain text */
  private readonly secureAgent: LeaderAgent | undefined;
  /** of requests whose client may go away; the pool of the others cannot abort one in plain text */
  private readonly agent: Agent;

  constructor(
    @Inject(CONFIG) private readonly config: Pick<Config, 'nodeId'> & Partial<Pick<Config, 'tls'>>,
    @Inject(CLUSTER) private readonly cluster: ClusterApi,
    @Inject(LOGGER) private readonly logger: Logger,
    @Inject(NodeCertificates) certificates: NodeCertificates,
  ) {
    if (memberScheme(config) === 'https') this.secureAgent = secureAgent(certificates);
    this.agent = this.secureAgent ?? new Agent({ keepAlive: true, maxSockets: MAXIMUM_CONNECTIONS });
  }

  /** Adds the hook and the connection pool to a Fastify instance. */
  async install(fastify: FastifyInstance): Promise<void> {
    await fastify.register(replyFrom, {
      disableCache: true,
      disableRequestLogging: true,
      destroyAgent: true,
      ...(this.secureAgent ? throughAgent(this.secureAgent) : { undici: PLAIN_POOL }),
    });
    fastify.addHook('preValidation', (request, reply, done) => {
      leaderPath(request); // refuses an invalid id before the body is read
      const needed = needOf(request);
      if (needed === 'nobody' || this.cluster.isLeader()) return done();
      const exclusion = this.cluster.exclusion();
      if (exclusion !== undefined)
        return this.refuse(request, reply, new RequestRefusedError('NOT_A_MEMBER', exclusion));
      if (needed === 'member') return done();
      guarded(
        async () => {
          if (!(await this.passOn(request, reply))) done();
        },
        (error) => this.refuse(request, reply, error),
      )();
    });
    fastify.addHook('onClose', (_instance, done) => {
      clearInterval(this.watch);
      this.agent.destroy();
      done();
    });
  }

  /**
   * Forwards a request to the leader.
   *
   * @returns false when this node leads by now and must answer it itself
   * @throws RequestRefusedError `NO_LEADER`, `OVERLOADED`
   */
  async passOn(request: FastifyRequest, reply: FastifyReply): Promise<boolean> {
    const leaderUrl = await this.findLeader(request);
    if (leaderUrl !== undefined) this.forward(request, reply, leaderUrl);
    return leaderUrl !== undefined;
  }

  /** @returns undefined when this node leads; @throws RequestRefusedError */
  private async findLeader(request: FastifyRequest): Promise<string | undefined> {
    const { cluster } = this;
    const forwarded = request.headers[FORWARDED_BY_HEADER] !== undefined;
    if (this.pending.size >= MAXIMUM_FORWARDED || this.pendingBytes >= MAXIMUM_FORWARDED_BYTES) {
      throw new RequestRefusedError('OVERLOADED', 'too many requests wait for the leader');
    }
    if (cluster.leaderHttpUrl() === undefined) await cluster.waitForLeader(LEADER_WAIT_MS);
    if (cluster.isLeader()) return undefined;
    const leaderUrl = cluster.leaderHttpUrl();
    if (leaderUrl === undefined)
      throw new RequestRefusedError('NO_LEADER', 'no leader is known; an election may be under way');
    if (forwarded) {
      throw new RequestRefusedError('NO_LEADER', 'the request was forwarded to this node, which no longer leads');
    }
    return leaderUrl;
  }

  /** @throws RequestRefusedError; then nothing was sent */
  private forward(request: FastifyRequest, reply: FastifyReply, leaderUrl: string): void {
    if (reply.raw.destroyed) return; // the client is gone and nothing was sent
    const path = leaderPath(request);
    const body = request.body as Buffer | undefined; // the complete body, unchanged
    const hasBody = request.method !== 'GET' && request.method !== 'HEAD';
    const forwarded: Forwarded = { request, reply, leaderUrl, bodyBytes: body?.length ?? 0, replacedAt: undefined };
    const failed = (error: unknown): void => this.answerFailure(forwarded, error);
    this.pending.add(forwarded);
    this.pendingBytes += forwarded.bodyBytes;
    this.watch ??= setInterval(
      guarded(
        () => this.giveUpReplacedLeaders(),
        (error) => this.logger.error('the check of the forwarded requests failed', error),
      ),
      REPLACED_LEADER_CHECK_MS,
    ).unref();
    reply.raw.once(
      'close',
      guarded(() => this.release(forwarded), failed),
    );
    if (WAITING_CALLS.has(callOf(request))) {
      guarded(() => this.forwardUntilGone(forwarded, path), failed)();
      return;
    }
    void reply.from(`${leaderUrl}${path}`, {
      ...(hasBody && {
        // null: no body. The leader refuses a body without a content type.
        body: body?.length ? body : null,
        ...(body?.length && { contentType: request.headers['content-type'] ?? 'application/octet-stream' }),
      }),
      retryDelay: () => null,
      rewriteRequestHeaders: (_request, headers) => this.forwardedHeaders(request, headers),
      rewriteHeaders: (headers) => ({ ...without(headers, HEADERS_OF_ONE_HOP), [LEADER_HEADER]: leaderUrl }),
      onResponse: guarded((_request, _reply, response) => this.relayAnswer(forwarded, response), failed),
      onError: guarded((_reply, { error }) => failed(error), failed),
    });
  }

  /** The credential of the sender goes on: its token as it came, or the certificate of its connection. */
  private forwardedHeaders<Value>(
    { principal, ip }: FastifyRequest,
    headers: Readonly<Record<string, Value>>,
  ): Record<string, Value | string> {
    return {
      ...without(headers, HEADERS_NOT_FORWARDED),
      [FORWARDED_BY_HEADER]: String(this.config.nodeId),
      [FORWARDED_FOR_HEADER]: ip,
      ...(principal?.certificate !== undefined && { [FORWARDED_CERTIFICATE_HEADER]: principal.certificate }),
    };
  }

  /** When the client goes away, the leader hears of it: the connection to it closes, too. */
  private async forwardUntilGone(forwarded: Forwarded, path: string): Promise<void> {
    const { request, reply, leaderUrl } = forwarded;
    const gone = new AbortController();
    const failed = (error: unknown): void => this.answerFailure(forwarded, error);
    reply.raw.once(
      'close',
      guarded(() => gone.abort(), failed),
    );
    const { status, headers, text } = await requestUnlessAborted({
      url: `${leaderUrl}${path}${request.url.slice(pathOf(request.url).length)}`,
      method: request.method,
      headers: without(this.forwardedHeaders(request, request.headers), ['host']),
      body: request.body as Buffer | undefined,
      agent: this.agent,
      signal: AbortSignal.any([gone.signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]),
    });
    this.release(forwarded);
    if (reply.sent) return;
    void reply
      .headers({ ...without(headers, HEADERS_OF_ONE_HOP), [LEADER_HEADER]: leaderUrl })
      .code(status)
      .send(text);
  }

  private release(forwarded: Forwarded): void {
    if (this.pending.delete(forwarded)) this.pendingBytes -= forwarded.bodyBytes;
  }

  /** Reads the whole answer first, so that a leader that dies halfway leaves no truncated answer. */
  private async relayAnswer(forwarded: Forwarded, { stream }: UpstreamAnswer): Promise<void> {
    const { reply } = forwarded;
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    this.release(forwarded);
    // As text: for bytes, Node.js would write the head of a pipelined answer before its "100 Continue".
    if (!reply.sent) void reply.send(Buffer.concat(chunks).toString('utf8'));
  }

  private answerFailure(forwarded: Forwarded, error: unknown): void {
    const { request, reply, leaderUrl } = forwarded;
    this.release(forwarded);
    if (reply.sent || reply.raw.destroyed) return;
    const cause = rootCodes(error);
    this.logger.warn(`forwarding ${request.method} to ${leaderUrl} failed: ${cause.join(', ') || String(error)}`);
    for (const header of Object.keys(reply.getHeaders())) void reply.removeHeader(header); // of the leader's answer
    setAnswerHeaders(reply.raw);
    const nothingHappened =
      request.method === 'GET' || request.method === 'HEAD' || cause.some((code) => NOT_SENT.has(code));
    const code: ProblemCode = nothingHappened ? 'NO_LEADER' : 'OUTCOME_UNKNOWN';
    const detail = nothingHappened
      ? 'the leader could not be reached'
      : 'the leader did not answer; the request may have taken effect';
    sendProblem(reply, makeProblem(code, detail, pathOf(request.url)));
  }

  /** A paused machine keeps its connections open and never answers; a new leader ends the wait. */
  private giveUpReplacedLeaders(): void {
    const { cluster } = this;
    const current = cluster.leaderHttpUrl();
    const known = current !== undefined || cluster.isLeader();
    const now = performance.now();
    for (const forwarded of this.pending) {
      if (!known || current === forwarded.leaderUrl) continue;
      forwarded.replacedAt ??= now;
      if (now - forwarded.replacedAt >= REPLACED_LEADER_GRACE_MS) {
        this.answerFailure(forwarded, new Error('the leader was replaced'));
      }
    }
  }

  private refuse(request: FastifyRequest, reply: FastifyReply, error: unknown): void {
    if (reply.sent || reply.raw.destroyed) return;
    const problem = problemOf(error, pathOf(request.url));
    if (problem.code === 'INTERNAL') this.logger.error(`forwarding ${request.method} failed`, error);
    if (!request.raw.complete) void reply.header('connection', 'close'); // its body is not read
    sendProblem(reply, problem);
  }
}

const PLAIN_POOL = {
  connections: MAXIMUM_CONNECTIONS,
  pipelining: 1,
  keepAliveTimeout: KEEP_ALIVE_MS,
  headersTimeout: ANSWER_TIMEOUT_MS,
  bodyTimeout: ANSWER_TIMEOUT_MS,
  connect: { timeout: CONNECT_TIMEOUT_MS },
};

function secureAgent(certificates: NodeCertificates): LeaderAgent {
  const agent = new LeaderAgent({
    tls: () => certificates.toNodes(),
    isTrusted: (leader) => certificates.isTrusted(leader),
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    keepAliveMs: KEEP_ALIVE_MS,
    maximumConnections: MAXIMUM_CONNECTIONS,
  });
  certificates.http?.onChange(() => agent.renew());
  certificates.http?.onReview(() => agent.review());
  return agent;
}

/** A pool of undici cannot be begun anew. */
function throughAgent(agent: LeaderAgent): Pick<FastifyReplyFromOptions, 'http' | 'undici'> {
  const agents = { 'http:': new Agent(), 'https:': agent };
  return { http: { agents, requestOptions: { timeout: ANSWER_TIMEOUT_MS } } };
}

interface UpstreamAnswer {
  readonly stream: AsyncIterable<Buffer>;
}

/** Who can answer a request: only the leader, any member of the group, or any node. */
function needOf(request: FastifyRequest): 'leader' | 'member' | 'nobody' {
  const call = callOf(request);
  if (LEADERS_CALLS.has(call)) return 'leader';
  if (!MEMBERS_CALLS.has(call)) return 'nobody';
  return (request.query as Record<string, unknown>)['consistency'] === 'stale' ? 'nobody' : 'member';
}

function callOf({ method, routeOptions }: FastifyRequest): string {
  return `${method === 'HEAD' ? 'GET' : method} ${routeOptions.url ?? ''}`;
}

/**
 * The path sent to the leader: the route found here with its ids, never the client's spelling. So both nodes serve the
 * same route, however the client encoded it.
 *
 * @throws RequestRefusedError `INVALID_ID`, `INVALID_NODE_ID`, `INVALID_LOCK_NAME`
 */
function leaderPath({ params, routeOptions: { url = '/' } }: FastifyRequest): string {
  const { id, nodeId, name } = params as { id?: string; nodeId?: string; name?: string };
  let path = url;
  if (id !== undefined) path = path.replace(':id', parseTransactionId(id));
  if (nodeId !== undefined) path = path.replace(':nodeId', String(parseNodeId(nodeId)));
  if (name !== undefined) path = path.replace(':name', parseLockName(name));
  return path;
}

function without<Value>(headers: Readonly<Record<string, Value>>, names: readonly string[]): Record<string, Value> {
  const kept = { ...headers };
  for (const header of names) delete kept[header];
  return kept;
}

interface ErrorLike {
  readonly code?: unknown;
  readonly cause?: unknown;
}

/** The codes of an error and of all its causes. */
function rootCodes(error: unknown): string[] {
  const codes: string[] = [];
  for (let at = error, depth = 0; typeof at === 'object' && at !== null && depth < 5; depth++) {
    const { code, cause } = at as ErrorLike;
    if (typeof code === 'string') codes.push(code);
    at = cause;
  }
  return codes;
}
