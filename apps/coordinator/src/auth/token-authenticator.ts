import { WatchedFile, type Logger } from '@concordat/foundation';
import type { Authenticator, Presented } from './authenticator.js';
import { hashOf, isApiToken, parseApiTokens, type ApiToken } from './credentials/api-tokens.js';
import type { Principal } from './credentials/principal.js';
import { formatGrants } from './credentials/roles.js';
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
        const principals = [...parsed.tokens].map(([hash, token]) => [hash, this.principalOf(hash, token)] as const);
        return { ok: true, content: new Map(principals) };
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

  private principalOf(hash: string, { name, roles, participants, expiresAt }: ApiToken): Principal {
    const own: Principal = { id: `token:${name}`, roles, participants, ...(expiresAt !== undefined && { expiresAt }) };
    const line = lineOf(own);
    // who reads a stream goes on only while the file says the same of its token
    const counts = (): boolean => {
      const now = this.file.content.get(hash);
      return now !== undefined && lineOf(now) === line;
    };
    return { ...own, counts };
  }
}

/** What the file says of a token, to be compared. */
function lineOf(principal: Principal): string {
  return [principal.id, principal.expiresAt, ...formatGrants(principal)].join(' ');
}
