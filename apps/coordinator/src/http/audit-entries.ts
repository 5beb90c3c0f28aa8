import type { FastifyRequest } from 'fastify';
import type { AuditedCall } from '../auth/audit-log.js';
import { formatGrants } from '../auth/credentials/roles.js';

/** Id of the node that forwarded a request; such a request is not forwarded again. */
export const FORWARDED_BY_HEADER = 'x-concordat-forwarded-by';

/** What was called, and from where, for the audit. */
export function originOf({
  method,
  routeOptions,
  ip,
  headers,
}: FastifyRequest): Pick<AuditedCall, 'call' | 'address' | 'forwardedBy'> {
  const forwardedBy = headers[FORWARDED_BY_HEADER];
  return {
    call: `${method} ${routeOptions.url ?? '(no route)'}`,
    address: ip,
    forwardedBy: typeof forwardedBy === 'string' && /^\d{1,9}$/.test(forwardedBy) ? forwardedBy : undefined,
  };
}

/** The same with who has called, if somebody is asked. */
export function callerOf(request: FastifyRequest): Omit<AuditedCall, 'status' | 'body'> {
  const { principal, raw } = request;
  const roles = principal ? formatGrants(principal) : [];
  return { principal: principal?.id, roles, url: raw.url ?? '', ...originOf(request) };
}
