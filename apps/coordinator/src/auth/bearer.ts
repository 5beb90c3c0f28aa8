import { CredentialRefusedError } from './errors.js';

/** RFC 6750, section 2.1 */
const BEARER = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i;
/** Longer ones are not looked at. */
export const MAXIMUM_BEARER_LENGTH = 8_192;

/**
 * The token of a request; undefined when it has no `Authorization` header.
 *
 * @param rawHeaders names and values as received, in turn: Node.js joins or drops repeated headers, and a proxy may have
 *   read the other one
 * @throws CredentialRefusedError
 */
export function bearerOf(rawHeaders: readonly string[]): string | undefined {
  let found: string | undefined;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!;
    if (name.length !== 13 || name.toLowerCase() !== 'authorization') continue;
    if (found !== undefined) throw new CredentialRefusedError('ambiguous', 'several Authorization headers');
    found = rawHeaders[index + 1]!;
  }
  if (found === undefined) return undefined;
  if (found.length > MAXIMUM_BEARER_LENGTH) {
    throw new CredentialRefusedError('malformed', `an Authorization header of ${found.length} characters`);
  }
  const token = BEARER.exec(found)?.[1];
  if (token === undefined) throw new CredentialRefusedError('malformed', 'the Authorization header is no bearer token');
  return token;
}
