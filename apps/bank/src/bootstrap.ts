import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { ConcordatTransport } from '@concordat/participant';
import { BankModule, type BankOptions } from './bank.module.js';

/** The application, initialized but not listening; `startAllMicroservices` lets it take part. */
export async function createBank(options: BankOptions): Promise<NestFastifyApplication> {
  const app = await NestFactory.create<NestFastifyApplication>(
    BankModule.with(options),
    new FastifyAdapter({ forceCloseConnections: true }),
    { logger: options.logger, abortOnError: false },
  );
  app.connectMicroservice({ strategy: app.get(ConcordatTransport) }, { inheritAppConfig: true });
  await app.init();
  return app;
}
