import type { IncomingMessage } from 'node:http';
import { guarded } from '@concordat/foundation';
import type { FastifyRequest } from 'fastify';
import { RequestRefusedError, UNSUPPORTED_MEDIA_TYPE_DETAIL } from './problems.js';

/**
 * The parser of bodies that are not JSON. It takes only a body that turns out to be empty, of a request that does not
 * say what it is: many clients of HTTP/2 end a request without a body by an empty frame.
 */
export function refuseUnknownBody(
  request: FastifyRequest,
  payload: IncomingMessage,
  done: (error: Error | null, body?: unknown) => void,
): void {
  if (request.is404) return done(null);
  const { 'content-type': type, 'content-length': length } = request.headers;
  if (type !== undefined || (length !== undefined && length !== '0')) return done(unsupported());
  const settle = (error: Error | null): void => {
    payload.off('data', guardedData);
    payload.off('end', guardedEnd);
    payload.off('error', guardedError);
    done(error);
  };
  const fail = (error: unknown): void => settle(error as Error);
  const guardedData = guarded((chunk: Buffer) => {
    if (chunk.length > 0) settle(unsupported());
  }, fail);
  const guardedEnd = guarded(() => settle(null), fail);
  const guardedError = guarded(fail, fail);
  payload.on('data', guardedData);
  payload.on('end', guardedEnd);
  payload.on('error', guardedError);
}

function unsupported(): RequestRefusedError {
  return new RequestRefusedError('UNSUPPORTED_MEDIA_TYPE', UNSUPPORTED_MEDIA_TYPE_DETAIL);
}
