import { Module, type DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Transport, type MicroserviceOptions } from '@nestjs/microservices';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import {
  EXIT,
  ProcessLogger,
  endWithSignals,
  failpointsOfProcess,
  formatAddress,
  formatProblems,
  readFilesAgainOnHangUp,
  startFailure,
  startFailureCode,
} from '@concordat/foundation';
import { kafkaSecurityOptions, PARTICIPANT_FAILPOINTS } from '@concordat/nestjs';
import { FailpointsController } from './failpoints.controller.js';
import { HealthController } from './health.controller.js';
import { ensureTopics } from './kafka-topics.js';
import { MetricsController } from './metrics.controller.js';
import { parseSettings, type Settings } from './settings.js';
import { FAILPOINTS, LOGGER, SETTINGS } from './tokens.js';

/** A killed process gives its partitions back after this, in milliseconds: the shortest that brokers allow. */
export const PROMPT_REASSIGNMENT = { sessionTimeout: 6_000, heartbeatInterval: 1_000 } as const;
/** After this the process exits in any case: everything that matters is in the databases. */
const STOP_MS = 9_000;

/** What all services of the shop have: settings, a log, health, and crash points for the failure lab. */
@Module({})
export class ServiceModule {
  static with(settings: Settings, logger: ProcessLogger): DynamicModule {
    const { enabled, armed } = settings.failpoints;
    const failpoints = enabled ? failpointsOfProcess(PARTICIPANT_FAILPOINTS, armed) : undefined;
    const providers = [
      { provide: SETTINGS, useValue: settings },
      { provide: LOGGER, useValue: logger },
      { provide: FAILPOINTS, useValue: failpoints },
    ];
    const controllers = [HealthController, MetricsController, ...(failpoints ? [FailpointsController] : [])];
    return { module: ServiceModule, global: true, providers, controllers, exports: [SETTINGS, LOGGER, FAILPOINTS] };
  }
}

@Module({})
class ServiceRootModule {}

/** Runs a service until a signal ends it. */
export async function runService(name: string, moduleOf: (settings: Settings) => DynamicModule): Promise<void> {
  const result = parseSettings(name, process.env);
  if (!result.ok) {
    process.stderr.write(`${formatProblems(result.problems)}\n`);
    process.exitCode = EXIT.configuration;
    return;
  }
  const { settings } = result;
  const logger = new ProcessLogger({ scope: name, level: settings.logLevel });
  let app: NestFastifyApplication | undefined;
  endWithSignals({ logger, close: async () => app?.close(), stopLimitMs: STOP_MS });
  readFilesAgainOnHangUp(logger);
  try {
    app = await createService(moduleOf(settings), settings, logger, name);
    await app.startAllMicroservices();
    await app.getHttpAdapter().getInstance().listen({ host: settings.http.host, port: settings.http.port });
    logger.info(`${name}: http://${formatAddress(settings.http)}`);
  } catch (error) {
    process.stderr.write(`${startFailure(name, error, settings.http)}\n`);
    process.exit(startFailureCode(error));
  }
}

async function createService(
  module: DynamicModule,
  settings: Settings,
  logger: ProcessLogger,
  name: string,
): Promise<NestFastifyApplication> {
  const app = await NestFactory.create<NestFastifyApplication>(
    { module: ServiceRootModule, imports: [ServiceModule.with(settings, logger), module] },
    new FastifyAdapter({ forceCloseConnections: true }),
    { logger, abortOnError: false },
  );
  if (settings.kafkaBrokers.length > 0) {
    await ensureTopics(settings, logger);
    app.connectMicroservice(kafkaServer(name, settings, logger));
  }
  await app.init();
  return app;
}

function kafkaServer(name: string, settings: Settings, logger: ProcessLogger): MicroserviceOptions {
  const { kafkaBrokers, kafkaSecurity, cluster } = settings;
  return {
    transport: Transport.KAFKA,
    options: {
      client: {
        clientId: `shop-${name}`,
        brokers: [...kafkaBrokers],
        ...kafkaSecurityOptions(kafkaSecurity, logger),
      },
      consumer: { groupId: `shop.${cluster}.${name}`, ...PROMPT_REASSIGNMENT },
    },
  };
}
