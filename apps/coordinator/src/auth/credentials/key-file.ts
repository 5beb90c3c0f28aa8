import { createPublicKey } from 'node:crypto';

/** A public key as RFC 7517 writes it. */
export interface PublicKey {
  readonly kty: string;
  readonly [member: string]: unknown;
}

/** The keys by which tokens are verified. */
export interface KeySet {
  readonly keys: readonly PublicKey[];
  /** whether the tokens name their keys (`kid`); a key in PEM has no name */
  readonly isNamed: boolean;
}

export type KeyFile =
  | { readonly ok: true; readonly set: KeySet }
  /** `expected` ends the sentence "it must be …" */
  | { readonly ok: false; readonly expected: string };

const KEY_TYPES = ['RSA', 'EC', 'OKP'];
const FORMS = 'a file with one public key or certificate in PEM, or a JSON Web Key Set';

/** A public key in PEM, or a set of keys in JSON. Private and symmetric keys are refused. */
export function parseKeyFile(text: string): KeyFile {
  if (text.includes('PRIVATE KEY-----')) return refuse('it holds a private key; coordinators need the public one only');
  return text.trimStart().startsWith('{') ? parseSet(text) : parsePem(text);
}

function parsePem(text: string): KeyFile {
  if (text.split('-----BEGIN ').length !== 2) return refuse('it has none, or several keys in PEM');
  try {
    const key = createPublicKey(text).export({ format: 'jwk' });
    if (!KEY_TYPES.includes(String(key.kty))) return refuse(`keys of the type ${key.kty} sign nothing here`);
    return { ok: true, set: { keys: [{ ...key, kty: String(key.kty) }], isNamed: false } };
  } catch {
    return refuse('it cannot be read as one');
  }
}

function parseSet(text: string): KeyFile {
  let keys: unknown;
  try {
    ({ keys } = JSON.parse(text) as { keys?: unknown });
  } catch {
    return refuse('it is not valid JSON');
  }
  if (!Array.isArray(keys) || keys.length === 0) return refuse('it has no member "keys", or no key in it');
  for (const key of keys as readonly unknown[]) {
    const { kty, d, k } = (typeof key === 'object' && key !== null ? key : {}) as Partial<Record<string, unknown>>;
    if (d !== undefined || k !== undefined || kty === 'oct') return refuse('one of its keys is private or symmetric');
    if (!KEY_TYPES.includes(String(kty))) return refuse(`one of its keys has the type ${JSON.stringify(kty)}`);
  }
  return { ok: true, set: { keys: keys as PublicKey[], isNamed: true } };
}

function refuse(why: string): KeyFile {
  return { ok: false, expected: `${FORMS}: ${why}` };
}
