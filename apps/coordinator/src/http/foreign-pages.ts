import type { FastifyRequest } from 'fastify';
import { isLoopback } from '../auth-variables.js';
import { RequestRefusedError } from './problems.js';

const READING: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Why a request is refused that comes from a page of somebody else, in the browser of whoever runs the node on his own
 * machine and asks nobody who is there; undefined: it does not. Only browsers say where a page is from (`Origin`), with
 * each request that may change something; other clients do not. Such a page reaches loopback by its own address, or by a
 * name of its own that leads there (DNS rebinding).
 */
export function foreignPageRefusal({ method, headers }: FastifyRequest): RequestRefusedError | undefined {
  const { origin } = headers;
  if (origin === undefined || READING.has(method) || isOfThisMachine(origin)) return undefined;
  return new RequestRefusedError(
    'FORBIDDEN',
    'a page of another origin may change nothing here, because this node has no authentication; set it up, or set CONCORDAT_AUTH=none to allow everybody everything',
  );
}

/** `null` is the origin of pages that hide theirs. */
function isOfThisMachine(origin: string): boolean {
  return URL.canParse(origin) && isLoopback(new URL(origin).hostname.replace(/^\[|\]$/g, ''));
}
