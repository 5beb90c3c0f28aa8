import { createPublicKey, KeyObject } from 'node:crypto';
import {
  createLocalJWKSet,
  type CryptoKey,
  type JSONWebKeySet,
  type JWK,
  type JWTHeaderParameters,
  type LocalJWKSet,
} from 'jose';

/** A key by which a token is verified. */
export interface VerificationKey {
  readonly key: CryptoKey;
  /** Whether its issuer has it still, as far as this node knows now: then a new token by it would be taken, too. */
  readonly counts: () => boolean;
}

/** The public keys of an issuer, which change. */
export interface VerificationKeys {
  /** @throws errors of jose when no key, or more than one, fits; AuthenticationUnavailableError */
  keyFor(header: JWTHeaderParameters): Promise<VerificationKey>;
}

/** The public keys of an issuer at one moment. */
export class KeyRing {
  private readonly find: LocalJWKSet;
  private readonly keys: readonly JWK[];

  /**
   * @param isNamed whether the names of keys in tokens (`kid`) say anything
   * @throws errors of jose
   */
  constructor(
    set: JSONWebKeySet,
    private readonly isNamed = true,
  ) {
    this.find = createLocalJWKSet(set);
    this.keys = set.keys;
  }

  /**
   * @param newest the keys as this node knows them when it is called; undefined: it knows none any more
   * @throws errors of jose when no key, or more than one, fits
   */
  async keyFor(header: JWTHeaderParameters, newest: () => KeyRing | undefined): Promise<VerificationKey> {
    const key = await this.find(this.isNamed ? header : { ...header, kid: undefined });
    let judged: KeyRing | undefined; // the last one that has it, too
    const counts = (): boolean => {
      const now = newest();
      if (now === undefined || (now !== this && now !== judged && !now.has(key, header))) return false;
      judged = now;
      return true;
    };
    return { key, counts };
  }

  private has(key: CryptoKey, { kid, alg }: JWTHeaderParameters): boolean {
    const wanted = KeyObject.from(key);
    return this.keys.some(
      (jwk) =>
        (!this.isNamed || kid === undefined || jwk.kid === kid) &&
        (jwk.alg === undefined || jwk.alg === alg) &&
        (jwk.use === undefined || jwk.use === 'sig') &&
        isSame(jwk, wanted),
    );
  }
}

function isSame(jwk: JWK, wanted: KeyObject): boolean {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' }).equals(wanted);
  } catch {
    return false; // of a kind that this node does not know, or none at all
  }
}
