import type { JsonValue } from '@concordat/foundation';
import { ABORT_REASONS, LIMITS } from '@concordat/commit-protocol';
import { z } from 'zod';

/** Every schema of the REST interface: bodies are validated by them, and OpenAPI is made from them. */

export const MINIMUM_TIMEOUT_MS = 100;
export const MAXIMUM_TIMEOUT_MS = 3_600_000;
export const DEFAULT_TIMEOUT_MS = 30_000;
export const DEFAULT_WAIT_MS = 30_000;
export const MAXIMUM_WAIT_MS = 60_000;
export const DEFAULT_PAGE_SIZE = 50;
export const MAXIMUM_PAGE_SIZE = 500;
/** as in `CONCORDAT_NODE_ID` */
export const MAXIMUM_NODE_ID = 999_999_999;
const MAXIMUM_URL_LENGTH = 300;
const MAXIMUM_REASON_LENGTH = 1_000;
const MAXIMUM_OPERATOR_LENGTH = 255;

const participantName = z.string().min(1).max(LIMITS.participantNameLength);
const operationName = z.string().min(1).max(LIMITS.operationNameLength);
const payload = z
  .custom<JsonValue>((value) => value !== undefined, 'is missing')
  .meta({ description: 'any JSON that the operation takes, at most 256 KiB' });
const keys = z
  .array(z.string().min(1).max(LIMITS.keyLength))
  .max(LIMITS.keysPerOperation)
  .optional()
  .meta({ description: 'keys that the operation will lock, in the name space of its participant' });
const uuid = z
  .string()
  .regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/, 'must be a UUID in lower case');
const vote = z.enum(['yes', 'no', 'read-only']);
const protocol = z.enum(['2pc', '3pc']);
const rulingAction = z.enum(['commit', 'abort', 'forget']);

const beginFields = {
  protocol: protocol.default('2pc'),
  timeoutMs: z
    .int()
    .min(MINIMUM_TIMEOUT_MS)
    .max(MAXIMUM_TIMEOUT_MS)
    .default(DEFAULT_TIMEOUT_MS)
    .meta({ description: 'milliseconds until the transaction is aborted if it is not decided' }),
  metadata: z
    .record(
      z.string(),
      z.custom<JsonValue>(() => true),
    )
    .default({})
    .meta({ description: 'data of the caller, kept with the transaction, at most 16 KiB' }),
};

export const workBranchSchema = z.strictObject({
  participant: participantName,
  operation: operationName,
  payload,
  keys,
});
export const preparedBranchSchema = z.strictObject({ participant: participantName, branchId: uuid, vote });
const instanceName = z.string().min(1).max(LIMITS.instanceNameLength);
export const heldBranchSchema = z.strictObject({
  participant: participantName,
  branchId: uuid,
  instance: instanceName.meta({
    description: 'the process that holds the session of the branch, by its name on its direct stream',
  }),
});
export const beginSchema = z.strictObject({
  ...beginFields,
  id: uuid.optional().meta({ description: 'one that was reserved before; a repeat is answered with the transaction' }),
  reserve: z.int().min(1).max(256).optional().meta({
    description:
      'ids to reserve for transactions to come: each may be used once, while the leader leads, for half a minute',
  }),
  deferred: z.boolean().default(false).meta({
    description:
      'answers before the transaction is in the log; if the leader fails before it is, nobody knows it, and it counts as aborted',
  }),
  beginner: z.strictObject({ participant: participantName, instance: instanceName }).optional().meta({
    description:
      'the process that will request the commit: when its direct stream is away for five seconds before that, the transaction is aborted',
  }),
});
export const executeSchema = z.strictObject({ ...beginFields, branches: z.array(workBranchSchema) });

/** One line of text for people. It is stored in the log and written to the log file. */
const line = (maximumLength: number) =>
  z
    .string()
    .max(maximumLength)
    .refine((text) => text.trim() !== '' && !/\p{Cc}/u.test(text), 'must be one line of text, not empty');

