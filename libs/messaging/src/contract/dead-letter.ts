import type { EncodedMessage } from './codec.js';
import type { MessageDecodeError } from './errors.js';

/** Headers of a dead letter; its key and value are those of the original message. */
export const DEAD_LETTER_HEADERS = {
  reason: 'concordat-reason',
  detail: 'concordat-detail',
  topic: 'concordat-original-topic',
  partition: 'concordat-original-partition',
  offset: 'concordat-original-offset',
} as const;

/** A record for the dead-letter topic, whose name the bus with a broker knows. */
export type DeadLetter = Omit<EncodedMessage, 'topic'>;

export interface MessageOrigin {
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
}

/** The headers that tell an operator where a dead letter came from and what is wrong with it. */
export function deadLetterHeaders(origin: MessageOrigin, error: MessageDecodeError): Record<string, string> {
  return {
    [DEAD_LETTER_HEADERS.reason]: error.reason,
    [DEAD_LETTER_HEADERS.detail]: error.message,
    [DEAD_LETTER_HEADERS.topic]: origin.topic,
    [DEAD_LETTER_HEADERS.partition]: String(origin.partition),
    [DEAD_LETTER_HEADERS.offset]: origin.offset,
  };
}
