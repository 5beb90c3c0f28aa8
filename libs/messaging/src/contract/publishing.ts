import { errorMessage } from '@concordat/foundation';
import type { OutgoingMessage } from '../bus.js';
import type { MessageAuthenticity } from './authenticity.js';
import { encodeMessage, messageKey, type EncodedMessage } from './codec.js';
import { MessageEncodeError, UnsendableMessagesError, type UnsendableMessage } from './errors.js';
import type { Namespace } from './namespace.js';

/**
 * Encodes each message, and sends the valid ones.
 *
 * @param send rejects as `MessageBus.publish` does; errors of encoding are thrown after the others are acknowledged
 * @throws UnsendableMessagesError
 */
export async function publishEach(
  namespace: Namespace,
  messages: readonly OutgoingMessage[],
  send: (entries: readonly EncodedMessage[]) => Promise<void>,
): Promise<void> {
  const entries: EncodedMessage[] = [];
  const refused: UnsendableMessage[] = [];
  for (const { topic, message } of messages) {
    try {
      entries.push({
        topic: namespace.topic(topic),
        key: messageKey(message),
        value: encodeMessage(namespace.cluster, message),
      });
    } catch (cause) {
      refused.push({ topic, message, error: asEncodeError(cause) });
    }
  }
  await send(entries);
  if (refused.length > 0) throw new UnsendableMessagesError(refused);
}

/**
 * Signs the messages of one request to the broker, when it leaves: together they need one signature. Dead letters have
 * headers of their own, and are signed by nobody.
 *
 * @param authenticity undefined: nothing is signed
 */
export function signBatch(
  authenticity: MessageAuthenticity | undefined,
  batch: readonly EncodedMessage[],
): readonly EncodedMessage[] {
  if (!authenticity) return batch;
  const signatures = authenticity.sign(batch.filter(isMessage)).values();
  return batch.map((entry) => {
    const headers = isMessage(entry) ? signatures.next().value : undefined;
    return headers ? { ...entry, headers } : entry;
  });
}

function isMessage({ headers }: EncodedMessage): boolean {
  return headers === undefined;
}

function asEncodeError(cause: unknown): MessageEncodeError {
  if (cause instanceof MessageEncodeError) return cause;
  return new MessageEncodeError('NOT_A_MESSAGE', `the message cannot be written: ${errorMessage(cause)}`, undefined, {
    cause,
  });
}
