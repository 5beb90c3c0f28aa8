import type { FastifyRequest } from 'fastify';
import type { Principal } from '../auth/credentials/principal.js';
import type { Access } from '../transactions/access.js';
import type { EnlistRequest, NamedBranchRequest } from '../transactions/transactions.api.js';
import { parseInvitation } from './invitations.js';
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
 * it has a branch there, or names one with the request, or is invited to it.
 *
 * @param branches that it may enlist
 * @param joining what a participant must show
 * @throws RequestRefusedError `INVALID_REQUEST` for an invitation that is none
 */
export function abortAccessOf(
  request: FastifyRequest,
  branches: readonly NamedBranchRequest[],
  joining: Joining,
): Access | undefined {
  const { principal } = request;
  if (principal === null) return undefined;
  return branches.length > 0
    ? joiningAccess(request, principal, joining)
    : { ...ownOf(principal), ...shownBy(request) };
}

/** Whether participants may join any transaction whose id they know, or must show its invitation. */
export type Joining = 'off' | 'require';

function joiningAccess(
  request: Pick<FastifyRequest, 'headers'>,
  principal: Principal,
  joining: Joining,
): Access | undefined {
  return joining === 'off' ? undefined : { ...ownOf(principal), ...shownBy(request) };
}

function shownBy({ headers }: Pick<FastifyRequest, 'headers'>): Pick<Access, 'invitation'> {
  const invitation = parseInvitation(headers);
  return invitation === undefined ? {} : { invitation };
}

/**
 * The transactions to which the sender may add this branch. A vote, and a session that a process holds, are the word of
 * the participant itself; operations for it may come from the client that began the transaction.
 *
 * @param joining what a participant must show
 * @throws RequestRefusedError `FORBIDDEN`, `INVALID_REQUEST` for an invitation that is none
 */
export function enlistAccessOf(
  request: Pick<FastifyRequest, 'principal' | 'headers'>,
  branch: EnlistRequest,
  joining: Joining,
): Access | undefined {
  const { principal } = request;
  if (principal === null) return undefined;
  if (principal.participants.includes(branch.participant)) return joiningAccess(request, principal, joining);
  if ('operation' in branch && principal.roles.has('client')) return { owner: principal.id, participants: [] };
  throw new RequestRefusedError(
    'FORBIDDEN',
    'operation' in branch
      ? `only a client, or participant:${branch.participant}, may add operations for ${branch.participant}`
      : `only participant:${branch.participant} may enlist a branch that ${branch.participant} has prepared or holds`,
  );
}
