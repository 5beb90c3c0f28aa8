import { Module, type DynamicModule, type FactoryProvider, type ModuleMetadata } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { ConcordatParticipant } from './concordat-participant.service.js';
import { ConcordatTransport } from './concordat-transport.js';
import { CONCORDAT_PARTICIPANT_OPTIONS, type ConcordatParticipantOptions } from './options.js';

export interface ConcordatParticipantAsyncOptions extends Pick<ModuleMetadata, 'imports'> {
  readonly inject?: FactoryProvider['inject'];
  readonly useFactory: (...dependencies: never[]) => ConcordatParticipantOptions | Promise<ConcordatParticipantOptions>;
}

/** Makes a Nest application a participant; imported once, in the root module. */
@Module({})
export class ConcordatParticipantModule {
  static forRoot(options: ConcordatParticipantOptions): DynamicModule {
    return this.forRootAsync({ useFactory: () => options });
  }

  static forRootAsync({ imports = [], inject = [], useFactory }: ConcordatParticipantAsyncOptions): DynamicModule {
    return {
      module: ConcordatParticipantModule,
      global: true,
      imports: [DiscoveryModule, ...imports],
      providers: [
        { provide: CONCORDAT_PARTICIPANT_OPTIONS, inject, useFactory: useFactory as FactoryProvider['useFactory'] },
        ConcordatTransport,
        ConcordatParticipant,
      ],
      exports: [ConcordatTransport, ConcordatParticipant],
    };
  }

  /**
   * For tests of a service's own: the transport alone, so that operations run through everything Nest puts
   * around them (`transport.handle(call, context)`), with neither a bus nor a database.
   */
  static forTesting(): DynamicModule {
    return {
      module: ConcordatParticipantModule,
      global: true,
      imports: [DiscoveryModule],
      providers: [ConcordatTransport],
      exports: [ConcordatTransport],
    };
  }
}
