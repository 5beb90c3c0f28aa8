import type { RecordHeader } from '../contract/authenticity.js';
import { MAXIMUM_LEAVES, type Proof } from './hash-tree.js';

/** The header of a record that says who has written it, and shows it. */
export const SIGNATURE_HEADER = 'concordat-signature';
/** A header has at most so many bytes. */
export const MAXIMUM_HEADER_BYTES = 640;

const ID = '[A-Za-z0-9][A-Za-z0-9._-]{0,99}';
const SENDER = 'coordinator|participant:[a-z0-9][a-z0-9-]{0,62}';
const BASE64URL = '[A-Za-z0-9_-]';
/** Version 1: key id, sender, time of signing, signature of this record. */
const ALONE = new RegExp(`^1;(${ID});(${SENDER});(\\d{1,15});(${BASE64URL}{43}|${BASE64URL}{86})$`);
/** Version 2: the same, but number of records, signature of the root, place of this record and hashes to the root. */
const IN_BATCH = new RegExp(
  `^2;(${ID});(${SENDER});(\\d{1,15});([1-9]\\d?);(${BASE64URL}{86});(0|[1-9]\\d?);(${BASE64URL}{43,256})$`,
);

/** Who signs, with which key, and when, as texts of the header. */
export interface SignatureOrigin {
  readonly id: string;
  readonly sender: string;
  /** in milliseconds since 1970 */
  readonly signedAt: string;
}

/** Records that are signed together. */
export interface BatchSignature extends SignatureOrigin {
  readonly count: number;
  readonly signature: Buffer;
}

export interface SignatureHeader extends SignatureOrigin {
  /** of the record, or of the root of its batch */
  readonly signature: Buffer;
  /** undefined: the record is signed alone */
  readonly batch:
    { readonly count: number; readonly proof: Proof; /** the same for all of it */ readonly name: string } | undefined;
}

export function headerOfRecord({ id, sender, signedAt }: SignatureOrigin, signature: Buffer): string {
  return `1;${id};${sender};${signedAt};${signature.toString('base64url')}`;
}

export function headerInBatch(batch: BatchSignature, { index, path }: Proof): string {
  const { id, sender, signedAt, count, signature } = batch;
  const signed = `2;${id};${sender};${signedAt};${count};${signature.toString('base64url')}`;
  return `${signed};${index};${path.toString('base64url')}`;
}

/** Undefined without a header; null for one of another form. There is one text for each content. */
export function parseSignatureHeader(header: RecordHeader): SignatureHeader | null | undefined {
  if (header === undefined) return undefined;
  if (typeof header !== 'string' && !Buffer.isBuffer(header)) return null; // several of one name
  if (header.length > MAXIMUM_HEADER_BYTES) return null;
  const text = header.toString('latin1');
  const [, id, sender, signedAt, ...rest] = ALONE.exec(text) ?? IN_BATCH.exec(text) ?? [];
  if (id === undefined || sender === undefined || signedAt === undefined) return null;
  const origin = { id, sender, signedAt };
  if (rest.length === 1) {
    const signature = bytesOf(rest[0]!);
    return signature ? { ...origin, signature, batch: undefined } : null;
  }
  const [count, index] = [Number(rest[0]), Number(rest[2])];
  const [signature, path] = [bytesOf(rest[1]!), bytesOf(rest[3]!)];
  if (!signature || !path || count > MAXIMUM_LEAVES || index >= count) return null;
  const name = text.slice(0, text.length - rest[2]!.length - rest[3]!.length - 2);
  return { ...origin, signature, batch: { count, proof: { index, path }, name } };
}

/** Undefined when the unused bits of the last character are set: that would be a second text for the same bytes. */
function bytesOf(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : undefined;
}
