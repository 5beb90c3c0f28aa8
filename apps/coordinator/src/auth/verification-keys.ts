import type { CryptoKey, JWTHeaderParameters } from 'jose';

/** The public keys of an issuer. */
export interface VerificationKeys {
  /** @throws errors of jose when no key, or more than one, fits; AuthenticationUnavailableError */
  keyFor(header: JWTHeaderParameters): Promise<CryptoKey>;
}
