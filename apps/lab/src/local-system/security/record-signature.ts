import { createHash, createHmac, createPrivateKey, sign } from 'node:crypto';
import type { MessageKey } from './signing-keys.js';

export const SIGNATURE_HEADER = 'concordat-signature';

/** What a signature covers. */
export interface SignedParts {
  readonly cluster: string;
  readonly topic: string;
  /** who speaks: `coordinator` or `participant:<name>` */
  readonly sender: string;
  /** in milliseconds since 1970 */
  readonly signedAt: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

/**
 * The header of a record, as a process of the cluster would sign it with this key (docs/security.md). Independent of
 * the services' code, so that the lab can also sign what they would not.
 */
export function signatureOf(parts: SignedParts, key: MessageKey): string {
  const { sender, signedAt } = parts;
  return `1;${key.kid};${sender};${signedAt};${signedBy(key, contentOf('concordat-message-1', parts, key.kid))}`;
}

/** The headers of two records that leave together, of one sender and signed at the same time. A shared secret signs each. */
export function signaturesOfPair(pair: readonly [SignedParts, SignedParts], key: MessageKey): [string, string] {
  if (key['kty'] === 'oct') return [signatureOf(pair[0], key), signatureOf(pair[1], key)];
  const [left, right] = pair.map((parts) => sha256(contentOf('concordat-message-2', parts, key.kid))) as [
    Buffer,
    Buffer,
  ];
  const { cluster, sender, signedAt } = pair[0];
  const head = ['concordat-batch-2', cluster, key.kid, sender, signedAt, 2, ''];
  const root = sha256(Buffer.concat([Buffer.of(1), left, right]));
  const signed = `2;${key.kid};${sender};${signedAt};2;${signedBy(key, textAnd(head, root))}`;
  return [`${signed};0;${right.toString('base64url')}`, `${signed};1;${left.toString('base64url')}`];
}

function contentOf(kind: string, { cluster, topic, sender, signedAt, key, value }: SignedParts, kid: string): Buffer {
  const text = key?.toString('latin1') ?? '';
  const head = [kind, cluster, topic, kid, sender, signedAt, key === null ? -1 : text.length, text, ''];
  return textAnd(head, value ?? Buffer.alloc(0));
}

const textAnd = (parts: readonly (string | number)[], bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.from(parts.join('\0')), bytes]);

const sha256 = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest();

function signedBy(key: MessageKey, content: Buffer): string {
  const { kty, k } = key;
  if (kty === 'oct')
    return createHmac('sha256', Buffer.from(String(k), 'base64url'))
      .update(content)
      .digest('base64url');
  return sign(null, content, createPrivateKey({ key: { ...key }, format: 'jwk' })).toString('base64url');
}
