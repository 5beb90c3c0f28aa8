import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { RequestRefusedError } from './problems.js';

/**
 * The secret of one transaction. Who begins it sends one, of its own making, and hands it to the services that it calls
 * in it. They show it when they join, or abort.
 */
export const INVITATION_HEADER = 'Concordat-Invitation';
/** At least 128 bits in base64url; no id and no name is as long by mistake. */
export const INVITATION_PATTERN = '^[A-Za-z0-9_-]{22,128}$';

const INVITATION = new RegExp(INVITATION_PATTERN);
const NAME = INVITATION_HEADER.toLowerCase();

/**
 * SHA-256 (base64url) of the invitation of a request, which is all that is kept of it; undefined: it has none.
 *
 * @throws RequestRefusedError `INVALID_REQUEST`
 */
export function parseInvitation(headers: IncomingHttpHeaders): string | undefined {
  const invitation = headers[NAME];
  if (invitation === undefined) return undefined;
  if (typeof invitation === 'string' && INVITATION.test(invitation)) {
    return createHash('sha256').update(invitation).digest('base64url');
  }
  const message = 'must be sent once and have 22 to 128 letters, digits, - or _: at least 128 random bits';
  throw new RequestRefusedError('INVALID_REQUEST', `${INVITATION_HEADER} ${message}`, [
    { path: INVITATION_HEADER, message },
  ]);
}
