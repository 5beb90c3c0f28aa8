import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { isKeyId, isSenderPattern, SENDER_RULE, type KeyAlgorithm } from './key-set.js';

export { isSenderPattern, SENDER_RULE };

const SECRET_BYTES = 32;

export interface KeyRequest {
  readonly id: string;
  readonly algorithm: KeyAlgorithm;
  /** who may speak with it */
  readonly senders: readonly string[];
  /** its last day, YYYY-MM-DD in UTC */
  readonly until?: string;
}

export interface CreatedKey {
  /** for the signing key file of its owner; a secret */
  readonly signing: string;
  /** for the trusted keys file of everybody; with HMAC the same secret */
  readonly trusted: string;
}

/** Why a key cannot be made, as a sentence; undefined when it can. */
export function faultOfKeyRequest({ id, senders, until }: KeyRequest): string | undefined {
  if (!isKeyId(id)) return `the id is "${id}"; it must have 1 to 100 letters, digits, ".", "_" and "-"`;
  const wrong = senders.find((sender) => !isSenderPattern(sender));
  if (wrong !== undefined) return `the sender is "${wrong}"; it must be ${SENDER_RULE}`;
  if (senders.length === 0) return `a key needs a sender: ${SENDER_RULE}`;
  if (until === undefined) return undefined;
  const day = /^\d{4}-\d{2}-\d{2}$/.test(until) ? Date.parse(until) : NaN;
  const isDay = Number.isFinite(day) && new Date(day).toISOString().startsWith(until);
  return isDay ? undefined : `until is "${until}"; it must be a day: 2027-01-31`;
}

/** A new key as JSON Web Keys. The request must be without fault. */
export function createKey({ id, algorithm, senders, until }: KeyRequest): CreatedKey {
  const shared = { kid: id, senders, ...(until !== undefined && { until }) };
  if (algorithm === 'hmac-sha256') {
    const secret = JSON.stringify({ ...shared, kty: 'oct', k: randomBytes(SECRET_BYTES).toString('base64url') });
    return { signing: secret, trusted: secret };
  }
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    signing: JSON.stringify({ ...shared, ...privateKey.export({ format: 'jwk' }) }),
    trusted: JSON.stringify({ ...shared, ...publicKey.export({ format: 'jwk' }) }),
  };
}
