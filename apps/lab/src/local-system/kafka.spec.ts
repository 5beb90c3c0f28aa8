import { describe, expect, it } from '@jest/globals';
import { newKafkaClusterId } from './kafka.js';

/** Draws these first bytes, one after the other, before fifteen zeros. */
function drawing(...firstBytes: number[]): (sizeBytes: number) => Buffer {
  return (sizeBytes) => Buffer.concat([Buffer.of(firstBytes.shift()!), Buffer.alloc(sizeBytes - 1)]);
}

describe('the id of a new Kafka cluster', () => {
  it('is 16 bytes in 22 characters, as Kafka wants it', () => {
    expect(newKafkaClusterId(drawing(0b000001_00))).toBe(`B${'A'.repeat(21)}`);
  });

  // the first of 64 characters is a hyphen when the first six bits are 62
  it('never begins with a hyphen, which a command line takes for an option', () => {
    expect(newKafkaClusterId(drawing(0b111110_00, 0b111110_11, 0b111111_00))).toBe(`_${'A'.repeat(21)}`);
  });
});
