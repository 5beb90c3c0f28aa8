import { ConfigurableModuleBuilder, Module, type DynamicModule } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { ConcordatParticipant } from './concordat-participant.service.js';
import { ConcordatTransport } from './concordat-transport.js';
import { CONCORDAT_PARTICIPANT_OPTIONS, type ConcordatParticipantOptions } from './options.js';

const { ConfigurableModuleClass, ASYNC_OPTIONS_TYPE } = new ConfigurableModuleBuilder<ConcordatParticipantOptions>({
  optionsInjectionToken: CONCORDAT_PARTICIPANT_OPTIONS,
})
  .setClassMethodName('forRoot')
  .setExtras({}, ({ imports = [], providers = [], ...definition }) => ({
    ...definition,
    global: true,
    imports: [DiscoveryModule, ...imports],
    providers: [...providers, ConcordatTransport, ConcordatParticipant],
    exports: [ConcordatTransport, ConcordatParticipant],
  }))
  .build();

/** What `forRootAsync` takes: `useFactory` with `inject`, `useClass` or `useExisting`. */
export type ConcordatParticipantAsyncOptions = typeof ASYNC_OPTIONS_TYPE;

/** Makes a Nest application a participant. Import it once, in the root module, by `forRoot` or `forRootAsync`. */
@Module({})
export class ConcordatParticipantModule extends ConfigurableModuleClass {
  /**
   * For a service's own tests: only the transport, without a bus or a database. Operations run through all of Nest's
   * enhancers (`transport.handle(call, context)`).
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
