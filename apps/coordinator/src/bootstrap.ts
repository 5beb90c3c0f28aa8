import { ProcessLogger } from '@concordat/foundation';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyInstance } from 'fastify';
import { CoordinatorModule, type CoordinatorOptions } from './coordinator.module.js';
import { ForwardToLeader } from './http/forward-to-leader.js';
import { createHttpAdapter } from './http/http-server.js';
import { parseJsonBody } from './http/json-body.js';
import { setUpDocumentation } from './http/openapi.js';
import { RequestGate } from './http/request-gate.js';

/** Makes a Nest application answer as the contract says; to be called once, before `init` or `listen`. */
export async function setUpHttp(app: NestFastifyApplication): Promise<void> {
  const fastify: FastifyInstance = app.getHttpAdapter().getInstance();
  fastify.removeAllContentTypeParsers();
  // As bytes: whether it is JSON is for the node to say that answers, and a follower passes the body on as it came.
  fastify.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );
  app.get(RequestGate).install(fastify);
  await app.get(ForwardToLeader, { strict: false }).install(fastify);
  fastify.addHook('preHandler', (request, _reply, done) => {
    if (Buffer.isBuffer(request.body)) request.body = parseJsonBody(request.body);
    done();
  });
  setUpDocumentation(app);
}

/** Builds the whole coordinator; nothing listens yet. */
export async function createCoordinator(options: CoordinatorOptions): Promise<NestFastifyApplication> {
  const logger = options.logger;
  const app = await NestFactory.create<NestFastifyApplication>(
    CoordinatorModule.register(options),
    createHttpAdapter(options.config, logger),
    { bodyParser: false, abortOnError: false, logger: logger instanceof ProcessLogger ? logger.child('nest') : false },
  );
  await setUpHttp(app);
  return app;
}
