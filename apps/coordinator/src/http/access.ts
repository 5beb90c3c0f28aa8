import type { FastifyRequest } from 'fastify';
import type { Principal } from '../auth/credentials/principal.js';
import type { Access } from '../transactions/access.js';
import type { EnlistRequest, NamedBranchRequest } from '../transactions/transactions.api.js';
import { RequestRefusedError } from './problems.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** who sends it; null: nobody is asked */
    principal: Principal | null;
  }
}

/** The principal as owner of transactions, of locks and of idempotency keys; undefined without authentication. */
export function ownerOf({ principal }: FastifyRequest): string | undefined {
  return principal?.id;
}

/** What the sender may read. */
export function readAccessOf({ principal }: FastifyRequest): Access | undefined {
  if (principal === null) return undefined;
  const { roles } = principal;
  return roles.has('observer') || roles.has('operator') ? undefined : ownOf(principal);
}

function ownOf({ id, roles, participants }: Principal): Access {
  return { ...(roles.has('client') && { owner: id }), participants };
}

/** The transactions that the sender may commit: those that it began, whatever else it may read. */
export function commitAccessOf({ principal }: FastifyRequest): Access | undefined {
  return principal === null ? undefined : { owner: principal.id, participants: [] };
}

/**
 * The transactions that the sender may abort: those that it began, and those whose abort is its right as a participant:
 * it has a branch there, or names one with the request.
 *
 * @param branches that it may enlist
 */
export function abortAccessOf(
  { principal }: FastifyRequest,
  branches: readonly NamedBranchRequest[],
): Access | undefined {
  return principal === null || branches.length > 0 ? undefined : ownOf(principal);
}

/**
 * The transactions to which the sender may add this branch. A vote, and a session that a process holds, are the word of
 * the participant itself; operations for it may come from the client that began the transaction.
 *
 * @throws RequestRefusedError `FORBIDDEN`
 */
export function enlistAccessOf(
  { principal }: Pick<FastifyRequest, 'principal'>,
  branch: EnlistRequest,
): Access | undefined {
  if (principal === null || principal.participants.includes(branch.participant)) return undefined;
  if ('operation' in branch && principal.roles.has('client')) return { owner: principal.id, participants: [] };
  throw new RequestRefusedError(
    'FORBIDDEN',
    'operation' in branch
      ? `only a client, or participant:${branch.participant}, may add operations for ${branch.participant}`
      : `only participant:${branch.participant} may enlist a branch that ${branch.participant} has prepared or holds`,
  );
}
