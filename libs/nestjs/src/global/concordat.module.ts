import { Inject, Module, type DynamicModule, type OnApplicationBootstrap, type Provider } from '@nestjs/common';
import { DiscoveryModule, DiscoveryService, ExternalContextCreator, MetadataScanner } from '@nestjs/core';
import {
  GlobalConfigurationError,
  checkGlobalParticipantOptions,
  createGlobalTransactions,
  serviceOptionsOf,
  type BranchSessions,
  type GlobalParticipantOptions,
  type GlobalTransactions,
} from '@concordat/participant';
import { ConcordatClient } from '@concordat/client';
import { NO_TRACING, coordinatorFetch } from '@concordat/foundation';
import { ConcordatParticipant } from '../concordat-participant.service.js';
import { DEFAULT_CONNECTION } from '../connection-name.js';
import { ConcordatTransport } from '../concordat-transport.js';
import { nestLogger } from '../nest-logger.js';
import type { ConcordatParticipantOptions } from '../options.js';
import { tokensOf } from './connection.js';
import { DatabaseJoiner } from './database-joiner.js';
import { MethodExplorer } from './method-explorer.js';
import type { ConcordatAsyncOptions, ConcordatOptions, ConcordatOptionsFactory } from './options.js';
import { OutgoingExplorer } from './outgoing/outgoing-explorer.js';

/** The transport of this module, whatever its connection is called. */
const OWN_TRANSPORT = Symbol('OWN_TRANSPORT');

/**
 * Lets a Nest application begin and join global transactions, and serve one-shot operations. Import it once, in the root
 * module. It takes the place of `ConcordatParticipantModule`, and needs no `connectMicroservice`.
 *
 * An application that is several participants, with a database for each, imports it once for each of them and gives all
 * but one a `connectionName`: `@GlobalTransaction({ connectionName })`, `@InjectGlobalTransactions(connectionName)`.
 *
 * What it gives to all modules: `GlobalTransactions`, `ConcordatParticipant` (health, metrics), and a `ConcordatClient` of
 * `@concordat/client` for calls of the coordinators.
 */
@Module({})
export class ConcordatModule implements OnApplicationBootstrap {
  constructor(@Inject(OWN_TRANSPORT) private readonly transport: ConcordatTransport) {}

  /** Checks the options when the application starts. @throws GlobalConfigurationError */
  static forRoot(options: ConcordatOptions): DynamicModule {
    const { connectionName } = options;
    const { options: provide } = tokensOf(connectionName);
    return moduleWith(connectionName, [{ provide, useValue: checked(options) }], []);
  }

  /** The `connectionName` stands beside the factory, because the tokens depend on it. */
  static forRootAsync(options: ConcordatAsyncOptions): DynamicModule {
    const { connectionName, imports = [] } = options;
    const { inject, make } = sourceOf(options);
    const provider: Provider = {
      provide: tokensOf(connectionName).options,
      inject: [...inject],
      useFactory: async (...dependencies: unknown[]) => checked(sameName(await make(...dependencies), connectionName)),
    };
    const own: Provider[] = 'useClass' in options ? [options.useClass] : [];
    return moduleWith(connectionName, [...own, provider], imports);
  }

  /** Providers' operations are served without a connected microservice. */
  onApplicationBootstrap(): void {
    this.transport.serve();
  }
}

type FactoryOptions = Extract<ConcordatAsyncOptions, { readonly useFactory: unknown }>;

/** Where the options come from. @throws GlobalConfigurationError when nothing says it */
function sourceOf(options: ConcordatAsyncOptions): {
  readonly inject: NonNullable<FactoryOptions['inject']>;
  readonly make: FactoryOptions['useFactory'];
} {
  if ('useFactory' in options) return { inject: options.inject ?? [], make: options.useFactory };
  const type = 'useClass' in options ? options.useClass : options.useExisting;
  if (typeof type === 'function') {
    return { inject: [type], make: (factory: ConcordatOptionsFactory) => factory.create() };
  }
  throw new GlobalConfigurationError(
    'forRootAsync has no source of its options; give useFactory, or useClass or useExisting with a class that has ' +
      'create(): ConcordatOptions',
  );
}

