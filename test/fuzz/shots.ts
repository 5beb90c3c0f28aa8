import { randomChance, type Random } from '@concordat/foundation';
import { MESSAGE_VERSION, type ProtocolMessage } from '@concordat/commit-protocol';
import { Namespace, type Topic } from '@concordat/messaging';
import { damageBytes, damageFields } from './damage.js';

/** The cluster that the messages are fired at. */
export const FUZZ_CLUSTER = 'fuzz';
/** Its names on the broker. */
export const FUZZ_NAMESPACE = new Namespace({ cluster: FUZZ_CLUSTER });

/** One message as it lies in a topic. */
export interface Shot {
  readonly topic: Topic;
  readonly bytes: Buffer | null;
  /** `unreadable` here, as what is of another cluster is; `damaged`: it may be a message still, or another one */
  readonly kind: 'sound' | 'damaged' | 'unreadable';
}

/** An intact message. */
export function soundShot(topic: Topic, message: ProtocolMessage): Shot {
  return { topic, bytes: wireOf(message), kind: 'sound' };
}

/** An intact message of another cluster, in a topic of this one. */
export function foreignShot(topic: Topic, message: ProtocolMessage): Shot {
  return { topic, bytes: wireOf(message, 'other'), kind: 'unreadable' };
}

/** A damaged one, made of `message` and perhaps of pieces of `other`. */
export function damagedShot(random: Random, topic: Topic, message: ProtocolMessage, other: ProtocolMessage): Shot {
  const damage = randomChance(random, 0.5) ? damageBytes : damageFields;
  const { bytes, isCertainlyInvalid } = damage(random, wireOf(message), wireOf(other));
  return { topic, bytes, kind: isCertainlyInvalid ? 'unreadable' : 'damaged' };
}

/**
 * How many shots were put aside: each dead letter is one of them, as it was sent.
 * @throws Error when a sound one is among them, an unreadable one is not, or one is there that was not sent
 */
export function putAside(shots: readonly Shot[], deadLetters: readonly (Buffer | null)[]): number {
  const dead = new Set(deadLetters);
  for (const { bytes, kind } of shots) {
    const isDead = dead.has(bytes);
    if (kind === (isDead ? 'sound' : 'unreadable'))
      throw new Error(`${isDead ? 'put aside' : 'taken for a message'}: ${String(bytes).slice(0, 500)}`);
  }
  const expected = shots.filter(({ bytes }) => dead.has(bytes)).length;
  if (deadLetters.length !== expected) throw new Error(`${deadLetters.length} dead letters of ${expected} shots`);
  return expected;
}

/** Without the checks of the codec, which are the reader's here. */
function wireOf(message: ProtocolMessage, cluster = FUZZ_CLUSTER): Buffer {
  return Buffer.from(JSON.stringify({ v: MESSAGE_VERSION, cluster, ...message }));
}
