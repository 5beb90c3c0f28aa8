import { Inject, Injectable } from '@nestjs/common';
import { guarded, type JsonValue, type Logger } from '@concordat/foundation';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AuditLog } from '../auth/audit-log.js';
import type { Authentication } from '../auth/authentication.js';
import { ruleOf, type CallRule } from '../auth/call-rules.js';
import type { Principal } from '../auth/credentials/principal.js';
import { formatGrants } from '../auth/credentials/roles.js';
import { CredentialRefusedError } from '../auth/errors.js';
import { CONFIG, type Config } from '../config.js';
import { LOGGER } from '../logging.js';
import { AuthMetrics } from '../metrics/auth-metrics.js';
import { answeredStatus } from './answered-status.js';
import { sendProblem } from './answers.js';
import { callerOf, originOf } from './audit-entries.js';
import { foreignPageRefusal } from './foreign-pages.js';
import { pathOf } from './problem.filter.js';
import { problemOf, RequestRefusedError, type Problem } from './problems.js';
import { limitersOf, type Limiter } from './rate-limits.js';
import { RefusedSenders } from './refused-senders.js';
import { senderOf } from './sender-address.js';

export const AUTHENTICATION = Symbol('AUTHENTICATION');

/** Windows of the limits. */
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const TOO_MANY_REFUSED = 'too many credentials from this address were refused';
const TOO_MANY_WITHOUT = 'too many requests without a credential come from this address';

/**
 * Stands before every route, before a body is read: says who sends a request (`request.principal`), refuses what the
 * sender may not do, and what is too much, and audits what operators do. A request that a follower has passed on comes
 * with the sender's own credential, and is judged again.
 *
 * Without authentication it only limits and audits, where that is set.
 */
@Injectable()
export class AccessGuard {
  private limit: Limiter | undefined;
  private withoutCredential: Limiter | undefined;
  private refused: RefusedSenders | undefined;

