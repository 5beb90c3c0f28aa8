import { ClientOptionError } from '../errors/errors.js';
import type { PayloadCodec, PayloadContext } from './payload-codec.js';

export interface AesCodecOptions {
  /** names the key: another id for each key */
  readonly id: string;
  /** 32 random bytes, the same at clients and participants */
  readonly key: Uint8Array;
}

const KEY_BYTES = 32;
const NONCE_BYTES = 12;

/**
 * Encrypts payloads by AES-256-GCM, bound to participant, operation and kind: what was made for one operation cannot be
 * decoded for another. The nonce is derived from payload and context (a synthetic one), so a repeated request has the
 * same body; therefore equal payloads of one operation look equal, and their length can be seen.
 *
 * To rotate the key: give everybody the codec with the new key behind the old one, then in front of it, then alone.
 *
 * @throws ClientOptionError when the key has not 32 bytes
 */
export function aesCodec({ id, key }: AesCodecOptions): PayloadCodec {
  if (!(key instanceof Uint8Array) || key.length !== KEY_BYTES) {
    throw new ClientOptionError(
      `the key of aesCodec must have ${KEY_BYTES} bytes, such as crypto.getRandomValues makes`,
    );
  }
  const keys = deriveKeys(Uint8Array.from(key));
  keys.catch(() => undefined); // reported by the first use
  return {
    id,
    async encode(plain, context) {
      const { encryption, nonces } = await keys;
      const bound = additionalData(id, context);
      const digest = await crypto.subtle.sign('HMAC', nonces, concatenated(bound, Uint8Array.from(plain)));
      const nonce = new Uint8Array(digest.slice(0, NONCE_BYTES));
      const algorithm = { name: 'AES-GCM', iv: nonce, additionalData: bound };
      const sealed = await crypto.subtle.encrypt(algorithm, encryption, Uint8Array.from(plain));
      return concatenated(nonce, new Uint8Array(sealed));
    },
    async decode(encoded, context) {
      const { encryption } = await keys;
      const iv = Uint8Array.from(encoded.subarray(0, NONCE_BYTES));
      const algorithm = { name: 'AES-GCM', iv, additionalData: additionalData(id, context) };
      const sealed = Uint8Array.from(encoded.subarray(NONCE_BYTES));
      return new Uint8Array(await crypto.subtle.decrypt(algorithm, encryption, sealed));
    },
  };
}

/** The platform's `CryptoKey`, whose type has another name in Node.js. */
type Key = Awaited<ReturnType<typeof crypto.subtle.deriveKey>>;

interface Keys {
  readonly encryption: Key;
  readonly nonces: Key;
}

/** One key for each purpose (HKDF, RFC 5869). */
async function deriveKeys(secret: Uint8Array<ArrayBuffer>): Promise<Keys> {
  const base = await crypto.subtle.importKey('raw', secret, 'HKDF', false, ['deriveKey']);
  const from = (
    purpose: string,
  ): { name: string; hash: string; salt: Uint8Array<ArrayBuffer>; info: Uint8Array<ArrayBuffer> } => {
    const info = new TextEncoder().encode(`concordat payload ${purpose}`);
    return { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(32), info };
  };
  const aes = { name: 'AES-GCM', length: 256 };
  const hmac = { name: 'HMAC', hash: 'SHA-256', length: 256 };
  const [encryption, nonces] = await Promise.all([
    crypto.subtle.deriveKey(from('encryption'), base, aes, false, ['encrypt', 'decrypt']),
    crypto.subtle.deriveKey(from('nonces'), base, hmac, false, ['sign']),
  ]);
  return { encryption, nonces };
}

/** No two contexts have the same. */
function additionalData(id: string, { participant, operation, kind }: PayloadContext): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify([id, participant, operation, kind]));
}

function concatenated(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
