import type { Logger } from '@concordat/foundation';
import type { ProtocolMessage } from '@concordat/commit-protocol';
import { decodeMessage } from './codec.js';
import { deadLetterHeaders, type MessageOrigin } from './dead-letter.js';
import { MESSAGE_REFUSALS, MessageDecodeError, type MessageRefusal } from './errors.js';
import type { Namespace } from './namespace.js';
import type { EncodedMessage } from './codec.js';
import { DEAD_LETTER_TOPIC } from './topics.js';

export interface ReceivedRecord extends MessageOrigin {
  readonly key: Buffer | string | null;
  readonly value: Buffer | null;
}

/** Dead letters since the start, by reason. */
export type DeadLetterCounts = Readonly<Record<MessageRefusal, number>>;

/**
 * Decodes what any broker delivers. Messages that are not of this cluster go to its dead-letter topic and are not
 * delivered.
 */
export class MessageIntake {
  private readonly counts: Record<MessageRefusal, number>;

  constructor(
    private readonly namespace: Namespace,
    private readonly publishDeadLetter: (entry: EncodedMessage) => void,
    private readonly logger: Logger,
  ) {
    this.counts = noDeadLetters();
  }

  get deadLetters(): DeadLetterCounts {
    return { ...this.counts };
  }

  /** The message; undefined for a dead letter. */
  take(record: ReceivedRecord): ProtocolMessage | undefined {
    try {
      return decodeMessage(this.namespace.cluster, record.value);
    } catch (error) {
      if (!(error instanceof MessageDecodeError)) throw error;
      this.putAside(record, error);
      return undefined;
    }
  }

  private putAside(record: ReceivedRecord, error: MessageDecodeError): void {
    const { topic: origin, partition, offset, key, value } = record;
    this.counts[error.reason]++;
    this.logger.warn(
      `a message of ${origin} (offset ${offset}) becomes a dead letter (${error.reason}): ${error.message}`,
    );
    const topic = this.namespace.topic(DEAD_LETTER_TOPIC);
    if (origin === topic) return;
    const headers = deadLetterHeaders({ topic: origin, partition, offset }, error);
    this.publishDeadLetter({ topic, key, value, headers });
  }
}

export function noDeadLetters(): Record<MessageRefusal, number> {
  return Object.fromEntries(MESSAGE_REFUSALS.map((reason) => [reason, 0])) as Record<MessageRefusal, number>;
}
