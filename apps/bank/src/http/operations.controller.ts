import { Controller, Get, Header, Inject, Res } from '@nestjs/common';
import { ConcordatParticipant, type ParticipantHealth } from '@concordat/nestjs';
import type { FastifyReply } from 'fastify';
import { BankMetrics } from './bank-metrics.js';

@Controller()
export class OperationsController {
  constructor(
    @Inject(ConcordatParticipant) private readonly participant: ConcordatParticipant,
    @Inject(BankMetrics) private readonly metrics: BankMetrics,
  ) {}

  /** Liveness: the process runs. */
  @Get('healthz')
  live(): { status: 'ok' } {
    return { status: 'ok' };
  }

  /** Readiness: it reaches its database, consumes, and nothing hangs. */
  @Get('readyz')
  async ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<ParticipantHealth> {
    const health = await this.participant.health();
    void reply.status(health.ready ? 200 : 503);
    return health;
  }

  @Get('metrics')
  @Header('content-type', 'text/plain; version=0.0.4; charset=utf-8')
  async scrape(): Promise<string> {
    return this.metrics.render();
  }
}
