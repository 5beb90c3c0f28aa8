import { isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';
import type { AuditedCall } from '../auth/audit-log.js';
import { formatGrants } from '../auth/credentials/roles.js';

/** Id of the node that forwarded a request; such a request is not forwarded again. */
export const FORWARDED_BY_HEADER = 'x-concordat-forwarded-by';
/** Address of the client from which that node had it; for the audit alone. */
export const FORWARDED_FOR_HEADER = 'x-concordat-forwarded-for';

/** What was called, and from where, for the audit. */
export function originOf({
  method,
  routeOptions,
  ip,
  headers,
}: FastifyRequest): Pick<AuditedCall, 'call' | 'address' | 'forwardedBy' | 'forwardedFor'> {
  const { [FORWARDED_BY_HEADER]: node, [FORWARDED_FOR_HEADER]: client } = headers;
  const forwardedBy = typeof node === 'string' && /^\d{1,9}$/.test(node) ? node : undefined;
  const isAddress = forwardedBy !== undefined && typeof client === 'string' && isIP(client) !== 0;
  return {
    call: `${method} ${routeOptions.url ?? '(no route)'}`,
    address: ip,
    forwardedBy,
    forwardedFor: isAddress ? client : undefined,
  };
}

/** The same with who has called, if somebody is asked. */
export function callerOf(request: FastifyRequest): Omit<AuditedCall, 'status' | 'body'> {
  const { principal, raw } = request;
  const roles = principal ? formatGrants(principal) : [];
  return { principal: principal?.id, roles, url: raw.url ?? '', ...originOf(request) };
}
