import { codedError } from '@concordat/foundation';

/** Bytes that are no frame, or a frame with content that no node sends. */
export class MalformedFrameError extends codedError('RAFT_MALFORMED_FRAME') {}

/*
 * Two bytes are enough for an empty message, and four for one without data, so without these limits a frame of the
 * largest size would decode to gigabytes of objects.
 */

/** Maximum number of messages in a frame; senders end a frame at a size that ensures this. */
export const MAXIMUM_MESSAGES_PER_FRAME = 16_384;
/** Maximum number of entries in an `append-entries`. */
export const MAXIMUM_ENTRIES_PER_MESSAGE = 65_536;
/** Maximum number of entries in all messages of a frame. */
export const MAXIMUM_ENTRIES_PER_FRAME = 2 * MAXIMUM_ENTRIES_PER_MESSAGE;
