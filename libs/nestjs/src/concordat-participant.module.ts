import { ConfigurableModuleBuilder, Module, type DynamicModule, type Provider } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { checkParticipantServiceOptions } from '@concordat/participant';
import { ConcordatParticipant } from './concordat-participant.service.js';
import { ConcordatTransport } from './concordat-transport.js';
import { CONCORDAT_PARTICIPANT_OPTIONS, type ConcordatParticipantOptions } from './options.js';

function checked(options: ConcordatParticipantOptions): ConcordatParticipantOptions {
  checkParticipantServiceOptions(options, 'ConcordatParticipantModule');
  return options;
}

/** The provider of the options, whatever it is, so that it refuses wrong ones. */
function withCheck(provider: Provider): Provider {
  if (!('provide' in provider) || provider.provide !== CONCORDAT_PARTICIPANT_OPTIONS) return provider;
  if ('useValue' in provider)
    return { ...provider, useValue: checked(provider.useValue as ConcordatParticipantOptions) };
  if (!('useFactory' in provider)) return provider;
  const make = provider.useFactory as (...dependencies: unknown[]) => unknown;
  return {
    ...provider,
    useFactory: async (...dependencies: unknown[]) =>
      checked((await make(...dependencies)) as ConcordatParticipantOptions),
  };
}

const { ConfigurableModuleClass, ASYNC_OPTIONS_TYPE } = new ConfigurableModuleBuilder<ConcordatParticipantOptions>({
  optionsInjectionToken: CONCORDAT_PARTICIPANT_OPTIONS,
})
  .setClassMethodName('forRoot')
  .setExtras({}, ({ imports = [], providers = [], ...definition }) => ({
    ...definition,
    global: true,
    imports: [DiscoveryModule, ...imports],
    providers: [...providers.map(withCheck), ConcordatTransport, ConcordatParticipant],
    exports: [ConcordatTransport, ConcordatParticipant],
  }))
  .build();

/** What `forRootAsync` takes: `useFactory` with `inject`, `useClass` or `useExisting`. */
export type ConcordatParticipantAsyncOptions = typeof ASYNC_OPTIONS_TYPE;

/**
 * Makes a Nest application a participant. Import it once, in the root module, by `forRoot` or `forRootAsync`. Options
 * that do not exist or are missing are refused with a `ParticipantConfigurationError`.
 */
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
