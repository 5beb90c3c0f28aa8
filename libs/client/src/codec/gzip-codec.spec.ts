import { gzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { randomInteger, SeededRandom } from '@concordat/foundation';
import { ClientOptionError, InvalidRequestError } from '../errors/errors.js';
import { aesCodec } from './aes-codec.js';
import { gzipCodec } from './gzip-codec.js';
import type { PayloadCodec, PayloadContext } from './payload-codec.js';
import { PayloadCodecError, PayloadCodecs } from './payload-codecs.js';

const MEBIBYTE = 1_048_576;
const context: PayloadContext = { participant: 'bank-a', operation: 'debit', kind: 'payload' };
const key = new Uint8Array(32).fill(7);
const alone = gzipCodec({ id: 'gzip' });
const encrypted = gzipCodec({ id: 'gzip-2027', encryption: aesCodec({ id: '2027', key }) });
const BOTH = [
  ['alone', alone],
  ['and encryption', encrypted],
] as const;
const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const words = { note: 'the same words again and again. '.repeat(300) };
/** What gzipCodec would make of it. */
const marked = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat([Buffer.of(1), ...parts]));

/** Undefined: it is refused. */
async function decodedBy(codec: PayloadCodec, bytes: Uint8Array): Promise<Uint8Array | undefined> {
  try {
    return await codec.decode(bytes, context);
  } catch {
    return undefined;
  }
}

describe.each(BOTH)('compression %s', (_what, codec) => {
  it('gives back what it was given, short or long', async () => {
    const random = new SeededRandom(1);
    const noise = Array.from({ length: 5_000 }, () => randomInteger(random, 0, 1_000_000_000));
    for (const value of [null, 7, '', 'text', {}, 'ß€𝄞'.repeat(100), words, noise, 'x'.repeat(MEBIBYTE - 2)]) {
      const encoded = await codec.encode(bytesOf(value), context);
      expect(Buffer.from(await codec.decode(encoded, context)).toString()).toBe(JSON.stringify(value));
    }
  });

  it('makes long payloads short, and short ones hardly longer', async () => {
    const encryption = codec === encrypted ? 28 : 0;
    expect((await codec.encode(bytesOf(words), context)).length).toBeLessThan(bytesOf(words).length / 40);
    const short = bytesOf({ account: 'a', amount: 3 });
    expect((await codec.encode(short, context)).length).toBe(short.length + 1 + encryption);
    const random = new SeededRandom(2);
    const noise = Uint8Array.from({ length: 4_096 }, () => randomInteger(random, 0, 255));
    expect((await codec.encode(noise, context)).length).toBe(noise.length + 1 + encryption);
  });

  it('makes the same of the same, so that a request may be repeated under its key', async () => {
    const [first, second] = [await codec.encode(bytesOf(words), context), await codec.encode(bytesOf(words), context)];
    expect(Buffer.from(second).equals(Buffer.from(first))).toBe(true);
  });

  it('refuses what was cut off, wherever', async () => {
    const encoded = await codec.encode(bytesOf(words), context);
    expect(encoded.length).toBeLessThan(400);
    for (let length = 0; length < encoded.length; length++) {
      await expect(codec.decode(encoded.subarray(0, length), context)).rejects.toThrow();
    }
  });

  it('refuses what was changed, or gives back the same: 1,000 times', async () => {
    const plain = JSON.stringify(words);
    const encoded = await codec.encode(bytesOf(words), context);
    const random = new SeededRandom(3);
    let refused = 0;
    for (let tries = 0; tries < 1_000; tries++) {
      const changed = Uint8Array.from(encoded);
      const place = randomInteger(random, 0, changed.length - 1);
      changed[place]! ^= randomInteger(random, 1, 255);
      const decoded = await decodedBy(codec, changed);
      if (decoded === undefined) refused++;
      // of the header of gzip, a time and a system that mean nothing are not in the checksum
      else expect([codec === alone, Buffer.from(decoded).toString()]).toEqual([true, plain]);
    }
    expect(refused).toBeGreaterThan(900);
  });

  it('refuses to encode what the other end would not decode', async () => {
    const tooLong = codec.encode(new Uint8Array(MEBIBYTE + 1), context);
    await expect(tooLong).rejects.toMatchObject({
      code: 'INVALID_VALUE',
      message: 'a payload of 1048577 bytes is larger than the 1048576 of gzipCodec',
    });
    await expect(tooLong).rejects.toBeInstanceOf(InvalidRequestError);
  });
});

