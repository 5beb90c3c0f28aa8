import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { ConcordatTransport } from '@concordat/participant';
import { BankModule, type BankOptions } from './bank.module.js';

/** No id that can be opened is longer: 128 letters, of up to three bytes each, percent-encoded. */
const MAXIMUM_PARAMETER_LENGTH = 128 * 9;

/** The application, initialized but not listening; `startAllMicroservices` lets it take part. */
export async function createBank(options: BankOptions): Promise<NestFastifyApplication> {
  const app = await NestFactory.create<NestFastifyApplication>(
    BankModule.with(options),
    new FastifyAdapter({ forceCloseConnections: true, routerOptions: { maxParamLength: MAXIMUM_PARAMETER_LENGTH } }),
    { logger: options.logger, abortOnError: false },
  );
  app.connectMicroservice({ strategy: app.get(ConcordatTransport) }, { inheritAppConfig: true });
  await app.init();
  return app;
}
