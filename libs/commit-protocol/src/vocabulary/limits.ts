/**
 * Maximum sizes. The REST interface, the configuration, the messages, the records and the participants take their
 * bounds from here, so that what passes one fits into the next.
 *
 * Lengths are UTF-16 units, as schemas count them; bytes are those of JSON in UTF-8.
 */
export const LIMITS = {
  /** of a transaction; in three phases every message names them all */
  branches: 64,
  /** of a transaction, in all of its branches */
  operations: 256,
  participantNameLength: 63,
  operationNameLength: 128,
  /** of one process of a participant */
  instanceNameLength: 255,
  /** that one participant announces */
  announcedOperations: 1_024,
  /** that a cluster knows */
  participants: 1_024,
  keysPerOperation: 256,
  keyLength: 255,
  /** one operation's payload */
  payloadBytes: 256 * 1024,
  /** all operations of a transaction: they are one record of the log, and may be one message */
  operationsBytes: 1024 * 1024,
  metadataBytes: 16 * 1024,
  /** the handlers' results of one branch, and the results kept of a whole transaction */
  resultsBytes: 64 * 1024,
  /** nesting of arrays and objects in payloads and results */
  jsonDepth: 64,
  /** of a branch's error */
  errorCodeLength: 64,
  errorMessageLength: 2_048,
  /** postgres takes 200 bytes with the final NUL */
  gidLength: 199,
  /** that are held at a time: each is a part of the replicated state and of every snapshot */
  locks: 100_000,
  lockNameLength: 100,
  lockOwnerLength: 255,
  lockTtlMinimumMs: 100,
  lockTtlMaximumMs: 3_600_000,
  /** leases that one record ends */
  lockExpiriesPerRecord: 256,
  /** one message on the wire: `operationsBytes`, plus room for names, ids and acceptors */
  messageBytes: 2 * 1024 * 1024,
} as const;
