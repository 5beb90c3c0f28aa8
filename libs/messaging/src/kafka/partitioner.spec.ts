import { describe, expect, it } from '@jest/globals';
import { type PartitionMetadata, Partitioners } from 'kafkajs';
import { createPartitioner } from './partitioner.js';

function partitions(count: number): PartitionMetadata[] {
  return Array.from({ length: count }, (_, partitionId) => ({
    partitionErrorCode: 0,
    partitionId,
    leader: 1,
    replicas: [1],
    isr: [1],
  }));
}

describe('the partition of a key', () => {
  it.each([1, 2, 3, 12])('is the one that kafkajs chooses among %i', (count) => {
    const [own, theirs] = [createPartitioner(), Partitioners.DefaultPartitioner()];
    for (let n = 0; n < 100; n++) {
      const args = { topic: 't', partitionMetadata: partitions(count), message: { key: `key-${n}`, value: 'v' } };
      expect(own(args)).toBe(theirs(args));
    }
  });

  it('needs no look at the key of the only one', () => {
    const message = {
      value: 'v',
      get key(): string {
        throw new Error('the key was read');
      },
    };
    expect(createPartitioner()({ topic: 't', partitionMetadata: partitions(1), message })).toBe(0);
  });
});
