import { createHash } from 'node:crypto';
import type { BranchId, TransactionId } from '@concordat/commit-protocol';

/** Where a message lies in Kafka; a redelivery has the same. */
export interface Delivery {
  readonly topic: string;
  readonly partition: number;
  /** decimal digits, as Kafka clients give it */
  readonly offset: string;
}

/**
 * The branch of one delivered message in one participant: the same for every redelivery, so that a repeat joins its own
 * branch instead of doing the work twice. A UUID of version 8 (RFC 9562, section 5.8) from SHA-256.
 */
export function derivedBranchId(transactionId: TransactionId, participant: string, delivery: Delivery): BranchId {
  const { topic, partition, offset } = delivery;
  const name = JSON.stringify([transactionId, participant, topic, partition, offset]);
  const bytes = createHash('sha256').update(name).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
