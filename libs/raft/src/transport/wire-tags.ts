/*
 * The tags of `raft.proto`: a field's number and wire type, before each value (protocol buffers, "Encoding"). A spec
 * compares the encoded bytes with those of protobufjs and the schema.
 */

/** The wire type: the low three bits of a tag. */
export const wireTypes = { varint: 0, fixed64: 1, bytes: 2, groupStart: 3, groupEnd: 4, fixed32: 5 } as const;

export function varintTag(number: number): number {
  return (number << 3) | wireTypes.varint;
}

export function bytesTag(number: number): number {
  return (number << 3) | wireTypes.bytes;
}

export const frameTags = { messages: bytesTag(1), ping: varintTag(2) } as const;

export const echoTags = { ping: varintTag(1), clock: varintTag(2) } as const;

export const envelopeTags = {
  from: varintTag(1),
  to: varintTag(2),
  term: varintTag(3),
  fromIncarnation: varintTag(18),
  toIncarnation: varintTag(19),
  groupId: varintTag(20),
} as const;

/** A message has exactly one of these. */
export const contentTags = {
  'request-pre-vote': bytesTag(4),
  'pre-vote-reply': bytesTag(5),
  'request-vote': bytesTag(6),
  'request-vote-reply': bytesTag(7),
  'append-entries': bytesTag(8),
  'append-entries-accepted': bytesTag(9),
  'append-entries-refused': bytesTag(10),
  'snapshot-chunk': bytesTag(11),
  'snapshot-chunk-reply': bytesTag(12),
  'timeout-now': bytesTag(13),
  'read-index-request': bytesTag(14),
  'read-index-reply': bytesTag(15),
  introduction: bytesTag(16),
  'introduction-reply': bytesTag(17),
} as const;
/** The field numbers of the contents. */
export const contentFields = { first: 4, last: 17 } as const;

export const appendEntriesTags = {
  previousIndex: varintTag(1),
  previousTerm: varintTag(2),
  entries: bytesTag(3),
  commitIndex: varintTag(4),
  round: varintTag(5),
} as const;

export const entryTags = { term: varintTag(1), kind: varintTag(2), data: bytesTag(3) } as const;

export const snapshotChunkTags = {
  index: varintTag(1),
  term: varintTag(2),
  configuration: bytesTag(3),
  sizeBytes: varintTag(4),
  checksum: (5 << 3) | wireTypes.fixed32,
  offset: varintTag(6),
  data: bytesTag(7),
} as const;

/** Of entries; 0 means none and is never sent. */
export const wireKinds = { normal: 1, 'no-op': 2, configuration: 3 } as const;
