import { hostname } from 'node:os';
import { Module, type DynamicModule, type OnApplicationShutdown } from '@nestjs/common';
import type { ArmableFailpoints, ProcessLogger } from '@concordat/foundation';
import {
  bothBuses,
  ConcordatParticipantModule,
  directBus,
  kafkaBus,
  kafkaSecurityOptions,
  tlsFiles,
  type BusFactory,
  type ConcordatParticipantOptions,
} from '@concordat/nestjs';
import { DataSource } from 'typeorm';
import { createAccountDatabase, prepareAccountDatabase } from './accounts/account-database.js';
import { AccountOperations } from './accounts/account.operations.js';
import { InjectDataSource } from './accounts/inject-data-source.js';
import type { Config } from './config.js';
import { AccountsController } from './http/accounts.controller.js';
import { BankMetrics } from './http/bank-metrics.js';
import { FailpointsController } from './http/failpoints.controller.js';
import { OperationsController } from './http/operations.controller.js';
import { CONFIG, FAILPOINTS } from './tokens.js';

export interface BankOptions {
  readonly config: Config;
  readonly logger: ProcessLogger;
  readonly failpoints: ArmableFailpoints | undefined;
  /** called when the participant can never work with this set-up */
  readonly onFatal: (error: unknown) => void;
  /** default: the configured roads */
  readonly bus?: ConcordatParticipantOptions['bus'];
}

/** A bank: accounts in its own PostgreSQL, moved by global transactions, read over HTTP. */
@Module({})
export class BankModule implements OnApplicationShutdown {
  constructor(@InjectDataSource() private readonly database: DataSource) {}

  static with(options: BankOptions): DynamicModule {
    const { config, failpoints } = options;
    const database = createAccountDatabase(config.database, config.participant);
    return {
      module: BankModule,
      imports: [ConcordatParticipantModule.forRoot(participantOptions(options, database))],
      controllers: [AccountsController, OperationsController, ...(failpoints ? [FailpointsController] : [])],
      providers: [
        AccountOperations,
        BankMetrics,
        { provide: CONFIG, useValue: config },
        { provide: DataSource, useValue: database },
        { provide: FAILPOINTS, useValue: failpoints },
      ],
    };
  }

  async onApplicationShutdown(): Promise<void> {
    if (this.database.isInitialized) await this.database.destroy();
  }
}

function participantOptions(options: BankOptions, database: DataSource): ConcordatParticipantOptions {
  const { config, logger, failpoints, onFatal } = options;
  const { participant, cluster, topicPrefix, database: connection, http, terminationTimeoutMs } = config;
  // The same after a restart, so that the process gets its partitions back at once.
  const clientId = `${participant}-${hostname()}-${http.port}`;
  return {
    participant,
    cluster,
    topicPrefix,
    instance: clientId,
    postgres: { ...connection, dataSource: database },
    bus: options.bus ?? configuredBus(config, clientId, logger),
    beforeConsuming: () => prepareAccountDatabase(database),
    limits: { terminationTimeoutMs },
    onFatal,
    logger,
    ...(failpoints && { failpoints }),
  };
}

function configuredBus(config: Config, clientId: string, logger: ProcessLogger): BusFactory {
  const { link, kafkaBrokers: brokers, coordinators, signatures, kafkaSecurity } = config;
  const security = kafkaSecurityOptions(kafkaSecurity, logger);
  const kafka = { brokers, clientId, ...security, ...(signatures && { signatures }) };
  const direct = { coordinators, ...(config.tls && { tls: tlsFiles(config.tls, logger) }) };
  switch (link) {
    case 'kafka':
      return kafkaBus(kafka);
    case 'direct':
      return directBus(direct);
    case 'both':
      return bothBuses({ ...kafka, ...direct });
  }
}
