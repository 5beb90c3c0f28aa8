import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { limitClients, requestTimeouts, type Logger } from '@concordat/foundation';
import { ConcordatTransport } from '@concordat/nestjs';
import { BankModule, type BankOptions } from './bank.module.js';

/** The longest id: 128 letters, of up to three bytes each, percent-encoded. */
const MAXIMUM_PARAMETER_LENGTH = 128 * 9;

const MAXIMUM_CONNECTIONS = 1_000;
/** For the database, the broker, and a reserve. */
const RESERVED_FILES = 256;
const REQUEST_TIMEOUT_MS = 30_000;

/** Bounded like a coordinator's: stalled clients are disconnected and take nothing that the work needs. */
export function createHttpAdapter(logger: Logger, requestTimeoutMs = REQUEST_TIMEOUT_MS): FastifyAdapter {
  const adapter = new FastifyAdapter({
    forceCloseConnections: true,
    routerOptions: { maxParamLength: MAXIMUM_PARAMETER_LENGTH },
    ...requestTimeouts(requestTimeoutMs),
  });
  const connections = { wanted: MAXIMUM_CONNECTIONS, reservedFiles: RESERVED_FILES, filesPerConnection: 1 };
  limitClients(adapter.getHttpServer(), { connections, logger });
  return adapter;
}

/** The application, initialised but not listening; `startAllMicroservices` starts the participant. */
export async function createBank(options: BankOptions): Promise<NestFastifyApplication> {
  const app = await NestFactory.create<NestFastifyApplication>(
    BankModule.with(options),
    createHttpAdapter(options.logger),
    {
      logger: options.logger,
      abortOnError: false,
    },
  );
  app.connectMicroservice({ strategy: app.get(ConcordatTransport) }, { inheritAppConfig: true });
  await app.init();
  return app;
}
