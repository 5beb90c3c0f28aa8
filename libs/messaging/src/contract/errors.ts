import type { ProtocolMessage } from '@concordat/commit-protocol';
import { CodedError, type CodedErrorOptions } from '@concordat/foundation';

/** Why a message was refused. Stable: it stands in the headers of the dead-letter topic, and metrics count by it. */
export const MESSAGE_REFUSALS = [
  'TOO_LARGE',
  'NOT_UTF8',
  'NOT_JSON',
  'NOT_A_MESSAGE',
  'OTHER_CLUSTER',
  'UNKNOWN_VERSION',
  'UNKNOWN_TYPE',
  'INVALID_FIELD',
] as const;

export type MessageRefusal = (typeof MESSAGE_REFUSALS)[number];

/** A name that no topic can bear. */
export class NamespaceError extends CodedError {
  readonly code = 'NAMESPACE_INVALID';
  readonly retryable = false;
}

/**
 * Bytes that are no message of this version, or of another cluster. The same bytes will never decode, so the reader puts them aside
 * (dead-letter topic) and goes on. `path` names the first wrong field, as in `operations[2].keys[0]`.
 */
export class MessageDecodeError extends CodedError {
  readonly code = 'MESSAGE_NOT_DECODABLE';
  readonly retryable = false;

  constructor(
    readonly reason: MessageRefusal,
    message: string,
    readonly path?: string,
    options: CodedErrorOptions = {},
  ) {
    super(message, options);
  }
}

/** A message that no reader would take: the sender is at fault, and nothing was sent. */
export class MessageEncodeError extends CodedError {
  readonly code = 'MESSAGE_NOT_ENCODABLE';
  readonly retryable = false;

  constructor(
    readonly reason: MessageRefusal,
    message: string,
    readonly path?: string,
    options: CodedErrorOptions = {},
  ) {
    super(message, options);
  }
}

/** A message that was not sent, and why no reader would take it. */
export interface UnsendableMessage {
  readonly topic: string;
  readonly message: ProtocolMessage;
  readonly error: MessageEncodeError;
}

/** Some of what was to be published can never be sent; the broker has acknowledged all the rest. */
export class UnsendableMessagesError extends CodedError {
  readonly code = 'MESSAGES_UNSENDABLE';
  readonly retryable = false;

  constructor(readonly refused: readonly UnsendableMessage[]) {
    super(`${refused.length} messages cannot be sent; the first: ${refused[0]?.error.message}`);
  }
}

/** Why a bus dropped what it was given to publish. */
export type MessageBusErrorCode =
  /** more messages or bytes are waiting for the broker than the bus may hold */
  | 'BUS_BUFFER_FULL'
  /** the broker did not take the message within the time for which the bus keeps it */
  | 'BUS_MESSAGE_EXPIRED'
  /** the broker refuses this message for good, such as one above its own size limit */
  | 'BUS_MESSAGE_REFUSED'
  /** the bus was stopped before the broker acknowledged the message */
  | 'BUS_STOPPED';

/** Messages that were dropped, or whose fate is unknown; the protocol sends again what matters. */
export class MessageBusError extends CodedError {
  readonly retryable: boolean;

  constructor(
    readonly code: MessageBusErrorCode,
    message: string,
    options: CodedErrorOptions = {},
  ) {
    super(message, options);
    this.retryable = code === 'BUS_BUFFER_FULL' || code === 'BUS_MESSAGE_EXPIRED';
  }
}
