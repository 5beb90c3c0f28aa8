import type { ProtocolMessage } from '@concordat/commit-protocol';
import { CodedError, codedError, type CodedErrorOptions } from '@concordat/foundation';

/** Why a message was refused. Stable: used in the headers of the dead-letter topic and in metrics. */
export const MESSAGE_REFUSALS = [
  'TOO_LARGE',
  'NOT_UTF8',
  'NOT_JSON',
  'NOT_A_MESSAGE',
  'OTHER_CLUSTER',
  'UNKNOWN_VERSION',
  'UNKNOWN_TYPE',
  'INVALID_FIELD',
  'UNSIGNED',
  'INVALID_SIGNATURE',
  'UNKNOWN_KEY',
  'NOT_ALLOWED_TO_SAY',
  'TOO_OLD',
  'FROM_THE_FUTURE',
] as const;

export type MessageRefusal = (typeof MESSAGE_REFUSALS)[number];

export class NamespaceError extends codedError('NAMESPACE_INVALID') {}

/**
 * Bytes that are no message of this version, or belong to another cluster. They will never decode, so the reader moves
 * them to the dead-letter topic. `path` names the first wrong field, as in `operations[2].keys[0]`.
 */
export class MessageDecodeError extends codedError('MESSAGE_NOT_DECODABLE') {
  constructor(
    readonly reason: MessageRefusal,
    message: string,
    readonly path?: string,
    options: CodedErrorOptions = {},
  ) {
    super(message, options);
  }
}

/** Signatures cannot be made or checked with these settings; the sentence says what to change. */
export class SignatureSetupError extends codedError('SIGNATURES_INVALID') {}

/** A message that no reader would accept: an error of the sender. Nothing was sent. */
export class MessageEncodeError extends codedError('MESSAGE_NOT_ENCODABLE') {
  constructor(
    readonly reason: MessageRefusal,
    message: string,
    readonly path?: string,
    options: CodedErrorOptions = {},
  ) {
    super(message, options);
  }
}

/** A message that was not sent, and why no reader would accept it. */
export interface UnsendableMessage {
  readonly topic: string;
  readonly message: ProtocolMessage;
  readonly error: MessageEncodeError;
}

/** Some messages can never be sent; the broker has acknowledged all others. */
export class UnsendableMessagesError extends codedError('MESSAGES_UNSENDABLE') {
  constructor(readonly refused: readonly UnsendableMessage[]) {
    super(`${refused.length} messages cannot be sent; the first: ${refused[0]?.error.message}`);
  }
}

/** Why a bus dropped messages. */
export type MessageBusErrorCode =
  /** the buffer for messages that wait for the broker is full */
  | 'BUS_BUFFER_FULL'
  /** the broker did not accept the message in time */
  | 'BUS_MESSAGE_EXPIRED'
  /** the broker refuses this message for good, such as one above its own size limit */
  | 'BUS_MESSAGE_REFUSED'
  /** direct link: no stream to the other end stands, or too much waits for it */
  | 'BUS_NO_STREAM'
  /** the bus was stopped before the broker acknowledged the message */
  | 'BUS_STOPPED';

const RETRYABLE: readonly MessageBusErrorCode[] = ['BUS_BUFFER_FULL', 'BUS_MESSAGE_EXPIRED', 'BUS_NO_STREAM'];

/** Messages that were dropped, or whose fate is unknown; the protocol sends again what matters. */
export class MessageBusError extends CodedError {
  readonly retryable: boolean;

  constructor(
    readonly code: MessageBusErrorCode,
    message: string,
    options: CodedErrorOptions = {},
  ) {
    super(message, options);
    this.retryable = RETRYABLE.includes(code);
  }
}
