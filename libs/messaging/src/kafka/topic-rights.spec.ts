import { createRequire } from 'node:module';
import { describe, expect, it } from '@jest/globals';
import { readRights, type Decoder } from './topic-rights.js';

const NewDecoder = createRequire(import.meta.url)('kafkajs/src/protocol/decoder.js') as new (bytes: Buffer) => Decoder;

const int16 = (value: number): Buffer => Buffer.from([(value >> 8) & 0xff, value & 0xff]);
const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};
const text = (value: string): Buffer => Buffer.concat([int16(value.length), Buffer.from(value)]);
const list = (...items: readonly Buffer[]): Buffer => Buffer.concat([int32(items.length), ...items]);

/** A topic with two partitions, as the Metadata response of version 8 has it. */
function topic(name: string, bits: number): Buffer {
  const partition = (id: number): Buffer =>
    Buffer.concat([int16(0), int32(id), int32(1), int32(7), list(int32(1), int32(2)), list(int32(1)), list()]);
  return Buffer.concat([int16(0), text(name), Buffer.of(0), list(partition(0), partition(1)), int32(bits)]);
}

describe('the rights in a Metadata response', () => {
  it('are those of each topic, and unknown where the broker does not tell', () => {
    const broker = Buffer.concat([int32(1), text('host'), int32(9092), int16(-1)]);
    const topics = [topic('both', 0b1_1111_1000), topic('reads', 0b1_0000_1000), topic('untold', -0x80000000)];
    const bytes = Buffer.concat([
      int32(0),
      list(broker),
      text('cluster'),
      int32(1),
      list(...topics),
      int32(-0x80000000),
    ]);
    expect(readRights(new NewDecoder(bytes))).toEqual(
      new Map([
        ['both', new Set(['Read', 'Write'])],
        ['reads', new Set(['Read'])],
        ['untold', undefined],
      ]),
    );
  });
});
