import { Inject, Injectable } from '@nestjs/common';
import { guarded, type Logger } from '@concordat/foundation';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Metrics } from '../metrics/metrics.js';
import { LOGGER } from '../logging.js';
import { sendProblem } from './answers.js';
import { pathOf } from './problem.filter.js';
import { makeProblem } from './problems.js';

/** Still answered by a node that stops. */
const ALWAYS_OPEN: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics']);
/** Their duration is their client's choice; they are ended when the node stops. */
const EVENT_STREAMS: ReadonlySet<string> = new Set(['/v1/events', '/v1/transactions/:id/events']);

/**
 * Counts and times the requests of a node, and lets it stop without cutting any off.
 *
 * open → `close()` → closed: new requests get 503 `SHUTTING_DOWN`, those under way go on; `drained()` tells when
 * they are done. There is no way back.
 */
@Injectable()
export class RequestGate {
  private closed = false;
  private running = 0;
  private whenIdle: (() => void) | undefined;

  constructor(
    @Inject(Metrics) private readonly metrics: Metrics,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  get isClosed(): boolean {
    return this.closed;
  }

  /** Requests under way, event streams not among them. */
  get runningCount(): number {
    return this.running;
  }

  /** Adds itself in front of all other hooks of a Fastify instance. */
  install(fastify: FastifyInstance): void {
    fastify.addHook('onRequest', (request, reply, done) => {
      const route = request.routeOptions.url ?? 'none';
      if (!EVENT_STREAMS.has(route)) this.track(request, reply, route);
      if (this.closed && !ALWAYS_OPEN.has(route)) this.refuse(request, reply);
      else done();
    });
  }

  close(): void {
    this.closed = true;
  }

  /** Waits until no request is under way, but not longer than this; tells whether that was so. */
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
      this.metrics.observeRequest(request.method, route, reply.raw.statusCode, performance.now() - startedAt);
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
