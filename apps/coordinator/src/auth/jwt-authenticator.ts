import { errorMessage } from '@concordat/foundation';
import { errors, jwtVerify, type JWTHeaderParameters, type JWTPayload } from 'jose';
import type { JwtSettings } from '../auth-variables.js';
import type { Authenticator, Presented } from './authenticator.js';
import { isApiToken } from './credentials/api-tokens.js';
import { isPrincipalName, type Principal } from './credentials/principal.js';
import { parseGrants } from './credentials/roles.js';
import { AuthenticationUnavailableError, CredentialRefusedError, type RefusalReason } from './errors.js';
import type { KnownPrincipals } from './known-principals.js';
import type { VerificationKey, VerificationKeys } from './verification-keys.js';

/** The clocks of issuer and node may differ by so much. */
const CLOCK_TOLERANCE_SECONDS = 5;
/** Roles of a token that are looked at. */
const MAXIMUM_ROLES = 256;

export interface JwtAuthenticatorOptions extends Omit<JwtSettings, 'keys'> {
  readonly keys: VerificationKeys;
  readonly known: KnownPrincipals;
  readonly now: () => number;
}

/**
 * JWTs (RFC 7519) of one issuer, signed with a public key. A token that was verified is known for a minute, and counts
 * while its key does.
 */
export class JwtAuthenticator implements Authenticator {
  constructor(private readonly options: JwtAuthenticatorOptions) {}

  authenticate({ bearer, beforeWork }: Presented): Principal | undefined | Promise<Principal> {
    if (bearer === undefined || isApiToken(bearer)) return undefined;
    const known = this.options.known.find(bearer);
    if (known) return known;
    beforeWork();
    return this.verify(bearer);
  }

  private async verify(token: string): Promise<Principal> {
    const { keys, known, issuer, audience, algorithms, now } = this.options;
    const moment = now();
    let payload: JWTPayload;
    let used: VerificationKey | undefined;
    const keyFor = async (header: JWTHeaderParameters) => (used = await keys.keyFor(header)).key;
    try {
      ({ payload } = await jwtVerify(token, keyFor, {
        issuer,
        audience,
        algorithms: [...algorithms],
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        requiredClaims: ['exp', 'sub'],
        currentDate: new Date(moment),
      }));
    } catch (error) {
      throw refusalOf(error);
    }
    const principal = { ...this.principalOf(payload), ...(used && { counts: used.counts }) };
    known.remember(token, principal, principal.expiresAt - moment);
    return principal;
  }

  private principalOf({ sub, exp, ...claims }: JWTPayload): Principal & { readonly expiresAt: number } {
    if (!isPrincipalName(sub)) {
      throw new CredentialRefusedError('claims', 'its subject (sub) is not one line of 1 to 200 characters');
    }
    const expiresAt = (exp! + CLOCK_TOLERANCE_SECONDS) * 1_000;
    const { grants } = parseGrants(rolesIn(claims, this.options.roleClaim)); // other services have roles, too
    return { id: `jwt:${sub}`, ...grants, expiresAt };
  }
}

/** The texts of a claim: a list of texts, or one text with spaces between. */
function rolesIn(claims: Readonly<Record<string, unknown>>, name: string): string[] {
  const value = claimOf(claims, name);
  const texts: readonly unknown[] = typeof value === 'string' ? value.split(' ') : Array.isArray(value) ? value : [];
  return texts.slice(0, MAXIMUM_ROLES).filter((text) => typeof text === 'string');
}

/** A claim by its whole name, which may have dots, otherwise by its path. */
function claimOf(claims: Readonly<Record<string, unknown>>, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let found: unknown = claims;
  for (const part of name.split('.')) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, part)) return undefined;
    found = (found as Readonly<Record<string, unknown>>)[part];
  }
  return found;
}

const REASONS: Readonly<Record<string, RefusalReason>> = {
  ERR_JWT_EXPIRED: 'expired',
  ERR_JOSE_ALG_NOT_ALLOWED: 'algorithm',
  ERR_JWKS_NO_MATCHING_KEY: 'unknown-key',
  ERR_JWKS_MULTIPLE_MATCHING_KEYS: 'unknown-key',
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: 'signature',
};
const REASONS_BY_CLAIM: Readonly<Record<string, RefusalReason>> = {
  nbf: 'not-yet-valid',
  iss: 'issuer',
  aud: 'audience',
};

/** jose checks the claims of a token only after its signature. */
function refusalOf(error: unknown): Error {
  if (error instanceof AuthenticationUnavailableError) return error;
  if (error instanceof errors.JWTClaimValidationFailed) {
    const reason = error.reason === 'missing' ? 'claims' : (REASONS_BY_CLAIM[error.claim] ?? 'claims');
    return new CredentialRefusedError(reason, error.message, { cause: error });
  }
  const reason = error instanceof errors.JOSEError ? REASONS[error.code] : undefined;
  return new CredentialRefusedError(reason ?? 'malformed', errorMessage(error), { cause: error });
}
