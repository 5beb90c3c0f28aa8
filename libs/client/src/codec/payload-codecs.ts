import { ClientOptionError, ConcordatError } from '../errors/errors.js';
import type { JsonValue } from '../model/json.js';
import { isEncodedPayload, type EncodedPayload, type PayloadCodec, type PayloadContext } from './payload-codec.js';

const CODEC_ID = /^[A-Za-z0-9._-]{1,64}$/;

/**
 * A payload or a result cannot be decoded: `UNKNOWN_CODEC` where no codec has its id, `PAYLOAD_NOT_DECODABLE` where the
 * codec refuses it (another key, another operation, changed bytes).
 */
export class PayloadCodecError extends ConcordatError {}

/** The codecs of a process: the first one encodes, and all of them decode, so that keys can be rotated. */
export class PayloadCodecs {
  private readonly byId: ReadonlyMap<string, PayloadCodec>;

  /** @throws ClientOptionError when an id is not valid, or two codecs have the same */
  constructor(private readonly codecs: readonly PayloadCodec[]) {
    this.byId = new Map(codecs.map((codec) => [codec.id, codec]));
    const wrong = codecs.find(({ id }) => !CODEC_ID.test(id));
    if (wrong) throw new ClientOptionError(`the id of a codec must fit ${CODEC_ID.source} (found: "${wrong.id}")`);
    if (this.byId.size < codecs.length) throw new ClientOptionError('two codecs have the same id');
  }

  /** Whether nothing is encoded or decoded. */
  get isEmpty(): boolean {
    return this.codecs.length === 0;
  }

  /** What is sent instead of a value: the value itself where there is no codec. The value must be JSON. */
  async encode(value: unknown, context: PayloadContext): Promise<unknown> {
    const [codec] = this.codecs;
    if (!codec) return value;
    const plain = new TextEncoder().encode(JSON.stringify(value === undefined ? null : value));
    const encoded: EncodedPayload = { $codec: codec.id, data: toBase64(await codec.encode(plain, context)) };
    return encoded;
  }

  /**
   * What was given to `encode`. A value that no codec has made is returned as it is.
   *
   * @throws PayloadCodecError
   */
  async decode(value: JsonValue | undefined, context: PayloadContext): Promise<JsonValue | undefined> {
    if (this.isEmpty || !isEncodedPayload(value)) return value;
    const codec = this.byId.get(value.$codec);
    const what = `the ${context.kind} of "${context.operation}" of "${context.participant}"`;
    if (!codec) {
      const named = CODEC_ID.test(value.$codec) ? `"${value.$codec}"` : 'a codec with an id that none can have';
      const sentence = `${what} was encoded by ${named}, which is not among payloadCodecs here`;
      throw new PayloadCodecError('UNKNOWN_CODEC', sentence, { mayHaveTakenEffect: context.kind === 'result' });
    }
    try {
      const plain = await codec.decode(fromBase64(value.data), context);
      return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(plain)) as JsonValue;
    } catch {
      // not the cause: it may have a part of the payload in it
      const sentence = `${what} cannot be decoded by "${codec.id}": another key, another operation, or changed bytes`;
      throw new PayloadCodecError('PAYLOAD_NOT_DECODABLE', sentence, { mayHaveTakenEffect: context.kind === 'result' });
    }
  }
}

/** Bytes for one call of `String.fromCharCode`, whose arguments are on the stack. */
const CHUNK_BYTES = 8_192;

function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    text += String.fromCharCode(...bytes.subarray(start, start + CHUNK_BYTES));
  }
  return btoa(text);
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
