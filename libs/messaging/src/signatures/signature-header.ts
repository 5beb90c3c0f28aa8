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

export interface SignatureHeader extends SignatureOrigin {
  /** of the record, or of the root of its batch, in base64url */
  readonly signature: string;
  /** undefined: the record is signed alone */
  readonly batch: RecordInBatch | undefined;
}

export interface RecordInBatch {
  readonly count: number;
  readonly proof: Proof;
  /** of the batch, with its signature: the same for all of its records */
  readonly name: string;
}

export function headerOfRecord({ id, sender, signedAt }: SignatureOrigin, signature: Buffer): string {
  return `1;${id};${sender};${signedAt};${signature.toString('base64url')}`;
}

/** What the headers of a batch begin with: its name. */
export function nameOfBatch({ id, sender, signedAt }: SignatureOrigin, count: number, signature: Buffer): string {
  return `2;${id};${sender};${signedAt};${count};${signature.toString('base64url')}`;
}

export function headerInBatch(name: string, { index, path }: Proof): string {
  return `${name};${index};${Buffer.from(path, 'latin1').toString('base64url')}`;
}

/** Undefined without a header; null for one of another form. There is one text for each content. */
export function parseSignatureHeader(header: RecordHeader): SignatureHeader | null | undefined {
  if (header === undefined) return undefined;
  if (typeof header !== 'string' && !Buffer.isBuffer(header)) return null; // several of one name
  if (header.length > MAXIMUM_HEADER_BYTES) return null;
  const text = header.toString('latin1');
  return text.startsWith('2') ? parseInBatch(text) : parseAlone(text);
}

function parseAlone(text: string): SignatureHeader | null {
  const [, id, sender, signedAt, signature] = ALONE.exec(text) ?? [];
  if (id === undefined || sender === undefined || signedAt === undefined || signature === undefined) return null;
  return { id, sender, signedAt, signature, batch: undefined };
}

function parseInBatch(text: string): SignatureHeader | null {
  const [, id, sender, signedAt, counted, signature, place, hashes] = IN_BATCH.exec(text) ?? [];
  if (id === undefined || sender === undefined || signedAt === undefined || signature === undefined) return null;
  if (place === undefined || hashes === undefined) return null;
  const [count, index, path] = [Number(counted), Number(place), bytesOf(hashes)];
  if (!path || count > MAXIMUM_LEAVES || index >= count) return null;
  const name = text.slice(0, text.length - place.length - hashes.length - 2);
  return { id, sender, signedAt, signature, batch: { count, proof: { index, path: path.toString('latin1') }, name } };
}

/** Undefined when the unused bits of the last character are set: that would be a second text for the same bytes. */
export function bytesOf(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : undefined;
}