export const resolveSchema = z
  .strictObject({
    action: rulingAction,
    branchId: uuid.optional().meta({ description: 'the branch; the whole transaction when left out' }),
    reason: line(MAXIMUM_REASON_LENGTH).meta({ description: 'the reason, for the audit' }),
    operator: line(MAXIMUM_OPERATOR_LENGTH)
      .default('unnamed')
      .meta({ description: 'name of the operator, for the audit; with authentication the principal takes its place' }),
    force: z
      .boolean()
      .default(false)
      .meta({ description: 'confirms a ruling that breaks a promise, or gives up a branch' }),
  })
  .meta({ description: 'the ruling' });

const nodeId = z.int().min(1).max(MAXIMUM_NODE_ID);

export const memberSchema = z
  .strictObject({
    nodeId,
    raftUrl: z.string().max(MAXIMUM_URL_LENGTH).meta({ description: 'host:port where its peers reach it' }),
    httpUrl: z.string().max(MAXIMUM_URL_LENGTH).meta({ description: 'http://host:port where its clients reach it' }),
    role: z.enum(['voter', 'learner']),
    replaces: nodeId.optional().meta({ description: 'leaves the group in the same step in which the new voter joins' }),
  })
  .meta({ description: 'the membership that a node should have' });
export const leaderSchema = z.strictObject({ nodeId });

/** Needs no escape in a path. */
export const LOCK_NAME_PATTERN = `^[A-Za-z0-9][A-Za-z0-9._:@~-]{0,${LIMITS.lockNameLength - 1}}$`;
const lockOwner = z
  .string()
  .regex(
    new RegExp(`^[\\x20-\\x7e]{1,${LIMITS.lockOwnerLength}}$`),
    `must have 1 to ${LIMITS.lockOwnerLength} printable ASCII characters`,
  )
  .meta({ description: 'who holds the lock: a process and a task, say. Equal owners are one' });
const fencingToken = z.int().min(1);
const ttlMs = z
  .int()
  .min(LIMITS.lockTtlMinimumMs)
  .max(LIMITS.lockTtlMaximumMs)
  .meta({ description: 'milliseconds until the lease ends if it is not renewed' });

export const acquireLockSchema = z.strictObject({
  owner: lockOwner,
  ttlMs,
  waitMs: z
    .int()
    .min(0)
    .max(MAXIMUM_WAIT_MS)
    .default(0)
    .meta({ description: 'milliseconds to wait for a lock that another has, in the order of arrival' }),
});
export const renewLockSchema = z.strictObject({ owner: lockOwner, fencingToken, ttlMs });
export const emptyBodySchema = z.strictObject({});
export const endSchema = z.strictObject({
  branches: z
    .array(
      z.union([heldBranchSchema, preparedBranchSchema], {
        error: 'must have participant, branchId, and either instance or vote; nothing else',
      }),
    )
    .max(LIMITS.branches)
    .default([])
    .meta({ description: 'branches that the request enlists, unless they are already; held or prepared ones' }),
});
export const commitSchema = z.strictObject({
  ...endSchema.shape,
  begin: z.strictObject(beginFields).optional().meta({
    description: 'begins the transaction, if nobody knows it and its id was reserved',
  }),
});
export const failpointsSchema = z.strictObject({ arm: z.string().max(4096) });

const wholeNumber = (minimum: number, maximum: number, fallback: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, `must be a whole number from ${minimum} to ${maximum}`)
    .transform(Number)
    .refine((value) => value >= minimum && value <= maximum, `must be a whole number from ${minimum} to ${maximum}`)
    .default(fallback);

export const TRANSACTION_STATUSES = [
  'active',
  'preparing',
  'precommitted',
  'committing',
  'committed',
  'aborting',
  'aborted',
  'mixed',
] as const;