/** @throws GlobalConfigurationError when the factory's options name another connection */
function sameName(options: ConcordatOptions, connectionName: string | undefined): ConcordatOptions {
  if (options.connectionName === undefined || options.connectionName === connectionName) return options;
  throw new GlobalConfigurationError(
    `forRootAsync: the options have the connectionName "${options.connectionName}"; give it to forRootAsync itself: ` +
      `forRootAsync({ connectionName: "${options.connectionName}", … })`,
  );
}

function moduleWith(
  connectionName = DEFAULT_CONNECTION,
  options: Provider[],
  imports: NonNullable<DynamicModule['imports']>,
): DynamicModule {
  const tokens = tokensOf(connectionName);
  const { transactions, participant, transport } = tokens;
  const exported = [...new Set(Object.values(tokens))];
  return {
    module: ConcordatModule,
    global: true,
    imports: [DiscoveryModule, ...imports],
    providers: [
      ...options,
      { provide: tokens.participantOptions, inject: [tokens.options], useFactory: serviceOptionsOf },
      {
        provide: transport,
        inject: [DiscoveryService, MetadataScanner, ExternalContextCreator],
        useFactory: (discovery: DiscoveryService, scanner: MetadataScanner, creator: ExternalContextCreator) =>
          new ConcordatTransport(discovery, scanner, creator, connectionName),
      },
      { provide: OWN_TRANSPORT, useExisting: transport },
      {
        provide: participant,
        inject: [tokens.participantOptions, transport],
        useFactory: (own: ConcordatParticipantOptions, handlers: ConcordatTransport) =>
          new ConcordatParticipant(own, handlers),
      },
      { provide: transactions, inject: [tokens.options, participant], useFactory: transactionsOf },
      { provide: tokens.client, inject: [tokens.options], useFactory: clientOf },
      {
        provide: DatabaseJoiner,
        inject: [tokens.options, transactions, participant],
        useFactory: (own: ConcordatOptions, global: GlobalTransactions, part: ConcordatParticipant) =>
          new DatabaseJoiner(own, global, part),
      },
      {
        provide: MethodExplorer,
        inject: [DiscoveryService, MetadataScanner, transactions],
        useFactory: (discovery: DiscoveryService, scanner: MetadataScanner, global: GlobalTransactions) =>
          new MethodExplorer(discovery, scanner, global, connectionName),
      },
      {
        provide: OutgoingExplorer,
        inject: [DiscoveryService, transactions],
        useFactory: (discovery: DiscoveryService, global: GlobalTransactions) =>
          new OutgoingExplorer(discovery, global),
      },
    ],
    exports: exported,
  };
}

function transactionsOf(options: ConcordatOptions, participant: ConcordatParticipant): GlobalTransactions {
  const { coordinatorsPort, sessionsPort } = options;
  const sessions: BranchSessions = sessionsPort ?? participant;
  return createGlobalTransactions({
    ...options,
    logger: options.logger ?? nestLogger(),
    sessions,
    ...(coordinatorsPort && { port: coordinatorsPort }),
  });
}

/** For the service's own calls of the coordinators, such as one-shot transactions and locks. */
function clientOf(options: ConcordatOptions): ConcordatClient {
  const { coordinators, token, tls, payloadCodecs, cluster = 'local', tracing = NO_TRACING } = options;
  return new ConcordatClient({
    coordinators,
    token,
    payloadCodecs,
    headers: () => ({ traceparent: tracing.traceparent() }),
    ...(tls && { fetch: coordinatorFetch(tls, cluster) }),
  });
}

const FURTHER_OPTIONS: Readonly<Record<Exclude<keyof ConcordatOptions, keyof GlobalParticipantOptions>, true>> = {
  connectionName: true,
  audiences: true,
  coordinatorsPort: true,
  sessionsPort: true,
};

/** @throws GlobalConfigurationError with a sentence that says what to set */
function checked(options: ConcordatOptions): ConcordatOptions {
  checkGlobalParticipantOptions(options, 'ConcordatModule', Object.keys(FURTHER_OPTIONS));
  return options;
}
