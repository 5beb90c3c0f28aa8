import type { Socket } from 'node:net';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { CoordinatorModule, type CoordinatorOptions } from './coordinator.module.js';
import { sendProblem } from './http/answers.js';
import { ForwardToLeader } from './http/forward-to-leader.js';
import { BODY_LIMIT_BYTES, parseJsonBody } from './http/json-body.js';
import { setUpDocumentation } from './http/openapi.js';
import { pathOf } from './http/problem.filter.js';
import { makeProblem, problemOf, type ProblemCode } from './http/problems.js';
import { RequestGate } from './http/request-gate.js';
import { ProcessLogger } from './logging.js';

/** An id has 36 characters; longer parts of a path are refused before any route is looked for. */
const MAXIMUM_PARAMETER_LENGTH = 100;

/** The HTTP server with all that lies below the routes: what is no valid HTTP becomes a problem, too. */
export function createHttpAdapter(): FastifyAdapter {
  return new FastifyAdapter({
    forceCloseConnections: true,
    bodyLimit: BODY_LIMIT_BYTES,
    skipMiddie: true, // nothing here is an Express middleware, and it costs a hook per request
    routerOptions: { maxParamLength: MAXIMUM_PARAMETER_LENGTH },
    frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) =>
      sendProblem(reply, problemOf(error, pathOf(request.raw.url ?? '/'))),
    clientErrorHandler: answerClientError,
  });
}

/** Whether the parser of node:http gave up: no request exists yet, so the answer is written by hand. */
function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const code: ProblemCode = error.code === 'HPE_HEADER_OVERFLOW' ? 'HEADERS_TOO_LARGE' : 'MALFORMED_HTTP';
  const problem = makeProblem(code, 'the request could not be read as HTTP', '/');
  const body = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 ${problem.status} ${problem.title}\r\nContent-Type: application/problem+json; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

/** Makes a Nest application answer as the contract says; to be called once, before `init` or `listen`. */
export async function setUpHttp(app: NestFastifyApplication): Promise<void> {
  const fastify: FastifyInstance = app.getHttpAdapter().getInstance();
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, parseJsonBody(body));
    } catch (error) {
      done(error as Error);
    }
  });
  app.get(RequestGate).install(fastify);
  await app.get(ForwardToLeader, { strict: false }).install(fastify);
  setUpDocumentation(app);
}

/** Builds the whole coordinator; nothing listens yet. */
export async function createCoordinator(options: CoordinatorOptions): Promise<NestFastifyApplication> {
  const logger = options.logger;
  const app = await NestFactory.create<NestFastifyApplication>(
    CoordinatorModule.register(options),
    createHttpAdapter(),
    { bodyParser: false, abortOnError: false, logger: logger instanceof ProcessLogger ? logger.child('nest') : false },
  );
  await setUpHttp(app);
  return app;
}