describe('compression', () => {
  it('refuses a bomb as soon as it is too large, not when all of it is there', async () => {
    const Real = globalThis.DecompressionStream;
    let decompressed = 0;
    const counted = function (format: 'gzip') {
      const { readable, writable } = new Real(format);
      const counter = new TransformStream<Uint8Array, Uint8Array>({
        transform(piece, controller) {
          decompressed += piece.length;
          controller.enqueue(piece);
        },
      });
      return { writable, readable: readable.pipeThrough(counter) };
    };
    globalThis.DecompressionStream = counted as unknown as typeof Real;
    try {
      const one = gzipSync(Buffer.alloc(64 * MEBIBYTE));
      const bombs = [marked(one), marked(one, one, one, one)];
      for (const codec of [alone, gzipCodec({ id: 'small', maximumBytes: 1_000 })]) {
        for (const bomb of bombs) await expect(codec.decode(bomb, context)).rejects.toThrow('larger than maximumBytes');
      }
      expect(decompressed).toBeGreaterThan(MEBIBYTE);
      expect(decompressed).toBeLessThan(4 * MEBIBYTE);
    } finally {
      globalThis.DecompressionStream = Real;
    }
  });

  it('takes exactly as much as it may', async () => {
    const codec = gzipCodec({ id: 'a', maximumBytes: 1_000 });
    const encoded = await codec.encode(new Uint8Array(1_000), context);
    expect((await codec.decode(encoded, context)).length).toBe(1_000);
    const one = marked(gzipSync(Buffer.alloc(1_001)));
    await expect(codec.decode(one, context)).rejects.toThrow('larger than maximumBytes');
    await expect(codec.decode(new Uint8Array(1_002), context)).rejects.toThrow('larger than maximumBytes'); // stored
  });

  it('refuses what something else has made', async () => {
    const plain = await aesCodec({ id: '2027', key }).encode(bytesOf(words), context);
    const others = [plain, bytesOf(words), gzipSync('{}'), marked(bytesOf(words)), marked(gzipSync('{}'), bytesOf(1))];
    for (const bytes of others) await expect(alone.decode(Uint8Array.from(bytes), context)).rejects.toThrow();
    const inner = await alone.encode(bytesOf(words), context);
    await expect(encrypted.decode(inner, context)).rejects.toThrow();
    const otherKey = gzipCodec({
      id: 'gzip-2027',
      encryption: aesCodec({ id: '2027', key: key.map((byte) => ~byte) }),
    });
    await expect(otherKey.decode(await encrypted.encode(bytesOf(words), context), context)).rejects.toThrow();
  });

  it('is done before the encryption, which keeps what it promises', async () => {
    const encoded = await encrypted.encode(bytesOf({ secret: 'tweet'.repeat(50) }), context);
    expect(Buffer.from(encoded).toString('latin1')).not.toContain('tweet');
    for (const other of [{ operation: 'credit' }, { participant: 'bank-b' }, { kind: 'result' as const }]) {
      await expect(encrypted.decode(encoded, { ...context, ...other })).rejects.toThrow();
    }
  });

  it('can be given to processes beside the codec that was there before', async () => {
    const before = aesCodec({ id: '2027', key });
    const [old, both] = [new PayloadCodecs([before]), new PayloadCodecs([encrypted, before])];
    const fromOld = (await old.encode(words, context)) as { $codec: string; data: string };
    expect(await both.decode(fromOld, context)).toEqual(words);
    const fromBoth = (await both.encode(words, context)) as { $codec: string; data: string };
    expect(fromBoth.$codec).toBe('gzip-2027');
    await expect(old.decode(fromBoth, context)).rejects.toMatchObject({ code: 'UNKNOWN_CODEC' });
    const bomb = Buffer.from(marked(gzipSync(Buffer.alloc(2 * MEBIBYTE)))).toString('base64');
    const refused = new PayloadCodecs([alone]).decode({ $codec: 'gzip', data: bomb }, context);
    await expect(refused).rejects.toBeInstanceOf(PayloadCodecError);
    await expect(refused).rejects.toMatchObject({ code: 'PAYLOAD_NOT_DECODABLE' });
  });

  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])('refuses %d as its maximum', (maximumBytes) => {
    expect(() => gzipCodec({ id: 'a', maximumBytes })).toThrow(ClientOptionError);
  });
});
