import { errorMessage } from '@concordat/foundation';
import type { OutgoingMessage } from '../bus.js';
import type { MessageAuthenticity } from './authenticity.js';
import { encodeMessage, messageKey, type EncodedMessage } from './codec.js';
import { MessageEncodeError, UnsendableMessagesError, type UnsendableMessage } from './errors.js';
import type { Namespace } from './namespace.js';

/**
 * Encodes each message, signs it, and sends the valid ones.
 *
 * @param authenticity undefined: nothing is signed
 * @param send rejects as `MessageBus.publish` does; errors of encoding are thrown after the others are acknowledged
 * @throws UnsendableMessagesError
 */
export async function publishEach(
  namespace: Namespace,
  messages: readonly OutgoingMessage[],
  authenticity: MessageAuthenticity | undefined,
  send: (entries: readonly EncodedMessage[]) => Promise<void>,
): Promise<void> {
  const entries: EncodedMessage[] = [];
  const refused: UnsendableMessage[] = [];
  for (const { topic, message } of messages) {
    try {
      const entry: EncodedMessage = {
        topic: namespace.topic(topic),
        key: messageKey(message),
        value: encodeMessage(namespace.cluster, message),
      };
      entries.push(authenticity ? { ...entry, headers: authenticity.sign(entry) } : entry);
    } catch (cause) {
      refused.push({ topic, message, error: asEncodeError(cause) });
    }
  }
  await send(entries);
  if (refused.length > 0) throw new UnsendableMessagesError(refused);
}

function asEncodeError(cause: unknown): MessageEncodeError {
  if (cause instanceof MessageEncodeError) return cause;
  return new MessageEncodeError('NOT_A_MESSAGE', `the message cannot be written: ${errorMessage(cause)}`, undefined, {
    cause,
  });
}
