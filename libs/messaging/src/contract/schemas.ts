import { z } from 'zod';
import { isExactText, isTraceparent, isUuid, type JsonValue } from '@concordat/foundation';
import { MAXIMUM_ROUND, LIMITS, type ProtocolMessage } from '@concordat/commit-protocol';
import { isJsonOfBoundedDepth } from './message-check.js';
import { isParticipantName } from './topics.js';

const id = z.string().refine(isUuid, 'must be a UUID in lower case');
const participant = z.string().refine(isParticipantName, 'must be the name of a participant');
const text = z.string().refine(isExactText, 'must contain neither NUL nor a lone surrogate');
const operationName = text.min(1).max(LIMITS.operationNameLength);
const count = z.int().min(0);
const json = z.custom<JsonValue>((value) => isJsonOfBoundedDepth(value), {
  message: `must be JSON, nested at most ${LIMITS.jsonDepth} deep, without NUL and lone surrogates`,
});

const operations = z
  .array(
    z.strictObject({
      operation: operationName,
      payload: json,
      keys: z.array(text.min(1).max(LIMITS.keyLength)).max(LIMITS.keysPerOperation),
    }),
  )
  .max(LIMITS.operations);
const results = z.array(json).max(LIMITS.operations);
const branchError = z.strictObject({
  code: text.min(1).max(LIMITS.errorCodeLength),
  message: text.max(LIMITS.errorMessageLength),
});
const decision = z.enum(['commit', 'abort']);
const acceptor = z.strictObject({ branchId: id, participant });
const acceptors = z.array(acceptor).min(1).max(LIMITS.branches);
const heldBy = text.min(1).max(LIMITS.instanceNameLength).optional();
const traceparent = z.string().refine(isTraceparent, 'must be a traceparent of version 00').optional();
const dissents = z.literal(true).optional();
const ballot = z.strictObject({
  round: count.max(MAXIMUM_ROUND),
  proposer: count.max(LIMITS.branches),
});
const branchAddress = { transactionId: id, branchId: id, participant };
const anyPrepare = {
  type: z.literal('prepare'),
  ...branchAddress,
  operations,
  deadline: count,
  attempt: count,
  epoch: z.strictObject({ term: count, index: count }),
  heldBy,
  traceparent,
};

/**
 * One schema for each type of message, without the version, which the codec checks first. Strict: an unknown field is
 * refused, so that a message of a newer sender is never half understood.
 */
export const messageSchemas = {
  prepare: z.discriminatedUnion('protocol', [
    z.strictObject({ ...anyPrepare, protocol: z.literal('2pc') }),
    z.strictObject({
      ...anyPrepare,
      protocol: z.literal('3pc'),
      acceptors,
      enlistedVote: z.enum(['yes', 'read-only']).optional(),
    }),
  ]),
  'commit-one-phase': z.strictObject({
    type: z.literal('commit-one-phase'),
    ...branchAddress,
    operations,
    deadline: count,
    attempt: count,
    traceparent,
  }),
  decision: z.strictObject({
    type: z.literal('decision'),
    ...branchAddress,
    decision,
    attempt: count,
    heldBy,
  }),
  ruling: z.strictObject({
    type: z.literal('ruling'),
    ...branchAddress,
    ruling: decision,
    attempt: count,
  }),
  'unknown-old': z.strictObject({ type: z.literal('unknown-old'), ...branchAddress }),
  undecided: z.strictObject({ type: z.literal('undecided'), ...branchAddress }),
  'termination-due': z.strictObject({ type: z.literal('termination-due'), ...branchAddress }),
  'ballot-request': z.strictObject({
    type: z.literal('ballot-request'),
    ...branchAddress,
    request: z.discriminatedUnion('type', [
      z.strictObject({ type: z.literal('promise'), ballot }),
      z.strictObject({ type: z.literal('accept'), ballot, value: decision }),
    ]),
    acceptors,
    proposer: acceptor.optional(),
  }),
  'ballot-answer': z.strictObject({
    type: z.literal('ballot-answer'),
    ...branchAddress,
    answer: z.discriminatedUnion('type', [
      z.strictObject({
        type: z.literal('promised'),
        ballot,
        accepted: z.strictObject({ ballot, value: decision }).optional(),
        committed: z.literal(true).optional(),
        dissents,
      }),
      z.strictObject({ type: z.literal('accepted'), ballot, dissents }),
      z.strictObject({ type: z.literal('outbid'), ballot, promised: ballot, dissents }),
      z.strictObject({ type: z.literal('abstains'), ballot, dissents }),
      z.strictObject({ type: z.literal('decided'), decision }),
    ]),
    proposer: acceptor.optional(),
  }),
  'branches-decided': z.strictObject({
    type: z.literal('branches-decided'),
    ...branchAddress,
    decision,
    amnesiacs: z.array(id).min(1).max(LIMITS.branches).optional(),
  }),
  vote: z.strictObject({
    type: z.literal('vote'),
    ...branchAddress,
    vote: z.enum(['yes', 'no', 'read-only']),
    results,
    error: branchError.optional(),
  }),
  done: z.strictObject({
    type: z.literal('done'),
    ...branchAddress,
    end: z.enum(['committed', 'aborted', 'read-only', 'heuristic-rollback', 'heuristic-commit']),
    results: results.optional(),
    error: branchError.optional(),
  }),
  inquiry: z.strictObject({
    type: z.literal('inquiry'),
    ...branchAddress,
    gid: text.min(1).max(LIMITS.gidLength),
  }),
  announce: z.strictObject({
    type: z.literal('announce'),
    participant,
    instance: z.string().min(1).max(LIMITS.instanceNameLength).optional(),
    operations: z.array(operationName).max(LIMITS.announcedOperations),
    leaving: z.literal(true).optional(),
    abstainsBefore: count.optional(),
    database: z.string().min(1).max(LIMITS.instanceNameLength).optional(),
  }),
  outcome: z.strictObject({
    type: z.literal('outcome'),
    transactionId: id,
    outcome: z.enum(['committed', 'aborted', 'mixed']),
    decidedAt: count,
    endedAt: count,
    participants: z.array(participant).max(LIMITS.branches),
  }),
} as const;

/** Without `readonly`, which zod's types lack: freezing every message would cost more than reading it. */
type Mutable<T> = JsonValue extends T ? T : T extends object ? { -readonly [Key in keyof T]: Mutable<T[Key]> } : T;
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

type MessageType = ProtocolMessage['type'];
type SchemaAgreement = {
  [Type in MessageType]: Equal<
    Mutable<z.infer<(typeof messageSchemas)[Type]>>,
    Mutable<Extract<ProtocolMessage, { type: Type }>>
  >;
};

/**
 * Proves at compile time that every schema accepts exactly its protocol type: a field that is missing, superfluous,
 * optional on one side only or of another type turns its entry into `false`.
 */
export const schemaAgreement: SchemaAgreement & Record<keyof typeof messageSchemas, true> = {
  prepare: true,
  'commit-one-phase': true,
  decision: true,
  ruling: true,
  'unknown-old': true,
  undecided: true,
  'termination-due': true,
  'ballot-request': true,
  'ballot-answer': true,
  'branches-decided': true,
  vote: true,
  done: true,
  inquiry: true,
  announce: true,
  outcome: true,
};
