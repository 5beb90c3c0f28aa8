import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { LabError } from '../../lab-error.js';
import type { SecretFiles } from './secret-files.js';

const TRUSTED = 'trusted-keys.json';
const ALGORITHMS = ['ed25519', 'hmac-sha256'] as const;
const SECRET_BYTES = 32;

/** A JSON Web Key with those who may speak with it. */
export interface MessageKey {
  readonly kid: string;
  readonly senders: readonly string[];
  readonly [member: string]: unknown;
}

/** Whose messages over Kafka a key signs: `coordinator` or `participant:<name>`. */
export type Sender = 'coordinator' | `participant:${string}`;

type Algorithm = (typeof ALGORITHMS)[number];

/** How the messages of a secured local system are signed, by the environment. @throws LabError */
export function signatureAlgorithm(environment: NodeJS.ProcessEnv = process.env): Algorithm {
  const wanted = environment['CONCORDAT_LAB_SIGNATURES'] ?? ALGORITHMS[0];
  const known = ALGORITHMS.find((algorithm) => algorithm === wanted);
  if (known !== undefined) return known;
  throw new LabError(`CONCORDAT_LAB_SIGNATURES is "${wanted}"; it must be ${ALGORITHMS.join(' or ')}.`);
}

/** A new pair of keys that is written nowhere, as "concordat key create" makes them (JSON Web Keys). */
export function createSigningKey(
  senders: readonly string[],
  algorithm: Algorithm = 'ed25519',
): { readonly signing: MessageKey; readonly trusted: MessageKey } {
  const shared = { kid: `${senders[0]!.replace(':', '-')}-${randomBytes(4).toString('hex')}`, senders };
  if (algorithm === 'hmac-sha256') {
    const secret = { ...shared, kty: 'oct', k: randomBytes(SECRET_BYTES).toString('base64url') };
    return { signing: secret, trusted: secret };
  }
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    signing: { ...shared, ...privateKey.export({ format: 'jwk' }) },
    trusted: { ...shared, ...publicKey.export({ format: 'jwk' }) },
  };
}

/** The keys by which the processes of a secured system sign their messages over Kafka, one for each sender. */
export class LocalSigningKeys {
  constructor(
    private readonly files: SecretFiles,
    private readonly algorithm = signatureAlgorithm(),
  ) {}

  /** Makes what does not exist yet. */
  ensure(senders: readonly Sender[]): void {
    this.files.ensure(TRUSTED, () => JSON.stringify({ keys: [] }));
    for (const sender of senders) if (!this.files.has(fileOf(sender))) this.signWith(sender, this.trustNewKey(sender));
  }

  /** For `CONCORDAT_TRUSTED_KEYS_FILE` of everybody. */
  get trustedKeysFile(): string {
    return this.files.path(TRUSTED);
  }

  /** For `CONCORDAT_SIGNING_KEY_FILE` of one sender. */
  signingKeyFile(sender: Sender): string {
    return this.files.path(fileOf(sender));
  }

  /** The key that signs now, with its secret part. */
  signingKey(sender: Sender): MessageKey {
    return JSON.parse(this.files.text(fileOf(sender))) as MessageKey;
  }

  /** Rotation, first step: everybody trusts a new key of the sender beside the old one. Returns the secret part. */
  trustNewKey(sender: Sender): MessageKey {
    const { signing, trusted } = createSigningKey([sender], this.algorithm);
    this.writeTrusted([...this.trusted(), trusted]);
    return signing;
  }

  /** Second step, when everybody has read the first (within a second, at the next message). */
  signWith(sender: Sender, key: MessageKey): void {
    this.files.write(fileOf(sender), JSON.stringify(key));
  }

  /** Third step, when the messages that the old keys have signed are read: only the key that signs now is trusted. */
  dropOldKeys(sender: Sender): void {
    const { kid } = this.signingKey(sender);
    this.writeTrusted(this.trusted().filter((key) => key.kid === kid || !key.senders.includes(sender)));
  }

  private trusted(): MessageKey[] {
    return (JSON.parse(this.files.text(TRUSTED)) as { readonly keys: MessageKey[] }).keys;
  }

  private writeTrusted(keys: readonly MessageKey[]): void {
    this.files.write(TRUSTED, `${JSON.stringify({ keys }, null, 2)}\n`);
  }
}

const fileOf = (sender: Sender): string => `signing/${sender.replace(':', '-')}.json`;
