import { WatchedFile, type Logger } from '@concordat/foundation';
import type { Authenticator, Presented } from './authenticator.js';
import { hashOf, isApiToken, parseApiTokens, type ApiToken } from './credentials/api-tokens.js';
import type { Principal } from './credentials/principal.js';
import { AuthenticationSetupError, CredentialRefusedError } from './errors.js';

export interface TokenAuthenticatorOptions {
  readonly path: string;
  readonly now: () => number;
  readonly monotonic: () => number;
  readonly logger: Logger;
}

/** API tokens, known by their hashes in a file. */
export class TokenAuthenticator implements Authenticator {
  private readonly file: WatchedFile<ReadonlyMap<string, Principal>>;

  /** @throws AuthenticationSetupError */
  constructor(private readonly options: TokenAuthenticatorOptions) {
    const { path, monotonic, logger } = options;
    this.file = new WatchedFile({
      path,
      kind: 'secret',
      parse: (text) => {
        const parsed = parseApiTokens(text);
        if (!parsed.ok) return parsed;
        return { ok: true, content: new Map([...parsed.tokens].map(([hash, token]) => [hash, principalOf(token)])) };
      },
      monotonic,
      logger,
      failure: (sentence) => new AuthenticationSetupError(sentence),
    });
  }

  authenticate({ bearer }: Presented): Principal | undefined {
    if (bearer === undefined || !isApiToken(bearer)) return undefined;
    const principal = this.file.content.get(hashOf(bearer));
    if (!principal) throw new CredentialRefusedError('unknown-token', 'no line of the token file has its hash');
    const { id, expiresAt } = principal;
    if (expiresAt !== undefined && expiresAt <= this.options.now()) {
      throw new CredentialRefusedError('expired', `${id} is past its last day`);
    }
    return principal;
  }
}

function principalOf({ name, roles, participants, expiresAt }: ApiToken): Principal {
  return { id: `token:${name}`, roles, participants, ...(expiresAt !== undefined && { expiresAt }) };
}
