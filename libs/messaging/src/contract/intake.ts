import type { Logger } from '@concordat/foundation';
import type { ProtocolMessage } from '@concordat/commit-protocol';
import type { Disbelief, MessageAuthenticity, MessageSender, Signed, SignedRecord } from './authenticity.js';
import { decodeMessage } from './codec.js';
import { deadLetterHeaders, type DeadLetter, type MessageOrigin } from './dead-letter.js';
import { MESSAGE_REFUSALS, MessageDecodeError, type MessageRefusal } from './errors.js';
import type { Namespace } from './namespace.js';
import { DEAD_LETTER_TOPIC } from './topics.js';

export interface ReceivedRecord extends MessageOrigin, SignedRecord {}

/** A message that may be delivered. */
export interface TakenMessage {
  readonly message: ProtocolMessage;
  /** who has said it; undefined where signatures are not checked, or do not hold and are not required */
  readonly sender: MessageSender | undefined;
}

/** Messages since the start, by reason. */
export type DeadLetterCounts = Readonly<Record<MessageRefusal, number>>;

/**
 * Decodes what any broker delivers, and with signatures says who has written it. Messages that are not of this cluster,
 * and those that are not believed, go to its dead-letter topic and are not delivered.
 */
export class MessageIntake {
  private readonly counts = noDeadLetters();
  private readonly warnings = noDeadLetters();

  constructor(
    private readonly namespace: Namespace,
    private readonly publishDeadLetter: (letter: DeadLetter) => void,
    private readonly logger: Logger,
    private readonly authenticity?: MessageAuthenticity,
  ) {}

  get deadLetters(): DeadLetterCounts {
    return { ...this.counts };
  }

  /** Messages that were delivered, and would be dead letters if signatures were required. */
  get signatureWarnings(): DeadLetterCounts {
    return { ...this.warnings };
  }

  /** The message; undefined for a dead letter. */
  take(record: ReceivedRecord): TakenMessage | undefined {
    try {
      return this.authenticity ? this.takeFrom(record, this.authenticity) : this.decode(record);
    } catch (error) {
      if (!(error instanceof MessageDecodeError)) throw error;
      this.putAside(record, error);
      return undefined;
    }
  }

  /** A message that was taken, and that its sender may not say, as only its reader knows: a dead letter, too. */
  refuse(record: ReceivedRecord, { reason, message }: Disbelief): void {
    this.putAside(record, new MessageDecodeError(reason, message));
  }

  private decode(record: ReceivedRecord): TakenMessage {
    return { message: decodeMessage(this.namespace.cluster, record.value), sender: undefined };
  }

  /** The signature comes first: bytes of strangers are not parsed where it is required. */
  private takeFrom(record: ReceivedRecord, authenticity: MessageAuthenticity): TakenMessage {
    const signed = this.believed(authenticity, record, authenticity.verify(record));
    const { message } = this.decode(record);
    const topic = this.namespace.topicNamed(record.topic);
    if (!signed || topic === undefined) return { message, sender: undefined };
    const objection = authenticity.objection(signed, topic, message);
    const isBelieved = this.believed(authenticity, record, objection ?? signed) !== undefined;
    return { message, sender: isBelieved ? signed.sender : undefined };
  }

  private believed(
    authenticity: MessageAuthenticity,
    record: ReceivedRecord,
    result: Signed | Disbelief,
  ): Signed | undefined {
    if (!('reason' in result)) return result;
    const { reason, message } = result;
    if (authenticity.mode === 'require') {
      authenticity.disbelieved?.(record, result);
      throw new MessageDecodeError(reason, message);
    }
    const { topic, offset } = record;
    // each kind is told once in a while only: before the last process signs, this concerns every message
    if (isPowerOfTwo(++this.warnings[reason])) {
      const count = this.warnings[reason];
      this.logger.warn(
        `a message of ${topic} (offset ${offset}) would be refused if signatures were required (${reason}, ${count} so far): ${message}`,
      );
    }
    return undefined;
  }

  private putAside(record: ReceivedRecord, error: MessageDecodeError): void {
    const { topic: origin, partition, offset, key, value } = record;
    this.counts[error.reason]++;
    this.logger.warn(
      `a message of ${origin} (offset ${offset}) becomes a dead letter (${error.reason}): ${error.message}`,
    );
    if (origin === this.namespace.topic(DEAD_LETTER_TOPIC)) return;
    const headers = deadLetterHeaders({ topic: origin, partition, offset }, error);
    this.publishDeadLetter({ key, value, headers });
  }
}

export function noDeadLetters(): Record<MessageRefusal, number> {
  return Object.fromEntries(MESSAGE_REFUSALS.map((reason) => [reason, 0])) as Record<MessageRefusal, number>;
}

function isPowerOfTwo(count: number): boolean {
  return Number.isInteger(Math.log2(count));
}
