import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import type { ConnectionOptions } from '../connection-name.js';
import type { ConcordatParticipant } from '../concordat-participant.service.js';
import { findParticipant } from '../global/connection.js';
import { reasonsNotReady } from '@concordat/participant';

/**
 * A health indicator of `@nestjs/terminus`: `up` only while the participant consumes. It is `down` before the first
 * message can arrive, without its database, without an answer of the coordinators or the broker, and when work hangs.
 * For readiness; a process that is only `down` need not be restarted.
 *
 * List it among the providers of the module whose controller asks it: `health.check([() => concordat.isHealthy()])`.
 */
@Injectable()
export class ConcordatHealthIndicator {
  constructor(
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
    @Inject(HealthIndicatorService) private readonly indicators: HealthIndicatorService,
  ) {}

  /**
   * Takes two seconds at most.
   *
   * @param key of the indicator in the answer; default `concordat`
   * @param options which `ConcordatModule` is meant, where the application has several
   * @throws GlobalConfigurationError when the application has none of that name; it rejects for nothing else
   */
  async isHealthy<const Key extends string = 'concordat'>(
    key: Key = 'concordat' as Key,
    { connectionName }: ConnectionOptions = {},
  ): Promise<HealthIndicatorResult<Key>> {
    const participant: ConcordatParticipant = findParticipant(this.moduleRef, connectionName);
    const health = await participant.health();
    const { ready, busConnected, consuming, databaseReachable, working, oldestWorkMs, abstainsBefore } = health;
    const details = { busConnected, consuming, databaseReachable, working, oldestWorkMs, abstainsBefore };
    const indicator = this.indicators.check(key);
    return ready ? indicator.up(details) : indicator.down({ ...details, message: reasonsNotReady(health).join('; ') });
  }
}
