import { describe, expect, it } from '@jest/globals';
import { brokerJavaOptions, newKafkaClusterId } from './kafka.js';

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

describe('the JVM of the local broker', () => {
  it('compiles quickly only, unless it is told otherwise', () => {
    expect(brokerJavaOptions({})).toContain('-XX:TieredStopAtLevel=1');
  });

  it('has its own defaults for a benchmark', () => {
    const options = brokerJavaOptions({ CONCORDAT_LAB_KAFKA_JAVA_OPTIONS: '' });
    expect(options).toEqual(['-Xms128m', '-Xmx256m', '-XX:+UseSerialGC']);
  });

  it('takes the options that are given instead', () => {
    const options = brokerJavaOptions({ CONCORDAT_LAB_KAFKA_JAVA_OPTIONS: '-Xint  -verbose' });
    expect(options.slice(-2)).toEqual(['-Xint', '-verbose']);
  });
});
