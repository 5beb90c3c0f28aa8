import { Inject, Module, type DynamicModule, type OnApplicationBootstrap, type Provider } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import {
  GlobalConfigurationError,
  GlobalTransactions,
  createGlobalTransactions,
  type BranchSessions,
} from '@concordat/participant';
import { bothBuses, directBus, kafkaBus, type BusFactory } from '../buses.js';
import { ConcordatParticipant } from '../concordat-participant.service.js';
import { ConcordatTransport } from '../concordat-transport.js';
import { nestLogger } from '../nest-logger.js';
import { CONCORDAT_PARTICIPANT_OPTIONS, type ConcordatParticipantOptions } from '../options.js';
import { BeginningInterceptor } from './beginning.interceptor.js';
import { DatabaseJoiner } from './database-joiner.js';
import { JoiningInterceptor } from './joining.interceptor.js';
import { MethodExplorer } from './method-explorer.js';
import { CONCORDAT_OPTIONS, type ConcordatAsyncOptions, type ConcordatOptions } from './options.js';
import { OutgoingExplorer } from './outgoing/outgoing-explorer.js';
import { settingsOf } from './postgres-source.js';

/**
 * Lets a Nest application begin and join global transactions, and serve one-shot operations. Import it once, in the root
 * module. It takes the place of `ConcordatParticipantModule`, and needs no `connectMicroservice`.
 */
@Module({})
export class ConcordatModule implements OnApplicationBootstrap {
  constructor(@Inject(ConcordatTransport) private readonly transport: ConcordatTransport) {}

  /** Checks the options when the application starts. @throws GlobalConfigurationError */
  static forRoot(options: ConcordatOptions): DynamicModule {
    return moduleWith([{ provide: CONCORDAT_OPTIONS, useValue: checked(options) }], []);
  }

  static forRootAsync({ imports = [], inject = [], useFactory }: ConcordatAsyncOptions): DynamicModule {
    const options: Provider = {
      provide: CONCORDAT_OPTIONS,
      inject: [...inject],
      useFactory: async (...dependencies: never[]) => checked(await useFactory(...dependencies)),
    };
    return moduleWith([options], imports);
  }

  /** Providers' operations are served without a connected microservice. */
  onApplicationBootstrap(): void {
    this.transport.serve();
  }
}

function moduleWith(options: Provider[], imports: NonNullable<DynamicModule['imports']>): DynamicModule {
  return {
    module: ConcordatModule,
    global: true,
    imports: [DiscoveryModule, ...imports],
    providers: [
      ...options,
      { provide: CONCORDAT_PARTICIPANT_OPTIONS, inject: [CONCORDAT_OPTIONS], useFactory: participantOptions },
      ConcordatTransport,
      ConcordatParticipant,
      { provide: GlobalTransactions, inject: [CONCORDAT_OPTIONS, ConcordatParticipant], useFactory: transactionsOf },
      DatabaseJoiner,
      MethodExplorer,
      OutgoingExplorer,
      JoiningInterceptor,
      BeginningInterceptor,
    ],
    exports: [
      ConcordatTransport,
      ConcordatParticipant,
      GlobalTransactions,
      CONCORDAT_OPTIONS,
      JoiningInterceptor,
      BeginningInterceptor,
    ],
  };
}

function participantOptions(options: ConcordatOptions): ConcordatParticipantOptions {
  const { link = 'direct', ...others } = options;
  const postgres = settingsOf(options.postgres);
  // a bus of the service's own may take any road
  return options.bus ? { ...others, postgres, bus: options.bus } : { ...others, postgres, link, bus: busOf(options) };
}

function busOf({ link = 'direct', coordinators, kafka }: ConcordatOptions): BusFactory {
  if (link === 'direct') return directBus({ coordinators });
  if (!kafka) {
    throw new GlobalConfigurationError(
      `link is "${link}" and kafka is missing; give kafka: { brokers: ['host:9092'], clientId: '…' }, or use link: 'direct'`,
    );
  }
  return link === 'kafka' ? kafkaBus(kafka) : bothBuses({ ...kafka, coordinators });
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

const LINKS = ['direct', 'kafka', 'both'];

/** @throws GlobalConfigurationError with a sentence that says what to set */
function checked(options: ConcordatOptions): ConcordatOptions {
  const { participant, coordinators, link = 'direct', postgres } = options;
  const refuse = (sentence: string): never => {
    throw new GlobalConfigurationError(`ConcordatModule: ${sentence}`);
  };
  if (typeof participant !== 'string' || !/^[a-z0-9][a-z0-9-]{0,62}$/.test(participant)) {
    refuse(`participant is "${participant}"; use a name of lower-case letters, digits and hyphens, at most 63`);
  }
  if (!Array.isArray(coordinators) || coordinators.length === 0) {
    refuse('coordinators is empty; give the URL of at least one, such as http://127.0.0.1:8081 (npx concordat dev)');
  }
  const wrong = coordinators.find((url) => !URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol));
  if (wrong !== undefined) refuse(`coordinators has "${wrong}"; use URLs such as http://127.0.0.1:8081`);
  if (!LINKS.includes(link)) refuse(`link is "${link}"; use direct, kafka or both`);
  if (typeof postgres !== 'object' || postgres === null) {
    refuse('postgres is missing; give a TypeORM DataSource, a pg.Pool, or { connectionString: "postgres://…" }');
  }
  if (link !== 'direct' && !options.kafka && !options.bus) {
    refuse(`link is "${link}" and kafka is missing; give kafka: { brokers: ['host:9092'], clientId: '…' }`);
  }
  return options;
}
