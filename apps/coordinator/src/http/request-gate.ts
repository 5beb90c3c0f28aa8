import { Inject, Injectable } from '@nestjs/common';
import { guarded, type Logger } from '@concordat/foundation';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Metrics } from '../metrics/metrics.js';
import { LOGGER } from '../logging.js';
import { answeredStatus } from './answered-status.js';
import { sendProblem } from './answers.js';
import { pathOf } from './problem.filter.js';
import { makeProblem } from './problems.js';

const ALWAYS_OPEN: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics']);
/** They last as long as their client wants; the node ends them when it stops. */
const EVENT_STREAMS: ReadonlySet<string> = new Set(['/v1/events', '/v1/transactions/:id/events']);

/**
 * Counts and times the requests of a node, and lets it stop without interrupting any.
 *
 * open → `close()` → closed: new requests get 503 `SHUTTING_DOWN`, running ones continue; `drained()` waits for them.
 */
@Injectable()
export class RequestGate {
  private closed = false;
  private running = 0;
  private whenIdle: (() => void) | undefined;
  private readonly closingListeners: (() => void)[] = [];

  constructor(
    @Inject(Metrics) private readonly metrics: Metrics,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  get isClosed(): boolean {
    return this.closed;
  }

  get runningCount(): number {
    return this.running;
  }

  /** Installs its hooks before all others. */
  install(fastify: FastifyInstance): void {
    fastify.addHook('onRequest', (request, reply, done) => {
      const route = request.routeOptions.url ?? 'none';
      if (!EVENT_STREAMS.has(route)) this.track(request, reply, route);
      if (this.closed && !ALWAYS_OPEN.has(route)) this.refuse(request, reply);
      else done();
    });
  }

  /** Called when the gate closes, so that requests that only wait can end. */
  onClosing(listener: () => void): void {
    this.closingListeners.push(listener);
  }

  close(): void {
    this.closed = true;
    for (const listener of this.closingListeners) listener();
  }

  /** Waits until no request is running, at most this long; returns whether that is so. */
  async drained(timeoutMs: number): Promise<boolean> {
    if (this.running === 0) return true;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs);
      this.whenIdle = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }

  private track(request: FastifyRequest, reply: FastifyReply, route: string): void {
    const startedAt = performance.now();
    this.running++;
    const ended = (): void => {
      if (--this.running === 0) this.whenIdle?.();
      const status = answeredStatus(reply.raw) ?? reply.raw.statusCode;
      this.metrics.observeRequest(request.method, route, status, performance.now() - startedAt);
    };
    reply.raw.once(
      'close',
      guarded(ended, (error) => this.logger.error('a request could not be counted', error)),
    );
  }

  private refuse(request: FastifyRequest, reply: FastifyReply): void {
    void reply.header('connection', 'close');
    const detail = 'this node is stopping and takes no more requests; use another one';
    sendProblem(reply, makeProblem('SHUTTING_DOWN', detail, pathOf(request.url)));
  }
}
