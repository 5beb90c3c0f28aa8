import { ClientOptionError, TokenError } from '../errors/errors.js';

/** A token, or where the client gets one for each request. */
export type Token = string | (() => string | Promise<string>);

/** RFC 6750, section 2.1 */
const BEARER = /^[A-Za-z0-9._~+/-]+=*$/;
const RULE = 'must be a token: letters, digits and . _ ~ + / - without spaces';

/**
 * Makes the value of `Authorization`. No message contains a token.
 *
 * @throws ClientOptionError for a token that cannot be sent
 */
export function authorizationOf(token: Token | undefined): () => Promise<string | undefined> {
  if (token === undefined) return () => Promise.resolve(undefined);
  if (typeof token !== 'function') {
    if (!isToken(token)) throw new ClientOptionError(`token ${RULE}`);
    const value = `Bearer ${token}`;
    return () => Promise.resolve(value);
  }
  return async () => {
    let given: string;
    try {
      given = await token();
    } catch (cause) {
      throw new TokenError('the function "token" has failed, for the reason in "cause"; nothing was sent', { cause });
    }
    if (!isToken(given)) throw new TokenError(`the answer of the function "token" ${RULE}; nothing was sent`);
    return `Bearer ${given}`;
  };
}

function isToken(value: unknown): value is string {
  return typeof value === 'string' && BEARER.test(value);
}
