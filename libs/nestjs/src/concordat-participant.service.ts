import { Inject, Injectable, type BeforeApplicationShutdown, type OnApplicationBootstrap } from '@nestjs/common';
import { ParticipantService } from '@concordat/participant';
import { ConcordatTransport } from './concordat-transport.js';
import { nestLogger } from './nest-logger.js';
import { CONCORDAT_PARTICIPANT_OPTIONS, type ConcordatParticipantOptions } from './options.js';

/**
 * A participant inside a Nest application: starts with it in the background, waits until the database and the broker
 * are available, and stops with it.
 */
@Injectable()
export class ConcordatParticipant
  extends ParticipantService
  implements OnApplicationBootstrap, BeforeApplicationShutdown
{
  constructor(
    @Inject(CONCORDAT_PARTICIPANT_OPTIONS) options: ConcordatParticipantOptions,
    @Inject(ConcordatTransport) transport: ConcordatTransport,
  ) {
    super({ ...options, logger: options.logger ?? nestLogger() }, transport);
  }

  onApplicationBootstrap(): void {
    this.start();
  }

  /** Stops consuming, finishes running work and closes every connection. */
  beforeApplicationShutdown(): Promise<void> {
    return this.stop();
  }
}
