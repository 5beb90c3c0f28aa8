import { Inject, Injectable } from '@nestjs/common';
import { HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import { ConcordatParticipant } from '../concordat-participant.service.js';
import { reasonsNotReady } from '../health.js';

/**
 * A health indicator of `@nestjs/terminus`: `up` only while the participant consumes. It is `down` before the first
 * message can arrive, without its database, without an answer of the coordinators or the broker, and when work hangs.
 * For readiness; a process that is only `down` need not be restarted.
 */
@Injectable()
export class ConcordatHealthIndicator {
  constructor(
    @Inject(ConcordatParticipant) private readonly participant: ConcordatParticipant,
    @Inject(HealthIndicatorService) private readonly indicators: HealthIndicatorService,
  ) {}

  /** @param key of the indicator in the answer. Never rejects, and takes two seconds at most. */
  async isHealthy<const Key extends string = 'concordat'>(
    key: Key = 'concordat' as Key,
  ): Promise<HealthIndicatorResult<Key>> {
    const health = await this.participant.health();
    const { ready, busConnected, consuming, databaseReachable, working, oldestWorkMs, abstainsBefore } = health;
    const details = { busConnected, consuming, databaseReachable, working, oldestWorkMs, abstainsBefore };
    const indicator = this.indicators.check(key);
    return ready ? indicator.up(details) : indicator.down({ ...details, message: reasonsNotReady(health).join('; ') });
  }
}
