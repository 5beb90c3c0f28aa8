import { createPrivateKey, sign } from 'node:crypto';
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
export function signatureOf(parts: SignedParts, { kid, ...jwk }: MessageKey): string {
  const { cluster, topic, sender, signedAt, key, value } = parts;
  const text = key?.toString('latin1') ?? '';
  const head = [
    'concordat-message-1',
    cluster,
    topic,
    kid,
    sender,
    signedAt,
    key === null ? -1 : text.length,
    text,
    '',
  ];
  const content = Buffer.concat([Buffer.from(head.join('\0')), value ?? Buffer.alloc(0)]);
  const signature = sign(null, content, createPrivateKey({ key: jwk, format: 'jwk' })).toString('base64url');
  return `1;${kid};${sender};${signedAt};${signature}`;
}
