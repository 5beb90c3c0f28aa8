import { CONTEXT_HEADER, INVITATION_HEADER, TRACE_HEADER } from './context-header.js';
import type { CurrentTransaction } from './current-transaction.js';
import type { GlobalTransactions } from './global-transactions.js';
import { join } from './joining.js';
import type { Propagation } from './options.js';
import { isCarrying, messageOf } from './outgoing/calls.js';
import { isAcknowledged } from './too-late.js';

type HeaderValue = string | Buffer | (string | Buffer)[] | undefined;

interface Message {
  readonly headers?: Readonly<Record<string, HeaderValue>>;
}

interface ProducerRecord {
  readonly topic: string;
  readonly messages: readonly Message[];
}

interface ProducerBatch {
  readonly topicMessages?: readonly ProducerRecord[];
}

interface RecordMetadata {
  readonly topicName: string;
  readonly partition: number;
  readonly baseOffset?: string;
}

/** The used part of a producer of kafkajs. */
export interface ProducerLike {
  send(record: never): Promise<RecordMetadata[]>;
  sendBatch(batch: never): Promise<RecordMetadata[]>;
}

/** A message as `eachMessage` of kafkajs gets it. */
export interface DeliveredMessage {
  readonly topic: string;
  readonly partition: number;
  readonly message: Message & { readonly offset: string; readonly value?: Buffer | null };
}

export interface JoinMessageOptions {
  /** what the handler does with a transaction, and without; default `REQUIRED` */
  readonly propagation?: Propagation;
  /** only these names count, beside that of the participant; default: the topic */
  readonly audiences?: readonly string[];
}

/** The messages of a transaction lie where the broker says only when it acknowledges them. */
const NO_PLACE = 'the broker does not say where the message lies; send it with acks -1 or 1';

/** The participants of this process whose transactions the messages of a producer join. */
const joined = new WeakMap<object, { readonly modules: Set<GlobalTransactions>; readonly leave: () => void }>();

/**
 * Lets the messages of a producer of kafkajs join. Inside a global transaction a message to a topic that is on
 * `propagateTo` with `consumers` carries the transaction, and the commit waits for those consumers. Such messages are
 * sent one after the other, so that the place of each is known. `ConcordatModule` does it for the producers that it
 * finds; a second time changes nothing.
 *
 * @returns undoes it
 */
export function joinProducer(producer: ProducerLike, transactions: GlobalTransactions): () => void {
  const entry = joined.get(producer) ?? wrapProducer(producer as unknown as Producer, new Set());
  joined.set(producer, entry);
  entry.modules.add(transactions);
  return () => {
    entry.modules.delete(transactions);
    if (entry.modules.size > 0 || joined.get(producer) !== entry) return;
    joined.delete(producer);
    entry.leave();
  };
}

interface Producer {
  send: (record: ProducerRecord) => Promise<RecordMetadata[]>;
  sendBatch: (batch: ProducerBatch) => Promise<RecordMetadata[]>;
}

function wrapProducer(
  target: Producer,
  modules: Set<GlobalTransactions>,
): { readonly modules: Set<GlobalTransactions>; readonly leave: () => void } {
  const { send, sendBatch } = target;
  const sendJoining = async (record: ProducerRecord): Promise<RecordMetadata[]> => {
    if (!isCarrying(modules, record.topic)) return send.call(target, record);
    const placed: RecordMetadata[] = [];
    for (const message of record.messages) {
      placed.push(...(await sendOne(modules, record, message, (one) => send.call(target, one))));
    }
    return placed;
  };
  target.send = sendJoining;
  target.sendBatch = async (batch) => {
    const { topicMessages = [], ...options } = batch;
    if (!topicMessages.some(({ topic }) => isCarrying(modules, topic))) return sendBatch.call(target, batch);
    const placed: RecordMetadata[] = [];
    for (const record of topicMessages) placed.push(...(await sendJoining({ ...options, ...record })));
    return placed;
  };
  return { modules, leave: () => Object.assign(target, { send, sendBatch }) };
}

async function sendOne(
  modules: ReadonlySet<GlobalTransactions>,
  record: ProducerRecord,
  message: Message,
  send: (record: ProducerRecord) => Promise<RecordMetadata[]>,
): Promise<RecordMetadata[]> {
  const outgoing = messageOf(modules, record.topic);
  if (!outgoing) return send({ ...record, messages: [message] });
  await outgoing.ready();
  try {
    const headers = { ...message.headers, ...outgoing.headers };
    const placed = await send({ ...record, messages: [{ ...message, headers }] });
    reportPlace(outgoing, record.topic, placed);
    return placed;
  } catch (error) {
    outgoing.failed(error);
    throw error;
  }
}

/** What a producer answers for one message. */
export function reportPlace(
  outgoing: {
    sent(delivery: { topic: string; partition: number; offset: string }): void;
    failed(cause: unknown): void;
  },
  topic: string,
  placed: unknown,
): void {
  const [place] = (Array.isArray(placed) ? placed : []) as (RecordMetadata | undefined)[];
  const { partition, baseOffset } = place ?? {};
  if (partition === undefined || baseOffset === undefined || !/^\d+$/.test(baseOffset)) {
    return outgoing.failed(new Error(NO_PLACE));
  }
  outgoing.sent({ topic, partition, offset: baseOffset });
}

/**
 * An `eachMessage` of kafkajs whose handler joins the transaction that its message has brought; see `joinMessage`:
 * `consumer.run({ eachMessage: joiningEachMessage(transactions, async ({ message }) => …) })`.
 */
export function joiningEachMessage<Payload extends DeliveredMessage>(
  transactions: GlobalTransactions,
  handler: (payload: Payload, transaction: CurrentTransaction | undefined) => Promise<void>,
  options: JoinMessageOptions = {},
): (payload: Payload) => Promise<void> {
  return (payload) => joinMessage(transactions, payload, (transaction) => handler(payload, transaction), options);
}

/**
 * Handles one message in the transaction that it has brought, as its propagation says. The branch is derived from topic,
 * partition and offset, so a redelivery joins its own. It resolves when the message may be acknowledged: it was handled,
 * or its transaction has ended, so that a repeat would change nothing.
 *
 * @throws what `work` rejects with; the transaction aborts, and the repeat that Kafka brings is acknowledged
 */
export async function joinMessage(
  transactions: GlobalTransactions,
  { topic, partition, message }: DeliveredMessage,
  work: (transaction: CurrentTransaction | undefined) => Promise<void>,
  { propagation, audiences = [topic] }: JoinMessageOptions = {},
): Promise<void> {
  const delivery = { topic, partition, offset: message.offset };
  const call = {
    context: textsOf(message.headers?.[CONTEXT_HEADER]),
    audiences: [transactions.settings.participant, ...audiences],
    trace: textsOf(message.headers?.[TRACE_HEADER]),
    invitation: textsOf(message.headers?.[INVITATION_HEADER]),
    delivery,
    isEvent: true,
  };
  try {
    await join(transactions, call, propagation === undefined ? {} : { propagation }, work, () => undefined);
  } catch (error) {
    if (!isAcknowledged(error, call, transactions.ports.logger)) throw error;
  }
}

function textsOf(value: HeaderValue): readonly string[] {
  if (value === undefined || value.length === 0) return [];
  return (Array.isArray(value) ? value : [value]).map((one) => one.toString());
}
