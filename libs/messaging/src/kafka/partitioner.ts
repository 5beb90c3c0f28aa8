import type { ICustomPartitioner } from 'kafkajs';
import { kafkajs } from './kafkajs.js';

/** The partition that every Kafka client chooses for a key. Without a choice the key is not hashed. */
export const createPartitioner: ICustomPartitioner = () => {
  const choose = kafkajs().Partitioners.DefaultPartitioner();
  return (args) => {
    const { partitionMetadata } = args;
    return partitionMetadata.length === 1 ? partitionMetadata[0]!.partitionId : choose(args);
  };
};
