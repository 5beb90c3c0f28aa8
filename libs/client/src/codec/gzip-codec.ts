import { ClientOptionError, InvalidRequestError } from '../errors/errors.js';
import type { PayloadCodec } from './payload-codec.js';

export interface GzipCodecOptions {
  /** names the codec, and with `encryption` its key as well: another id for each key */
  readonly id: string;
  /** encrypts what was compressed, such as `aesCodec`; the other way round there is nothing to compress */
  readonly encryption?: PayloadCodec;
  /** of a payload or a result before it is compressed and after it is decompressed; default: 1 MiB */
  readonly maximumBytes?: number;
}

const MAXIMUM_BYTES = 1_048_576;
/** Not worth the time, and it would become longer. */
const SMALL_BYTES = 128;
/** The first byte says what the others are. */
const STORED = 0;
const COMPRESSED = 1;

/**
 * Compresses payloads by gzip, and then has them encrypted, if it is given a codec for that. Short payloads, and those
 * that do not become shorter, stay as they are. What would become larger than `maximumBytes` is refused while it is
 * decompressed, whatever its sender says about it.
 *
 * Compression alone protects nothing: its checksum finds accidents only. With encryption the length still tells how well
 * a payload could be compressed, so that who may choose a part of it can guess the rest.
 *
 * Another version of zlib, or another kind of processor, may compress the same payload to other bytes. A request that is
 * repeated there under its idempotency key is then refused as another one.
 *
 * @throws ClientOptionError when `maximumBytes` is no whole number above 0
 */
export function gzipCodec({ id, encryption, maximumBytes = MAXIMUM_BYTES }: GzipCodecOptions): PayloadCodec {
  if (!Number.isSafeInteger(maximumBytes) || maximumBytes < 1) {
    throw new ClientOptionError('maximumBytes of gzipCodec must be a whole number above 0');
  }
  return {
    id,
    async encode(plain, context) {
      if (plain.length > maximumBytes) {
        const sentence = `a ${context.kind} of ${plain.length} bytes is larger than the ${maximumBytes} of gzipCodec`;
        throw new InvalidRequestError('INVALID_VALUE', sentence);
      }
      const packed = await pack(plain);
      return encryption ? encryption.encode(packed, context) : packed;
    },
    async decode(encoded, context) {
      return unpack(encryption ? await encryption.decode(encoded, context) : encoded, maximumBytes);
    },
  };
}

async function pack(plain: Uint8Array): Promise<Uint8Array> {
  if (plain.length < SMALL_BYTES) return marked(STORED, [plain]);
  // in the worst case it becomes a little longer, and is not taken
  const pieces = await passedThrough(new CompressionStream('gzip'), plain, 2 * plain.length);
  const compressed = marked(COMPRESSED, pieces);
  return compressed.length > plain.length ? marked(STORED, [plain]) : compressed;
}

async function unpack(packed: Uint8Array, maximumBytes: number): Promise<Uint8Array> {
  const bytes = packed.subarray(1);
  switch (packed[0]) {
    case STORED:
      if (bytes.length > maximumBytes) throw new TooLargeError();
      return bytes;
    case COMPRESSED:
      return joined(await passedThrough(new DecompressionStream('gzip'), bytes, maximumBytes));
    default:
      throw new TypeError('it was not made by gzipCodec');
  }
}

class TooLargeError extends Error {
  constructor() {
    super('it is larger than maximumBytes');
  }
}

/** What comes out when the bytes go in. @throws TooLargeError as soon as there is more than the maximum */
async function passedThrough(
  { readable, writable }: CompressionStream | DecompressionStream,
  bytes: Uint8Array,
  maximumBytes: number,
): Promise<Uint8Array[]> {
  const writer = writable.getWriter();
  const written = writer.write(Uint8Array.from(bytes)).then(() => writer.close());
  written.catch(() => undefined); // whoever reads hears of it
  const reader = readable.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  const pieces: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > maximumBytes) {
      await reader.cancel().catch(() => undefined);
      throw new TooLargeError();
    }
    pieces.push(value);
  }
  await written;
  return pieces;
}

function marked(marker: number, pieces: readonly Uint8Array[]): Uint8Array {
  return joined([Uint8Array.of(marker), ...pieces]);
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
