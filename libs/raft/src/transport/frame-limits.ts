import { CodedError } from '@concordat/foundation';

/** Bytes that are no frame, or a frame with content that no node sends. */
export class MalformedFrameError extends CodedError {
  readonly code = 'RAFT_MALFORMED_FRAME';
  readonly retryable = false;
}

/*
 * Two bytes are enough for an empty message, and four for one without data, so without these limits a frame of the
 * largest size would decode to gigabytes of objects.
 */

/** A frame has at most so many messages; a sender's frames end at a size that keeps them below. */
export const MAXIMUM_MESSAGES_PER_FRAME = 16_384;
/** An `append-entries` has at most so many entries. */
export const MAXIMUM_ENTRIES_PER_MESSAGE = 65_536;
/** All messages of a frame together have at most so many entries. */
export const MAXIMUM_ENTRIES_PER_FRAME = 2 * MAXIMUM_ENTRIES_PER_MESSAGE;
