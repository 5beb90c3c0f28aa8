import type { ProtocolMessage } from '@concordat/commit-protocol';
import type { MessageOrigin } from './dead-letter.js';
import type { MessageRefusal } from './errors.js';
import type { Topic } from './topics.js';

/** Who says a message: a coordinator of the cluster, or a process of a participant. */
export type MessageSender = 'coordinator' | `participant:${string}`;

/** A header of a record; a broker delivers a list when there are several of one name. */
export type RecordHeader = Buffer | string | undefined | readonly (Buffer | string)[];

/** What is signed of a record, and the headers in which its signature is. */
export interface SignedRecord {
  /** its name on the broker */
  readonly topic: string;
  readonly key: Buffer | string | null;
  readonly value: Buffer | null;
  readonly headers?: Readonly<Record<string, RecordHeader>> | undefined;
}

/** What is signed of a record that is sent. */
export type RecordToSign = Pick<SignedRecord, 'topic' | 'key' | 'value'>;

/** Why a record, or what it says, is not believed. */
export interface Disbelief {
  readonly reason: MessageRefusal;
  readonly message: string;
}

/**
 * Says who has written a record, and whether he may say that. A bus that has one signs what it publishes and checks what
 * it reads. Implemented by `MessageSignatures`.
 */
export interface MessageAuthenticity {
  /** `warn`: what is not believed is counted, logged and delivered; `require`: it becomes a dead letter */
  readonly mode: 'warn' | 'require';
  /** The headers to send with each of these records, which leave together. */
  sign(records: readonly RecordToSign[]): readonly Readonly<Record<string, string>>[];
  /** The names and values of the headers of a record have at most so many bytes. */
  readonly maximumHeaderBytes: number;
  /** Before the record is decoded. */
  verify(record: SignedRecord): Signed | Disbelief;
  /** Whether this sender may say this on this topic; undefined: it may. */
  objection(signed: Signed, topic: Topic, message: ProtocolMessage): Disbelief | undefined;
  /** Told of each record that becomes a dead letter because of its signature, or of what its sender may not say. */
  disbelieved?(record: SignedRecord & MessageOrigin, disbelief: Disbelief): void;
}

/** A signature that was right. */
export interface Signed {
  readonly sender: MessageSender;
  /** in milliseconds since 1970, by the sender's clock */
  readonly signedAt: number;
}
