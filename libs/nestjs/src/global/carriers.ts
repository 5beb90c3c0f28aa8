import { CONTEXT_HEADER, INVITATION_HEADER, TRACE_HEADER } from '@concordat/participant';

/** The field of a packet in which Nest 12 carries metadata from client to handler. */
export const PACKET_METADATA = 'metadata';
/** The fields of a reply that carries a proof. */
const PROOF = 'concordat-proof';
const VALUE = 'concordat-value';

/** What a packet has brought beside its data. */
export interface Carried {
  readonly context: string;
  readonly trace: string | undefined;
  readonly invitation: string | undefined;
}

/** What came along with packets, by their data: it is passed on to handlers as it is. */
const carried = new WeakMap<object, Carried>();

/** What a packet with this data has brought. */
export function carriedWith(data: unknown): Carried | undefined {
  return typeof data === 'object' && data !== null ? carried.get(data) : undefined;
}

/**
 * A reply with its proof, for transports whose replies have no headers. Only a caller that sent a context gets it, and
 * such a caller takes it apart.
 */
export class ProvenReply {
  constructor(
    readonly value: unknown,
    readonly proof: Readonly<Record<string, string>>,
  ) {}

  toJSON(): unknown {
    return { [PROOF]: this.proof, [VALUE]: this.value };
  }

  /** undefined: an ordinary reply */
  static read(reply: unknown): ProvenReply | undefined {
    if (reply instanceof ProvenReply) return reply;
    if (typeof reply !== 'object' || reply === null || !(PROOF in reply)) return undefined;
    const proof = Reflect.get(reply, PROOF);
    if (typeof proof !== 'object' || proof === null) return undefined;
    return new ProvenReply(Reflect.get(reply, VALUE), proof as Readonly<Record<string, string>>);
  }
}

interface Packet {
  readonly pattern?: unknown;
  readonly data?: unknown;
  readonly metadata?: unknown;
}

/** A deserializer of Nest. */
export interface PacketDeserializer {
  deserialize(value: unknown, options?: Record<string, unknown>): unknown;
}

/**
 * For the server of a Nest transport whose contexts do not carry the packet's metadata (every transport of Nest 11, all
 * but TCP and Redis in Nest 12): `{ transport: Transport.TCP, options: { deserializer: new ContextDeserializer() } }`.
 * It needs data that is an object or an array: to a string or a number no context can be tied.
 *
 * @param inner what the transport would use otherwise, where that is more than taking the packet as it is
 */
export class ContextDeserializer implements PacketDeserializer {
  constructor(private readonly inner: PacketDeserializer = { deserialize: asItIs }) {}

  deserialize(value: unknown, options?: Record<string, unknown>): unknown {
    const packet = this.inner.deserialize(value, options);
    return packet instanceof Promise ? packet.then(carry) : carry(packet);
  }
}

function asItIs(given: unknown, options?: Record<string, unknown>): unknown {
  const value = decoded(given);
  const isPacket = typeof value === 'object' && value !== null && ('pattern' in value || 'data' in value);
  return isPacket ? value : { pattern: options?.['channel'], data: value };
}

/** From NATS come bytes (Nest 11) or a message that decodes itself (Nest 12); other servers decode before. */
function decoded(value: unknown): unknown {
  if (value instanceof Uint8Array) return JSON.parse(Buffer.from(value).toString('utf8')) as unknown;
  if (typeof value !== 'object' || value === null || !('json' in value) || typeof value.json !== 'function')
    return value;
  return (value as { json(): unknown }).json();
}

function carry(packet: unknown): unknown {
  const { metadata, data } = (packet ?? {}) as Packet;
  if (typeof metadata !== 'object' || metadata === null || typeof data !== 'object' || data === null) return packet;
  const [context, trace, invitation] = [CONTEXT_HEADER, TRACE_HEADER, INVITATION_HEADER].map((name) => {
    const value = Reflect.get(metadata, name) as unknown;
    return typeof value === 'string' ? value : undefined;
  });
  if (context === undefined) return packet;
  carried.set(data, { context, trace, invitation });
  return packet;
}
