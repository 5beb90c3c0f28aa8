import { randomBytes, randomUUID } from 'node:crypto';
import { MESSAGE_VERSION as VERSION, type Wire } from './wire.js';

/** A message that its reader must not accept. */
export interface Poison {
  /** in words */
  readonly what: string;
  readonly value: Buffer | null;
  /** its reason in the dead-letter topic; undefined: valid, but ignored by this reader */
  readonly reason?: string;
}

/** One more than the limits of payload, message and nesting; topics have room for a little more. */
const PAYLOAD_BYTES = 256 * 1024 + 1;
const MESSAGE_BYTES = 2 * 1024 * 1024 + 1;
const NESTING = 65;

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** A valid decision about an unknown transaction. */
function decision({ cluster }: Wire, participant: string): Record<string, unknown> {
  const [transactionId, branchId] = [randomUUID(), randomUUID()];
  const address = { transactionId, branchId, participant };
  return { v: VERSION, cluster, type: 'decision', ...address, decision: 'commit', attempt: 0 };
}

/** Work that is valid but for its payload. */
function work(wire: Wire, participant: string, payload: unknown): Record<string, unknown> {
  const { transactionId, branchId } = decision(wire, participant);
  const operations = [{ operation: 'credit', payload, keys: [] }];
  const address = { v: VERSION, cluster: wire.cluster, type: 'prepare', transactionId, branchId, participant };
  return { ...address, protocol: '2pc', operations, deadline: 1, attempt: 0, epoch: { term: 0, index: 0 } };
}

function nested(depth: number): unknown {
  return depth === 0 ? 1 : [nested(depth - 1)];
}

/**
 * Every kind of message that does not belong in a topic, new at each call.
 *
 * @param wire the target cluster
 * @param participant the existing participant that the messages name
 */
export function poisons(wire: Wire, participant: string): Poison[] {
  const good = decision(wire, participant);
  const { participant: _left, ...withoutParticipant } = good;
  return [
    { what: 'no value', value: null, reason: 'NOT_JSON' },
    { what: 'an empty value', value: Buffer.alloc(0), reason: 'NOT_JSON' },
    { what: 'garbage', value: Buffer.concat([Buffer.of(0xff, 0xfe), randomBytes(200)]), reason: 'NOT_UTF8' },
    { what: 'text', value: Buffer.from('COMMIT everything!'), reason: 'NOT_JSON' },
    { what: 'half a message', value: json(good).subarray(0, 60), reason: 'NOT_JSON' },
    { what: 'JSON, but no object', value: json([good]), reason: 'NOT_A_MESSAGE' },
    { what: 'a later version', value: json({ ...good, v: VERSION + 1 }), reason: 'UNKNOWN_VERSION' },
    { what: 'no version', value: json({ ...good, v: undefined }), reason: 'UNKNOWN_VERSION' },
    { what: 'another cluster', value: json({ ...good, cluster: 'elsewhere' }), reason: 'OTHER_CLUSTER' },
    { what: 'no cluster', value: json({ ...good, cluster: undefined }), reason: 'INVALID_FIELD' },
    { what: 'an unknown type', value: json({ ...good, type: 'commit-all' }), reason: 'UNKNOWN_TYPE' },
    { what: 'the name of a method as type', value: json({ ...good, type: 'constructor' }), reason: 'UNKNOWN_TYPE' },
    { what: 'a field too many', value: json({ ...good, force: true }), reason: 'INVALID_FIELD' },
    { what: 'a field too few', value: json(withoutParticipant), reason: 'INVALID_FIELD' },
    { what: 'an id that is none', value: json({ ...good, transactionId: '4711' }), reason: 'INVALID_FIELD' },
    {
      what: 'an impossible participant',
      value: json(decision(wire, "bank'; DROP TABLE account")),
      reason: 'INVALID_FIELD',
    },
    { what: 'a decision that is none', value: json({ ...good, decision: 'perhaps' }), reason: 'INVALID_FIELD' },
    { what: 'a count below zero', value: json({ ...good, attempt: -1 }), reason: 'INVALID_FIELD' },
    { what: 'a payload too deep', value: json(work(wire, participant, nested(NESTING))), reason: 'INVALID_FIELD' },
    { what: 'a message for somebody else', value: json(decision(wire, 'bank-elsewhere')) },
    { what: 'a message of a type for others', value: wire.encode({ type: 'outcome', ...outcome() }) },
  ];
}

function outcome(): Record<string, unknown> {
  return { transactionId: randomUUID(), outcome: 'committed', decidedAt: 1, endedAt: 1, participants: [] };
}

/** Too large in some way; a few are enough. */
export function hugePoisons(wire: Wire, participant: string): Poison[] {
  const payload = 'x'.repeat(PAYLOAD_BYTES);
  return [
    { what: 'a payload too large', value: json(work(wire, participant, payload)), reason: 'INVALID_FIELD' },
    { what: 'a message too large', value: Buffer.alloc(MESSAGE_BYTES, 0x20), reason: 'TOO_LARGE' },
  ];
}
