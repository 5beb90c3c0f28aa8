import { createPrivateKey, createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { readPrivateFile } from '@concordat/foundation';
import type { MessageSender } from '../contract/authenticity.js';
import { isParticipantName } from '../contract/topics.js';

/** Letters, digits, `.`, `_` and `-`: it stands in a header, and in no path. */
const KEY_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;
const EVERY_PARTICIPANT = 'participant:*';
const MAXIMUM_KEYS = 4_096;
const LEAST_SECRET_BYTES = 32;
const INSTANT = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?Z)?$/;

export type KeyAlgorithm = 'ed25519' | 'hmac-sha256';

/** A key of a file (JSON Web Key), with what Concordat adds to it: `senders` and `until`. */
export interface MessageKey {
  readonly id: string;
  readonly algorithm: KeyAlgorithm;
  /** checks signatures; for HMAC it makes them, too */
  readonly verifier: KeyObject;
  /** makes signatures; undefined: a public key */
  readonly signer: KeyObject | undefined;
  /** who may speak with it: `coordinator`, `participant:<name>` or `participant:*` */
  readonly senders: readonly string[];
  /** in milliseconds since 1970; undefined: it has no end */
  readonly endsAt: number | undefined;
}

export type KeySet =
  | { readonly ok: true; readonly keys: readonly MessageKey[] }
  /** `expected` ends the sentence "it must be …"; no key material is in it */
  | { readonly ok: false; readonly expected: string };

const FORM =
  'a JSON Web Key, or a set of them ({"keys":[…]}), each with kid, senders, and Ed25519 (kty OKP) or a secret (kty oct) as "concordat key create" makes them';

/** Whether a text can say who may speak with a key. */
export function isSenderPattern(text: string): boolean {
  if (text === 'coordinator' || text === EVERY_PARTICIPANT) return true;
  return text.startsWith('participant:') && isParticipantName(text.slice('participant:'.length));
}

/** The rule in words, for error texts. */
export const SENDER_RULE = '"coordinator", "participant:<name>" or "participant:*"';

export function isKeyId(text: string): boolean {
  return KEY_ID.test(text);
}

/** Whether a key may be used to speak for somebody. */
export function speaksFor({ senders }: MessageKey, sender: MessageSender): boolean {
  return senders.includes(sender) || (sender !== 'coordinator' && senders.includes(EVERY_PARTICIPANT));
}

/** @param path of the text: a file with a secret in it must be readable by its owner only */
export function parseKeySet(text: string, path: string): KeySet {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return { ok: false, expected: `${FORM}: it is no JSON` };
  }
  const listed = isRecord(parsed) && Array.isArray(parsed['keys']) ? (parsed['keys'] as unknown[]) : [parsed];
  if (listed.length === 0) return { ok: false, expected: `${FORM}: it has no key` };
  if (listed.length > MAXIMUM_KEYS) return { ok: false, expected: `a set of at most ${MAXIMUM_KEYS} keys` };
  const keys: MessageKey[] = [];
  for (const [place, fields] of listed.entries()) {
    const key = parseKey(fields);
    if (typeof key === 'string') return { ok: false, expected: `${FORM}: the key ${place + 1} ${key}` };
    if (keys.some(({ id }) => id === key.id))
      return { ok: false, expected: `${FORM}: two keys have the kid "${key.id}"` };
    keys.push(key);
  }
  const file = keys.some(({ signer }) => signer !== undefined) ? readPrivateFile(path, 'secret') : undefined;
  return file?.ok === false ? file : { ok: true, keys };
}

/** Or what is wrong with it, without its material. */
function parseKey(fields: unknown): MessageKey | string {
  if (!isRecord(fields)) return 'is no object';
  const { kid: id, senders, until } = fields;
  if (typeof id !== 'string' || !KEY_ID.test(id)) return 'needs a kid of 1 to 100 letters, digits, ".", "_" and "-"';
  const named = `"${id}"`;
  const endsAt = until === undefined ? undefined : parseInstant(until);
  if (endsAt === null)
    return `${named} has another until than a day (2027-01-31, its end in UTC) or 2027-01-31T12:00:00Z`;
  if (!Array.isArray(senders) || senders.length === 0) return `${named} needs senders, a list of ${SENDER_RULE}`;
  for (const sender of senders as unknown[]) {
    if (typeof sender !== 'string' || !isSenderPattern(sender))
      return `${named} has a sender that is none of ${SENDER_RULE}`;
  }
  const material = materialOf(fields);
  if (typeof material === 'string') return `${named} ${material}`;
  return { id, senders: senders as string[], endsAt, ...material };
}

function materialOf(fields: Record<string, unknown>): Pick<MessageKey, 'algorithm' | 'signer' | 'verifier'> | string {
  const { kty, crv, k, d } = fields;
  if (kty === 'oct') {
    const secret = typeof k === 'string' ? Buffer.from(k, 'base64url') : Buffer.alloc(0);
    if (secret.length < LEAST_SECRET_BYTES)
      return `needs a secret (k) of at least ${LEAST_SECRET_BYTES} bytes in base64url`;
    const key = createSecretKey(secret);
    return { algorithm: 'hmac-sha256', signer: key, verifier: key };
  }
  if (kty !== 'OKP' || crv !== 'Ed25519') return 'is neither Ed25519 (kty OKP, crv Ed25519) nor a secret (kty oct)';
  try {
    const jwk: { key: JsonWebKey; format: 'jwk' } = { key: fields, format: 'jwk' };
    if (d === undefined) return { algorithm: 'ed25519', signer: undefined, verifier: createPublicKey(jwk) };
    const signer = createPrivateKey(jwk);
    return { algorithm: 'ed25519', signer, verifier: createPublicKey(signer) };
  } catch {
    return 'has material that is no Ed25519 key';
  }
}

/** A day ends with its last millisecond; null for other texts. */
function parseInstant(value: unknown): number | null {
  if (typeof value !== 'string' || !INSTANT.test(value)) return null;
  const isDay = value.length === '2027-01-31'.length;
  const instant = Date.parse(value);
  if (!Number.isFinite(instant) || !new Date(instant).toISOString().startsWith(value.slice(0, 10))) return null;
  return isDay ? instant + 86_400_000 : instant;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