export const waitQuerySchema = z.strictObject({
  waitMs: wholeNumber(0, MAXIMUM_WAIT_MS, DEFAULT_WAIT_MS),
  wait: z.enum(['decided', 'reported', 'ended']).default('decided'),
});
export const READINESS_PURPOSES = ['work', 'reads'] as const;
export const readinessQuerySchema = z.strictObject({ for: z.enum(READINESS_PURPOSES).default('work') });
export const consistencyQuerySchema = z.strictObject({
  consistency: z.enum(['linearizable', 'stale']).default('linearizable'),
});
export const memberQuerySchema = z.strictObject({ waitMs: wholeNumber(0, MAXIMUM_WAIT_MS, DEFAULT_WAIT_MS) });
export const listQuerySchema = z.strictObject({
  ...consistencyQuerySchema.shape,
  status: z.enum(TRANSACTION_STATUSES).optional(),
  participant: participantName.optional(),
  limit: wholeNumber(1, MAXIMUM_PAGE_SIZE, DEFAULT_PAGE_SIZE),
  cursor: z.string().min(1).max(512).optional(),
});
export const inDoubtQuerySchema = z.strictObject({
  ...consistencyQuerySchema.shape,
  limit: wholeNumber(1, MAXIMUM_PAGE_SIZE, MAXIMUM_PAGE_SIZE),
  cursor: z.string().min(1).max(512).optional(),
});
export const lockListQuerySchema = z.strictObject({
  ...consistencyQuerySchema.shape,
  limit: wholeNumber(1, MAXIMUM_PAGE_SIZE, DEFAULT_PAGE_SIZE),
  cursor: z.string().min(1).max(512).optional(),
});
/** For operators: as if the sender had taken the lock. */
const force = z.enum(['true', 'false']).optional();
export const forceQuerySchema = z.strictObject({ force });
const TOKEN_RULE = 'must be the fencingToken that the acquisition answered';
export const lockProofQuerySchema = z.strictObject({
  owner: lockOwner,
  fencingToken: z
    .string(TOKEN_RULE)
    .regex(/^[1-9]\d{0,15}$/, TOKEN_RULE)
    .transform(Number)
    .refine((token) => Number.isSafeInteger(token), TOKEN_RULE),
  force,
});
export const noQuerySchema = z.strictObject({});

const time = z.iso.datetime();

