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
  return idOf([transactionId, participant, ...placeOf(delivery)]);
}

/**
 * The read-only branch that a participant enlists when it has handled a message without a reply: the proof for the
 * sender, who knows where the message lies.
 */
export function joinedMarkerId(transactionId: TransactionId, participant: string, delivery: Delivery): BranchId {
  return idOf(['joined', transactionId, participant, ...placeOf(delivery)]);
}

/** A message that lies in a topic, and the participant that has not handled it yet. */
export interface ExpectedMarker {
  readonly participant: string;
  readonly delivery: Delivery;
}

function placeOf({ topic, partition, offset }: Delivery): (string | number)[] {
  return [topic, partition, offset];
}

function idOf(parts: readonly (string | number)[]): BranchId {
  const name = JSON.stringify(parts);
  const bytes = createHash('sha256').update(name).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
