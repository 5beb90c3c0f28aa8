import { exportJWK, exportSPKI, generateKeyPair, SignJWT, type CryptoKey, type JWK, type JWTPayload } from 'jose';

export const ISSUER = 'https://issuer.example/';
export const AUDIENCE = 'concordat';

export interface TokenChanges {
  readonly claims?: JWTPayload;
  readonly header?: Readonly<Record<string, unknown>>;
  /** seconds from the moment; negative: before it */
  readonly expiresIn?: number;
}

/** An issuer of tokens for tests, with one key. */
export class TestIssuer {
  private constructor(
    readonly algorithm: string,
    readonly keyId: string,
    private readonly privateKey: CryptoKey,
    readonly publicKey: CryptoKey,
  ) {}

  static async create(algorithm = 'ES256', keyId = 'key-1'): Promise<TestIssuer> {
    const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
    return new TestIssuer(algorithm, keyId, privateKey, publicKey);
  }

  /** @param moment milliseconds since 1970 */
  token(moment: number, roles: readonly string[] = ['client'], changes: TokenChanges = {}): Promise<string> {
    const { claims, header, expiresIn = 300 } = changes;
    const seconds = Math.floor(moment / 1_000);
    const payload = { iss: ISSUER, aud: AUDIENCE, sub: 'alice', roles: [...roles], ...claims };
    return new SignJWT(payload)
      .setProtectedHeader({ alg: this.algorithm, kid: this.keyId, ...header })
      .setIssuedAt(seconds)
      .setExpirationTime(seconds + expiresIn)
      .sign(this.privateKey);
  }

  async jwk(): Promise<JWK> {
    return { ...(await exportJWK(this.publicKey)), kid: this.keyId, use: 'sig' };
  }

  pem(): Promise<string> {
    return exportSPKI(this.publicKey);
  }

  async keySet(...others: readonly TestIssuer[]): Promise<{ keys: JWK[] }> {
    return { keys: await Promise.all([this, ...others].map((issuer) => issuer.jwk())) };
  }
}