export const branchSchema = z.object({
  branchId: uuid,
  participant: z.string(),
  operations: z.array(
    z.object({
      operation: z.string(),
      payload,
      keys: z.array(z.string()),
      result: z.custom<JsonValue>(() => true).optional(),
    }),
  ),
  vote: vote.nullable(),
  state: z.enum([
    'enlisted',
    'preparing',
    'prepared',
    'refused',
    'committing',
    'committed',
    'aborting',
    'aborted',
    'read-only',
    'heuristic-rollback',
    'heuristic-commit',
    'forgotten',
  ]),
  ruling: z.enum(['commit', 'abort']).optional(),
  instance: z.string().optional(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
});

export const rulingSchema = z.object({
  action: rulingAction,
  branchId: uuid.optional(),
  operator: z.string(),
  reason: z.string(),
  force: z.boolean(),
  effect: z.enum(['decided', 'branch-ruled', 'forgotten', 'unknown-old']),
  at: time,
});

export const transactionSchema = z.object({
  id: uuid,
  protocol,
  status: z.enum(TRANSACTION_STATUSES),
  decision: z.enum(['commit', 'abort']).nullable(),
  outcome: z.enum(['committed', 'aborted', 'mixed']).nullable(),
  reason: z.enum(ABORT_REASONS).nullable(),
  detail: z.string().optional(),
  cause: z.object({ branchId: uuid, participant: z.string(), participantCode: z.string().optional() }).optional(),
  branches: z.array(branchSchema),
  metadata: z.record(
    z.string(),
    z.custom<JsonValue>(() => true),
  ),
  owner: z.string().optional().meta({ description: 'the principal who began it; absent without authentication' }),
  warnings: z.array(z.string()),
  rulings: z.array(rulingSchema),
  createdAt: time,
  deadline: time,
  decidedAt: time.nullable(),
  endedAt: time.nullable(),
  logIndex: z.int(),
});

export const begunSchema = transactionSchema.extend({
  reserved: z.array(uuid).optional().meta({ description: 'ids for transactions to come, as many as were wanted' }),
});

export const transactionPageSchema = z.object({
  items: z.array(transactionSchema),
  nextCursor: z.string().nullable(),
});

export const inDoubtSchema = z.object({
  items: z.array(
    z.object({
      transactionId: uuid,
      branchId: uuid,
      participant: z.string(),
      gid: z.string(),
      state: z.enum(['in-doubt', 'heuristic-rollback', 'heuristic-commit', 'unknown-old']),
      since: time,
      reason: z.string(),
      rulings: z.array(z.object({ action: rulingAction, force: z.boolean() })),
    }),
  ),
  nextCursor: z.string().nullable(),
});

export const resolutionSchema = z.object({
  ruling: rulingSchema.nullable(),
  transaction: transactionSchema.nullable(),
});

export const clusterSchema = z.object({
  clusterName: z.string(),
  directAddress: z.string().nullable(),
  clusterId: z.string().nullable(),
  nodeId: z.int(),
  incarnation: z.string(),
  standing: z.enum(['member', 'founding', 'joining', 'returning', 'removed']),
  obstacle: z.string().nullable(),
  forgetful: z.array(z.int()),
  leaderId: z.int().nullable(),
  term: z.int(),
  commitIndex: z.int(),
  appliedIndex: z.int(),
  lastIndex: z.int(),
  changing: z.boolean(),
  transferTarget: z.int().nullable(),
  diskFullReason: z.string().nullable(),
  refusedMessages: z.int(),
  misdirectedMessages: z.int(),
  members: z.array(
    z.object({
      nodeId: z.int(),
      role: z.enum(['voter', 'learner', 'leaving']),
      state: z.enum(['leader', 'follower', 'candidate', 'unknown']),
      raftUrl: z.string(),
      httpUrl: z.string(),
      matchIndex: z.int().nullable(),
      lag: z.int().nullable(),
      replication: z.enum(['probe', 'replicate', 'snapshot']).nullable(),
      healthy: z.boolean(),
      incarnation: z.string().nullable(),
      returning: z.boolean(),
      connection: z
        .object({
          connected: z.boolean(),
          roundTripMs: z.number().nullable(),
          sentBytes: z.int(),
          receivedBytes: z.int(),
          sentMessages: z.int(),
          receivedMessages: z.int(),
          droppedMessages: z.int(),
          bufferedBytes: z.int(),
          reconnects: z.int(),
        })
        .nullable(),
    }),
  ),
});

export const lockSchema = z.object({
  name: z.string(),
  owner: z.string(),
  fencingToken: z.int(),
  expiresAt: time,
});
export const lockPageSchema = z.object({
  items: z.array(
    z.object({
      ...lockSchema.shape,
      principal: z.string().optional().meta({ description: 'who took it; absent without authentication' }),
      waiters: z.int().nullable(),
    }),
  ),
  nextCursor: z.string().nullable(),
});

export const problemSchema = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.string(),
  detail: z.string(),
  instance: z.string(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
});
export const liveSchema = z.object({ status: z.literal('live') });
export const readySchema = z.object({
  status: z.enum(['ready', 'not-ready']),
  for: z.enum(READINESS_PURPOSES),
  lacks: z.array(z.enum(['membership', 'leader', 'disk', 'broker', 'stopping'])),
  reasons: z.array(z.string()),
});
export const failpointListSchema = z.object({ armed: z.array(z.string()), known: z.array(z.string()) });

/** Named schemas of the OpenAPI document. */
export const COMPONENT_SCHEMAS = {
  Begin: beginSchema,
  Execute: executeSchema,
  WorkBranch: workBranchSchema,
  PreparedBranch: preparedBranchSchema,
  HeldBranch: heldBranchSchema,
  End: endSchema,
  Commit: commitSchema,
  Branch: branchSchema,
  Transaction: transactionSchema,
  BegunTransaction: begunSchema,
  TransactionPage: transactionPageSchema,
  InDoubtList: inDoubtSchema,
  Resolve: resolveSchema,
  Resolution: resolutionSchema,
  Cluster: clusterSchema,
  SetMember: memberSchema,
  SetLeader: leaderSchema,
  AcquireLock: acquireLockSchema,
  RenewLock: renewLockSchema,
  Lock: lockSchema,
  LockPage: lockPageSchema,
  Problem: problemSchema,
  Live: liveSchema,
  Ready: readySchema,
  ArmFailpoints: failpointsSchema,
  Failpoints: failpointListSchema,
} as const;

export type ComponentName = keyof typeof COMPONENT_SCHEMAS;
