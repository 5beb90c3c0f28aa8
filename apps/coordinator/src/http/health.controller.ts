import { Controller, Get, Inject, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Metrics } from '../metrics/metrics.js';
import { CLUSTER, type ClusterApi, type Lack } from '../cluster/cluster.api.js';
import { sendJson } from './answers.js';
import { Call } from './call.decorator.js';
import { RequestGate } from './request-gate.js';
import { READINESS_PURPOSES, readinessQuerySchema } from './schemas.js';
import { parseQuery } from './validation.js';

/**
 * What each purpose needs. Reads, event streams, rulings and cluster calls need no broker: their effects are logged,
 * and sent when the broker is back. A full disk does not block reads.
 */
const NEEDS: Readonly<Record<(typeof READINESS_PURPOSES)[number], readonly Lack['what'][]>> = {
  work: ['membership', 'leader', 'disk', 'broker'],
  reads: ['membership', 'leader'],
};

const STOPPING = { what: 'stopping', reason: 'the node is stopping' } as const;

/** For load balancers, orchestrators and Prometheus. */
@Controller()
export class HealthController {
  constructor(
    @Inject(CLUSTER) private readonly cluster: ClusterApi,
    @Inject(RequestGate) private readonly gate: RequestGate,
    @Inject(Metrics) private readonly metrics: Metrics,
  ) {}

  @Get('healthz')
  @Call({
    id: 'getLiveness',
    summary: 'Answers while the process is alive',
    tag: 'health',
    open: true,
    answers: { 200: 'Live' },
  })
  live(@Res() reply: FastifyReply): void {
    sendJson(reply, 200, { status: 'live' });
  }

  @Get('readyz')
  @Call({
    id: 'getReadiness',
    summary: 'Whether the node can serve: for work, or for reads and rulings, which need no broker',
    tag: 'health',
    open: true,
    query: [{ name: 'for', schema: { type: 'string', enum: [...READINESS_PURPOSES], default: 'work' } }],
    answers: { 200: 'Ready', 503: 'Ready' },
    problems: [400],
  })
  ready(@Req() request: FastifyRequest, @Res() reply: FastifyReply): void {
    const purpose = parseQuery(readinessQuerySchema, request.query).for;
    const all = this.gate.isClosed ? [STOPPING] : this.cluster.lacks();
    const lacks = all.filter(({ what }) => what === 'stopping' || NEEDS[purpose].includes(what));
    sendJson(reply, lacks.length === 0 ? 200 : 503, {
      status: lacks.length === 0 ? 'ready' : 'not-ready',
      for: purpose,
      lacks: lacks.map(({ what }) => what),
      reasons: lacks.map(({ reason }) => reason),
    });
  }

  @Get('metrics')
  @Call({ id: 'getMetrics', summary: 'Prometheus metrics', tag: 'health', answers: { 200: 'text' } })
  async scrape(@Res() reply: FastifyReply): Promise<void> {
    const text = await this.metrics.text();
    void reply.header('content-type', this.metrics.contentType).send(text);
  }
}
