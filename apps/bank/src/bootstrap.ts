import type { Server } from 'node:http';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { openFilesLimit } from '@concordat/foundation';
import { ConcordatTransport } from '@concordat/participant';
import type { FastifyHttpOptions } from 'fastify';
import { BankModule, type BankOptions } from './bank.module.js';

/** No id that can be opened is longer: 128 letters, of up to three bytes each, percent-encoded. */
const MAXIMUM_PARAMETER_LENGTH = 128 * 9;

const MAXIMUM_CONNECTIONS = 1_000;
const REQUEST_TIMEOUT_MS = 30_000;
const HEADERS_TIMEOUT_MS = 10_000;

/** Gives up clients that do not go on, and leaves at least half of the files to the database and the broker. */
function createHttpAdapter(): FastifyAdapter {
  const options: FastifyHttpOptions<Server> = {
    forceCloseConnections: true,
    routerOptions: { maxParamLength: MAXIMUM_PARAMETER_LENGTH },
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: { headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: 1_000 },
  };
  const adapter = new FastifyAdapter(options);
  const files = openFilesLimit() ?? Number.POSITIVE_INFINITY;
  adapter.getHttpServer().maxConnections = Math.min(MAXIMUM_CONNECTIONS, Math.floor(files / 2));
  return adapter;
}

/** The application, initialized but not listening; `startAllMicroservices` lets it take part. */
export async function createBank(options: BankOptions): Promise<NestFastifyApplication> {
  const app = await NestFactory.create<NestFastifyApplication>(BankModule.with(options), createHttpAdapter(), {
    logger: options.logger,
    abortOnError: false,
  });
  app.connectMicroservice({ strategy: app.get(ConcordatTransport) }, { inheritAppConfig: true });
  await app.init();
  return app;
}
