import type { Cluster, Member } from './cluster.js';
import type { JsonValue } from './json.js';
import type { ListedLock, Lock } from './lock.js';
import {
  boolean,
  integer,
  json,
  list,
  nullable,
  number,
  object,
  openValues,
  optional,
  record,
  text,
  time,
  uuid,
  values,
  type Shape,
} from './shape.js';
import type {
  BegunTransaction,
  Branch,
  InDoubtBranch,
  Operation,
  Resolution,
  Ruling,
  Transaction,
} from './transaction.js';

/** A page of a list. */
export interface Page<Item> {
  readonly items: readonly Item[];
  /** null: there are no more */
  readonly nextCursor: string | null;
}

const vote = values('yes', 'no', 'read-only');
const decision = values('commit', 'abort');
const rulingAction = values('commit', 'abort', 'forget');

const operationShape = object<Operation>({
  operation: text,
  payload: json<JsonValue>(),
  keys: list(text),
  result: optional(json<JsonValue>()),
});

export const branchShape = object<Branch>({
  branchId: uuid,
  participant: text,
  instance: optional(text),
  operations: list(operationShape),
  vote: nullable(vote),
  state: openValues(
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
  ),
  ruling: optional(decision),
  error: optional(object<NonNullable<Branch['error']>>({ code: text, message: text })),
});

const rulingShape = object<Ruling>({
  action: rulingAction,
  branchId: optional(uuid),
  operator: text,
  reason: text,
  force: boolean,
  effect: openValues('decided', 'branch-ruled', 'forgotten', 'unknown-old'),
  at: time,
});

const transactionFields = {
  id: uuid,
  protocol: values('2pc', '3pc'),
  status: values('active', 'preparing', 'precommitted', 'committing', 'committed', 'aborting', 'aborted', 'mixed'),
  decision: nullable(decision),
  outcome: nullable(values('committed', 'aborted', 'mixed')),
  reason: nullable(
    openValues(
      'PARTICIPANT_REFUSED',
      'INVALID_PAYLOAD',
      'LOCK_TIMEOUT',
      'DEADLINE_EXCEEDED',
      'ADMISSION_TIMEOUT',
      'CLIENT_ABORTED',
      'OPERATOR',
      'BRANCHES_DECIDED',
    ),
  ),
  detail: optional(text),
  cause: optional(
    object<NonNullable<Transaction['cause']>>({ branchId: uuid, participant: text, participantCode: optional(text) }),
  ),
  branches: list(branchShape),
  metadata: record(json<JsonValue>()),
  owner: optional(text),
  warnings: list(text),
  rulings: list(rulingShape),
  createdAt: time,
  deadline: time,
  decidedAt: nullable(time),
  endedAt: nullable(time),
  logIndex: integer,
};

export const transactionShape = object<Transaction>(transactionFields);

export const begunShape = object<BegunTransaction>({ ...transactionFields, reserved: optional(list(uuid)) });

function page<Item>(item: Shape<Item>): Shape<Page<Item>> {
  return object<Page<Item>>({ items: list(item), nextCursor: nullable(text) });
}

export const transactionPageShape = page(transactionShape);

export const inDoubtPageShape = page(
  object<InDoubtBranch>({
    transactionId: uuid,
    branchId: uuid,
    participant: text,
    gid: text,
    state: openValues('in-doubt', 'heuristic-rollback', 'heuristic-commit', 'unknown-old'),
    since: time,
    reason: text,
    rulings: list(object<InDoubtBranch['rulings'][number]>({ action: rulingAction, force: boolean })),
  }),
);

export const resolutionShape = object<Resolution>({
  ruling: nullable(rulingShape),
  transaction: nullable(transactionShape),
});

export const clusterShape = object<Cluster>({
  clusterName: text,
  directAddress: nullable(text),
  clusterId: nullable(text),
  nodeId: integer,
  incarnation: text,
  standing: openValues('member', 'founding', 'joining', 'returning', 'removed'),
  obstacle: nullable(text),
  forgetful: list(integer),
  leaderId: nullable(integer),
  term: integer,
  commitIndex: integer,
  appliedIndex: integer,
  lastIndex: integer,
  changing: boolean,
  transferTarget: nullable(integer),
  diskFullReason: nullable(text),
  refusedMessages: integer,
  misdirectedMessages: integer,
  members: list(
    object<Member>({
      nodeId: integer,
      role: openValues('voter', 'learner', 'leaving'),
      state: openValues('leader', 'follower', 'candidate', 'unknown'),
      raftUrl: text,
      httpUrl: text,
      matchIndex: nullable(integer),
      lag: nullable(integer),
      replication: nullable(openValues('probe', 'replicate', 'snapshot')),
      healthy: boolean,
      incarnation: nullable(text),
      returning: boolean,
      connection: nullable(
        object<NonNullable<Member['connection']>>({
          connected: boolean,
          roundTripMs: nullable(number),
          sentBytes: integer,
          receivedBytes: integer,
          sentMessages: integer,
          receivedMessages: integer,
          droppedMessages: integer,
          bufferedBytes: integer,
          reconnects: integer,
        }),
      ),
    }),
  ),
});

export const lockShape = object<Lock>({ name: text, owner: text, fencingToken: integer, expiresAt: time });

export const lockPageShape = page(
  object<ListedLock>({
    name: text,
    owner: text,
    fencingToken: integer,
    expiresAt: time,
    principal: optional(text),
    waiters: nullable(integer),
  }),
);

/** RFC 9457; further members depend on the code. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly instance: string;
  readonly errors?: readonly FieldError[] | undefined;
}

/** What is wrong with one field of a request. */
export interface FieldError {
  /** such as `branches[2].payload`; empty for the whole */
  readonly path: string;
  readonly message: string;
}

export const problemShape = object<Problem>({
  type: text,
  title: text,
  status: integer,
  code: text,
  detail: text,
  instance: text,
  errors: optional(list(object<FieldError>({ path: text, message: text }))),
});
