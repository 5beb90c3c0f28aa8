import { createHash, createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { SignJWT } from 'jose';
import type { SecretFiles } from './secret-files.js';

export const JWT_ISSUER = 'https://issuer.concordat.local';
export const JWT_AUDIENCE = 'concordat';

/** Hashes of API tokens, as "concordat token create" writes them: `sha256:<hash> <name> <roles>`. */
const TOKENS = 'tokens';
const [JWT_KEYS, JWT_SIGNING_KEY] = ['jwt-keys.json', 'jwt-signing-key.json'] as const;

/** The API tokens that a secured system has from the start, with their roles. */
export const TOKEN_ROLES = {
  /** may do everything that a token can: the lab itself */
  lab: ['client', 'observer', 'operator', 'metrics'],
  client: ['client'],
  observer: ['observer'],
  operator: ['operator'],
  metrics: ['metrics'],
} as const;
export type TokenName = keyof typeof TOKEN_ROLES;

export interface JwtRequest {
  readonly subject: string;
  readonly roles: readonly string[];
  /** default 3,600; negative: it has ended */
  readonly seconds?: number;
}

interface SigningKey {
  readonly kid: string;
  readonly [member: string]: unknown;
}

/** What the coordinators of a secured system take at REST: API tokens, and JWTs of an issuer of its own. */
export class LocalCredentials {
  constructor(private readonly files: SecretFiles) {}

  /** Makes what does not exist yet. */
  ensure(): void {
    this.files.ensure(TOKENS, () => '');
    for (const name of Object.keys(TOKEN_ROLES) as TokenName[]) {
      if (!this.files.has(secretOf(name))) this.replaceToken(name);
    }
    if (!this.files.has(JWT_KEYS)) this.addJwtKey();
  }

  /** The file of hashes, for `CONCORDAT_AUTH_TOKEN_FILE`. */
  get tokenFile(): string {
    return this.files.path(TOKENS);
  }

  /** The file of public keys, for `CONCORDAT_AUTH_KEY_FILE`. */
  get jwtKeyFile(): string {
    return this.files.path(JWT_KEYS);
  }

  token(name: TokenName): string {
    return this.files.text(secretOf(name));
  }

  /** The file with the token itself. */
  pathOfToken(name: TokenName): string {
    return this.files.path(secretOf(name));
  }

  /** A new token, which is written nowhere but as a hash into the file of tokens. */
  createToken(name: string, roles: readonly string[]): string {
    const token = `cct_${randomBytes(32).toString('base64url')}`;
    this.files.write(TOKENS, `${this.files.text(TOKENS)}\nsha256:${hashOf(token)} ${name} ${roles.join(',')}\n`);
    return token;
  }

  /** From now on the token of that name is this one, which `createToken` has made. The old one counts until it is withdrawn. */
  useToken(name: TokenName, token: string): void {
    this.files.write(secretOf(name), token);
  }

  /** Gives the name another token. The old one counts until it is withdrawn. */
  replaceToken(name: TokenName): void {
    this.files.write(secretOf(name), this.createToken(name, TOKEN_ROLES[name]));
  }

  /** Removes the line of a token. It counts no longer within two seconds. */
  withdraw(token: string): void {
    const lines = this.files.text(TOKENS).split('\n');
    const left = lines.filter((line) => !line.startsWith(`sha256:${hashOf(token)} `));
    this.files.write(TOKENS, `${left.join('\n')}\n`);
  }

  /** Signed by the newest key. */
  async jwt({ subject, roles, seconds = 3_600 }: JwtRequest): Promise<string> {
    const { kid, ...key } = JSON.parse(this.files.text(JWT_SIGNING_KEY)) as SigningKey;
    const now = Math.floor(Date.now() / 1_000);
    return await new SignJWT({ roles: [...roles] })
      .setProtectedHeader({ alg: 'EdDSA', kid })
      .setIssuer(JWT_ISSUER)
      .setAudience(JWT_AUDIENCE)
      .setSubject(subject)
      .setIssuedAt(now)
      .setExpirationTime(now + seconds)
      .sign(createPrivateKey({ key, format: 'jwk' }));
  }

  /** From now on a new key signs. JWTs of the old ones are taken until they are dropped. */
  addJwtKey(): void {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const kid = `local-${randomBytes(4).toString('hex')}`;
    const old = this.files.has(JWT_KEYS) ? this.jwtKeys() : [];
    this.writeJwtKeys([{ kid, ...publicKey.export({ format: 'jwk' }) }, ...old]);
    this.files.write(JWT_SIGNING_KEY, JSON.stringify({ kid, ...privateKey.export({ format: 'jwk' }) }));
  }

  /** Only the key that signs now is left. */
  dropOldJwtKeys(): void {
    this.writeJwtKeys(this.jwtKeys().slice(0, 1));
  }

  private jwtKeys(): SigningKey[] {
    return (JSON.parse(this.files.text(JWT_KEYS)) as { readonly keys: SigningKey[] }).keys;
  }

  private writeJwtKeys(keys: readonly SigningKey[]): void {
    this.files.write(JWT_KEYS, `${JSON.stringify({ keys }, null, 2)}\n`);
  }
}

const secretOf = (name: TokenName): string => `token-${name}`;

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
