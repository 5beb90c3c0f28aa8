import { Controller, Get, Inject, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { Metrics } from '../metrics/metrics.js';
import { CLUSTER, type ClusterApi } from '../cluster/cluster.api.js';
import { sendJson } from './answers.js';
import { Call } from './openapi.decorators.js';
import { RequestGate } from './request-gate.js';

/** For balancers, orchestrators and Prometheus. */
@Controller()
export class HealthController {
  constructor(
    @Inject(CLUSTER) private readonly cluster: ClusterApi,
    @Inject(RequestGate) private readonly gate: RequestGate,
    @Inject(Metrics) private readonly metrics: Metrics,
  ) {}

  @Get('healthz')
  @Call({ id: 'getLiveness', summary: 'Answers while the process lives', tag: 'health', answers: { 200: 'Live' } })
  live(@Res() reply: FastifyReply): void {
    sendJson(reply, 200, { status: 'live' });
  }

  @Get('readyz')
  @Call({
    id: 'getReadiness',
    summary: 'Whether the node can serve: it knows a leader and consumes replies',
    tag: 'health',
    answers: { 200: 'Ready', 503: 'Ready' },
  })
  ready(@Res() reply: FastifyReply): void {
    const { ready, reasons } = this.gate.isClosed
      ? { ready: false, reasons: ['the node is stopping'] }
      : this.cluster.readiness();
    sendJson(reply, ready ? 200 : 503, { status: ready ? 'ready' : 'not-ready', reasons });
  }

  @Get('metrics')
  @Call({ id: 'getMetrics', summary: 'Prometheus metrics', tag: 'health', answers: { 200: 'text' } })
  async scrape(@Res() reply: FastifyReply): Promise<void> {
    const text = await this.metrics.text();
    void reply.header('content-type', this.metrics.contentType).send(text);
  }
}
