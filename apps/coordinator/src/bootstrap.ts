import { ProcessLogger } from '@concordat/foundation';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyInstance } from 'fastify';
import { CoordinatorModule, type CoordinatorOptions } from './coordinator.module.js';
import { AccessGuard } from './http/access-guard.js';
import { ForwardToLeader } from './http/forward-to-leader.js';
import { refuseUnknownBody } from './http/empty-body.js';
import { createHttpServer } from './http/http-server.js';
import { parseJsonBody } from './http/json-body.js';
import { setUpDocumentation } from './http/openapi.js';
import { RequestGate } from './http/request-gate.js';
import { NodeCertificates } from './node-certificates.js';

/** Installs body parsers, hooks and documentation on a Nest application. Call it once, before `init` or `listen`. */
export async function setUpHttp(app: NestFastifyApplication): Promise<void> {
  const fastify: FastifyInstance = app.getHttpAdapter().getInstance();
  fastify.removeAllContentTypeParsers();
  // Bodies stay bytes until the node that answers parses them: a follower forwards them unchanged.
  fastify.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );
  fastify.addContentTypeParser('*', refuseUnknownBody);
  app.get(RequestGate).install(fastify);
  await app.get(AccessGuard, { strict: false }).install(fastify);
  await app.get(ForwardToLeader, { strict: false }).install(fastify);
  fastify.addHook('preHandler', (request, _reply, done) => {
    if (Buffer.isBuffer(request.body)) request.body = parseJsonBody(request.body);
    done();
  });
  setUpDocumentation(app);
}

/** Builds the whole coordinator. The caller starts it with `listen`. */
export async function createCoordinator(options: CoordinatorOptions): Promise<NestFastifyApplication> {
  const { logger, config } = options;
  const certificates = options.certificates ?? new NodeCertificates(config, logger);
  const { adapter, http2 } = createHttpServer(config, logger, certificates);
  const app = await NestFactory.create<NestFastifyApplication>(
    CoordinatorModule.register({ ...options, certificates }),
    adapter,
    { bodyParser: false, abortOnError: false, logger: logger instanceof ProcessLogger ? logger.child('nest') : false },
  );
  await setUpHttp(app);
  app.get(RequestGate).onClosing(() => http2?.announceEnd());
  return app;
}
