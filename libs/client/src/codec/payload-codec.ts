/** What a payload or a result belongs to; a codec may bind what it makes to it. */
export interface PayloadContext {
  readonly participant: string;
  readonly operation: string;
  readonly kind: 'payload' | 'result';
}

/**
 * Changes payloads of operations and their results before they leave the process, and changes them back: encrypts or
 * compresses them. Coordinators, their answers, Kafka and dead letters have only what `encode` returned; who wants to read
 * it uses a client with the codecs. The same codecs are given to the client and to the participant.
 *
 * `encode` should return the same for the same payload and context: a request that is repeated under its idempotency key
 * must have the same body.
 */
export interface PayloadCodec {
  /** names the codec and its key in what it has encoded: 1 to 64 letters, digits, `.`, `_` and `-` */
  readonly id: string;
  /** @param plain JSON in UTF-8 */
  encode(plain: Uint8Array, context: PayloadContext): Uint8Array | Promise<Uint8Array>;
  /** Throws when the bytes were not made by `encode` with this context. */
  decode(encoded: Uint8Array, context: PayloadContext): Uint8Array | Promise<Uint8Array>;
}

/** What a codec has made of a payload, as JSON. */
export interface EncodedPayload {
  /** the id of the codec */
  readonly $codec: string;
  /** base64 */
  readonly data: string;
}

/** Whether a payload or a result is what a codec has made. */
export function isEncodedPayload(value: unknown): value is EncodedPayload {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const { $codec, data } = value as Partial<EncodedPayload>;
  return typeof $codec === 'string' && typeof data === 'string' && Object.keys(value).length === 2;
}
