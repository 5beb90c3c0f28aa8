import { Controller, Get, Inject, Res } from '@nestjs/common';
import { ConcordatParticipant, type ParticipantHealth } from '@concordat/nestjs';
import type { FastifyReply } from 'fastify';

@Controller()
export class HealthController {
  constructor(@Inject(ConcordatParticipant) private readonly participant: ConcordatParticipant) {}

  /** Liveness: the process runs. */
  @Get('healthz')
  live(): { status: 'ok' } {
    return { status: 'ok' };
  }

  /** Readiness: it reaches its database and the coordinators, and nothing hangs. */
  @Get('readyz')
  async ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<ParticipantHealth> {
    const health = await this.participant.health();
    void reply.status(health.ready ? 200 : 503);
    return health;
  }
}