  constructor(
    @Inject(CONFIG) private readonly config: Pick<Config, 'auth' | 'isOpen' | 'auditFile' | 'rateLimit'>,
    @Inject(AUTHENTICATION) private readonly authentication: Authentication | undefined,
    @Inject(AuditLog) private readonly audit: AuditLog,
    @Inject(AuthMetrics) private readonly metrics: AuthMetrics,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** Installs its hook; call it after the request gate's, and before all others. */
  async install(fastify: FastifyInstance): Promise<void> {
    fastify.decorateRequest('principal', null);
    const { auth, isOpen, auditFile } = this.config;
    const rateLimit = auth?.rateLimit ?? this.config.rateLimit;
    if (auth === undefined && isOpen !== true) this.refuseForeignPages(fastify);
    if (auth === undefined && auditFile === undefined && rateLimit === undefined) return;
    const limiter = await limitersOf(fastify);
    if (rateLimit !== undefined) {
      const keyOf = ({ principal, ip }: FastifyRequest): string => principal?.id ?? `address ${senderOf(ip)}`;
      this.limit = limiter({ maximum: rateLimit, windowMs: SECOND_MS, keyOf });
    }
    if (auth) {
      const keyOf = ({ ip }: FastifyRequest): string => senderOf(ip);
      const ofAddress = { windowMs: MINUTE_MS, keyOf };
      this.refused = new RefusedSenders(limiter({ maximum: auth.refusedLimit, ...ofAddress }));
      this.withoutCredential = limiter({ maximum: auth.anonymousLimit, ...ofAddress });
    }
    fastify.addHook('onRequest', (request, reply, done) => {
      guarded(
        async () => {
          await this.admit(request, reply);
          done();
        },
        (error) => this.refuse(request, reply, error),
      )();
    });
  }

  private refuseForeignPages(fastify: FastifyInstance): void {
    fastify.addHook('onRequest', (request, reply, done) => {
      const refusal = foreignPageRefusal(request);
      if (!refusal) return done();
      this.audit.refusedCall({ ...callerOf(request), note: refusal.message });
      this.refuse(request, reply, refusal);
    });
  }

  /** @throws CredentialRefusedError, AuthenticationUnavailableError, RequestRefusedError */
  private async admit(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const rule = this.ruleOf(request);
    if (rule?.isProbe) return;
    if (rule?.roles === 'everyone') return this.admitToPage(request);
    if (this.authentication) request.principal = await this.identify(request, this.authentication);
    const { principal } = request;
    const isForced = rule?.isForcible === true && isForcedBy(request);
    const isOperation = rule?.isOperation === true || isForced;
    // everything that an operator does; without authentication: what only operators should do
    const isAudited = principal === null ? isOperation : principal.roles.has('operator');
    await this.countCall(request, isAudited);
    if (principal && rule && !isAllowed(rule, principal)) throw this.forbidden(rule.roles, principal, request);
    if (principal && isForced && !principal.roles.has('operator')) {
      throw this.forbidden(['operator'], principal, request);
    }
    if (isAudited) this.auditLater(isOperation, request, reply);
  }

  /** What everybody may read, and nobody without end. */
  private async admitToPage(request: FastifyRequest): Promise<void> {
    if (!this.authentication) return this.countCall(request, false);
    const seconds = await this.withoutCredential?.(request);
    if (seconds !== undefined) throw tooMany(TOO_MANY_WITHOUT, seconds);
  }

  /** Counts a call, whether the sender may make it or not. */
  private async countCall(request: FastifyRequest, isAudited: boolean): Promise<void> {
    const seconds = await this.limit?.(request);
    if (seconds === undefined) return;
    if (isAudited) this.audit.limitedCall(callerOf(request));
    throw tooMany('this principal sends too many requests', seconds);
  }

  /** Undefined for a path without a route: a sender that is let in learns that there is none. */
  private ruleOf(request: FastifyRequest): CallRule | undefined {
    if (request.is404) return undefined;
    const { method } = request;
    const { url = '' } = request.routeOptions;
    const rule = ruleOf(method, url);
    if (rule || !this.authentication) return rule;
    this.logger.error(`${method} ${url} has no rule who may call it, and is refused`);
    throw new RequestRefusedError('FORBIDDEN', 'nobody may make this call');
  }

  private async identify(request: FastifyRequest, authentication: Authentication): Promise<Principal> {
    const { rawHeaders, socket } = request.raw;
    try {
      return await authentication.identify({ rawHeaders, socket }, () => {
        const seconds = this.refused?.secondsLeft(senderOf(request.ip));
        if (seconds !== undefined) throw tooMany(TOO_MANY_REFUSED, seconds);
      });
    } catch (error) {
      if (!(error instanceof CredentialRefusedError)) throw error;
      this.metrics.refused(error.reason);
      const { reason, note } = error;
      this.audit.refused({ reason, note, ...originOf(request) });
      const isMissing = reason === 'missing'; // one that shows nothing tries nothing
      const seconds = isMissing ? await this.withoutCredential?.(request) : await this.refused?.count(request);
      if (seconds !== undefined) throw tooMany(isMissing ? TOO_MANY_WITHOUT : TOO_MANY_REFUSED, seconds);
      throw error;
    }
  }

  private auditLater(isOperation: boolean, request: FastifyRequest, reply: FastifyReply): void {
    const entry = callerOf(request);
    const ended = (): void => {
      const { body } = request;
      // a follower has only the bytes, and the leader audits, too
      const isParsed = isOperation && body !== undefined && !Buffer.isBuffer(body);
      this.audit.call({ ...entry, status: answeredStatus(reply.raw), ...(isParsed && { body: body as JsonValue }) });
    };
    reply.raw.once(
      'close',
      guarded(ended, (error) => this.logger.error('a call could not be audited', error)),
    );
  }

  private forbidden(roles: CallRule['roles'], principal: Principal, request: FastifyRequest): RequestRefusedError {
    const refusal = forbidden(roles, principal);
    this.audit.refusedCall({ ...callerOf(request), note: refusal.message });
    return refusal;
  }

  private refuse(request: FastifyRequest, reply: FastifyReply, error: unknown): void {
    if (reply.sent || reply.raw.destroyed) return;
    const problem = problemOf(error, pathOf(request.url));
    if (problem.code === 'INTERNAL') this.logger.error(`the sender of ${request.method} could not be judged`, error);
    const challenge = challengeOf(problem, error);
    if (challenge !== undefined) void reply.header('www-authenticate', challenge);
    const seconds = error instanceof TooManyRequestsError ? error.seconds : undefined;
    const { headers } = request;
    // its body is not read
    if (headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined) {
      void reply.header('connection', 'close');
    }
    sendProblem(reply, problem, seconds);
  }
}

/** Carries what `Retry-After` says. */
class TooManyRequestsError extends RequestRefusedError {
  constructor(
    detail: string,
    readonly seconds: number,
  ) {
    super('RATE_LIMITED', detail);
  }
}

function tooMany(detail: string, seconds: number): TooManyRequestsError {
  return new TooManyRequestsError(detail, seconds);
}

function isAllowed({ roles }: CallRule, principal: Principal): boolean {
  return roles === 'everyone' || roles.some((role) => principal.roles.has(role));
}

function forbidden(roles: CallRule['roles'], principal: Principal): RequestRefusedError {
  const needed =
    roles === 'everyone' ? [] : roles.map((role) => (role === 'participant' ? 'participant:<name>' : role));
  const own = formatGrants(principal).join(', ') || 'none';
  return new RequestRefusedError('FORBIDDEN', `this call needs one of the roles ${needed.join(', ')}; yours: ${own}`);
}

/** What its query says is checked with the rest of it; here anything but a no counts. */
function isForcedBy({ query }: FastifyRequest): boolean {
  const { force } = query as { readonly force?: unknown };
  return force !== undefined && force !== 'false';
}

/** RFC 6750, section 3. */
function challengeOf({ status }: Problem, error: unknown): string | undefined {
  if (status === 403) return 'Bearer realm="concordat", error="insufficient_scope"';
  if (status !== 401) return undefined;
  const isMissing = error instanceof CredentialRefusedError && error.reason === 'missing';
  return isMissing ? 'Bearer realm="concordat"' : 'Bearer realm="concordat", error="invalid_token"';
}
