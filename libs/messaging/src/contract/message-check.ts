import { isExactText, isTraceparent, isUuid, type JsonValue } from '@concordat/foundation';
import {
  MAXIMUM_ROUND,
  LIMITS,
  type BranchAddress,
  type ProtocolMessage,
  type ThreePhasePrepareMessage,
  type TwoPhasePrepareMessage,
} from '@concordat/commit-protocol';
import { isParticipantName } from './topics.js';

type Check = (value: unknown) => boolean;
/** One check for each field of the type, and for no other. */
type Checks<T> = { readonly [Field in keyof Required<T>]: Check };
type MessageOf<Type extends ProtocolMessage['type']> = Extract<ProtocolMessage, { readonly type: Type }>;
type VariantOf<Of extends 'request' | 'answer', Type> = Extract<
  Of extends 'request' ? MessageOf<'ballot-request'>['request'] : MessageOf<'ballot-answer'>['answer'],
  { readonly type: Type }
>;

/** Values from `JSON.parse` are JSON already; this checks that they are exact and not too deep. */
export function isJsonOfBoundedDepth(value: unknown, depth = 0): value is JsonValue {
  switch (typeof value) {
    case 'string':
      return isExactText(value);
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value);
    case 'object': {
      if (value === null) return true;
      if (depth >= LIMITS.jsonDepth) return false;
      if (Array.isArray(value)) return value.every((item) => isJsonOfBoundedDepth(item, depth + 1));
      // an undefined field is not sent, as its sender intends
      for (const key of Object.keys(value)) {
        const field = (value as Record<string, unknown>)[key];
        if (field !== undefined && !(isExactText(key) && isJsonOfBoundedDepth(field, depth + 1))) return false;
      }
      return true;
    }
    default:
      return false;
  }
}

const isId: Check = (value) => typeof value === 'string' && isUuid(value);
const isParticipant: Check = (value) => typeof value === 'string' && isParticipantName(value);
const isCount: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const isJson: Check = (value) => isJsonOfBoundedDepth(value);

function countUpTo(maximum: number): Check {
  return (value) => isCount(value) && (value as number) <= maximum;
}

function text(minimumLength: number, maximumLength: number): Check {
  return (value) =>
    typeof value === 'string' && value.length >= minimumLength && value.length <= maximumLength && isExactText(value);
}

function isAnyOf(...values: readonly unknown[]): Check {
  return (value) => values.includes(value);
}

function optional(check: Check): Check {
  return (value) => value === undefined || check(value);
}

function listOf(check: Check, maximumLength: number, minimumLength = 0): Check {
  return (value) => {
    if (!Array.isArray(value) || value.length > maximumLength || value.length < minimumLength) return false;
    for (let place = 0; place < value.length; place++) if (!check(value[place])) return false;
    return true;
  };
}

/** An object with these fields and no others. A field that is present and `undefined` is left to the schema. */
function object<T>(checks: Checks<T>): Check {
  const names = Object.keys(checks);
  const checksInOrder = Object.values<Check>(checks);
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
    let present = 0;
    for (let place = 0; place < names.length; place++) {
      const field = (value as Record<string, unknown>)[names[place]!];
      if (!checksInOrder[place]!(field)) return false;
      if (field !== undefined) present++;
    }
    return Object.keys(value).length === present;
  };
}

/** An object with a discriminating field, by default `type`. */
function variant(checks: Readonly<Record<string, Check>>, field = 'type'): Check {
  const byType = new Map<unknown, Check>(Object.entries(checks));
  return (value) => {
    if (typeof value !== 'object' || value === null) return false;
    return byType.get((value as Record<string, unknown>)[field])?.(value) === true;
  };
}

const isOperationName = text(1, LIMITS.operationNameLength);
const areOperations = listOf(
  object<MessageOf<'prepare'>['operations'][number]>({
    operation: isOperationName,
    payload: isJson,
    keys: listOf(text(1, LIMITS.keyLength), LIMITS.keysPerOperation),
  }),
  LIMITS.operations,
);
const areResults = listOf(isJson, LIMITS.operations);
const isError = object<NonNullable<MessageOf<'vote'>['error']>>({
  code: text(1, LIMITS.errorCodeLength),
  message: text(0, LIMITS.errorMessageLength),
});
const isDecision = isAnyOf('commit', 'abort');
const isAcceptor = object<MessageOf<'ballot-request'>['acceptors'][number]>({
  branchId: isId,
  participant: isParticipant,
});
const areAcceptors = listOf(isAcceptor, LIMITS.branches, 1);
const isBallot = object<VariantOf<'request', 'promise'>['ballot']>({
  round: countUpTo(MAXIMUM_ROUND),
  proposer: countUpTo(LIMITS.branches),
});
const heldBy = optional(text(1, LIMITS.instanceNameLength));
const isShortName = (value: unknown): boolean =>
  typeof value === 'string' && value !== '' && value.length <= LIMITS.instanceNameLength;
const traceparent = optional(isTraceparent);
const dissents = optional(isAnyOf(true));
const address: Checks<BranchAddress> = { transactionId: isId, branchId: isId, participant: isParticipant };

const request = {
  promise: object<VariantOf<'request', 'promise'>>({ type: isAnyOf('promise'), ballot: isBallot }),
  accept: object<VariantOf<'request', 'accept'>>({ type: isAnyOf('accept'), ballot: isBallot, value: isDecision }),
} satisfies Record<MessageOf<'ballot-request'>['request']['type'], Check>;

const isAccepted = object<NonNullable<VariantOf<'answer', 'promised'>['accepted']>>({
  ballot: isBallot,
  value: isDecision,
});
const answer = {
  promised: object<VariantOf<'answer', 'promised'>>({
    type: isAnyOf('promised'),
    ballot: isBallot,
    accepted: optional(isAccepted),
    committed: optional(isAnyOf(true)),
    dissents,
  }),
  accepted: object<VariantOf<'answer', 'accepted'>>({ type: isAnyOf('accepted'), ballot: isBallot, dissents }),
  outbid: object<VariantOf<'answer', 'outbid'>>({
    type: isAnyOf('outbid'),
    ballot: isBallot,
    promised: isBallot,
    dissents,
  }),
  abstains: object<VariantOf<'answer', 'abstains'>>({ type: isAnyOf('abstains'), ballot: isBallot, dissents }),
  decided: object<VariantOf<'answer', 'decided'>>({ type: isAnyOf('decided'), decision: isDecision }),
} satisfies Record<MessageOf<'ballot-answer'>['answer']['type'], Check>;

const anyPrepare = {
  type: isAnyOf('prepare'),
  ...address,
  operations: areOperations,
  deadline: isCount,
  attempt: isCount,
  epoch: object<MessageOf<'prepare'>['epoch']>({ term: isCount, index: isCount }),
  heldBy,
  traceparent,
};
const prepare = {
  '2pc': object<TwoPhasePrepareMessage>({ ...anyPrepare, protocol: isAnyOf('2pc') }),
  '3pc': object<ThreePhasePrepareMessage>({
    ...anyPrepare,
    protocol: isAnyOf('3pc'),
    acceptors: areAcceptors,
    enlistedVote: optional(isAnyOf('yes', 'read-only')),
  }),
} satisfies Record<MessageOf<'prepare'>['protocol'], Check>;

const checks: { readonly [Type in ProtocolMessage['type']]: Check } = {
  prepare: variant(prepare, 'protocol'),
  'commit-one-phase': object<MessageOf<'commit-one-phase'>>({
    type: isAnyOf('commit-one-phase'),
    ...address,
    operations: areOperations,
    deadline: isCount,
    attempt: isCount,
    traceparent,
  }),
  decision: object<MessageOf<'decision'>>({
    type: isAnyOf('decision'),
    ...address,
    decision: isDecision,
    attempt: isCount,
    heldBy,
  }),
  ruling: object<MessageOf<'ruling'>>({ type: isAnyOf('ruling'), ...address, ruling: isDecision, attempt: isCount }),
  'unknown-old': object<MessageOf<'unknown-old'>>({ type: isAnyOf('unknown-old'), ...address }),
  undecided: object<MessageOf<'undecided'>>({ type: isAnyOf('undecided'), ...address }),
  'termination-due': object<MessageOf<'termination-due'>>({ type: isAnyOf('termination-due'), ...address }),
  'ballot-request': object<MessageOf<'ballot-request'>>({
    type: isAnyOf('ballot-request'),
    ...address,
    request: variant(request),
    acceptors: areAcceptors,
    proposer: optional(isAcceptor),
  }),
  'ballot-answer': object<MessageOf<'ballot-answer'>>({
    type: isAnyOf('ballot-answer'),
    ...address,
    answer: variant(answer),
    proposer: optional(isAcceptor),
  }),
  'branches-decided': object<MessageOf<'branches-decided'>>({
    type: isAnyOf('branches-decided'),
    ...address,
    decision: isDecision,
    amnesiacs: optional(listOf(isId, LIMITS.branches, 1)),
  }),
  vote: object<MessageOf<'vote'>>({
    type: isAnyOf('vote'),
    ...address,
    vote: isAnyOf('yes', 'no', 'read-only'),
    results: areResults,
    error: optional(isError),
  }),
  done: object<MessageOf<'done'>>({
    type: isAnyOf('done'),
    ...address,
    end: isAnyOf('committed', 'aborted', 'read-only', 'heuristic-rollback', 'heuristic-commit'),
    results: optional(areResults),
    error: optional(isError),
  }),
  inquiry: object<MessageOf<'inquiry'>>({ type: isAnyOf('inquiry'), ...address, gid: text(1, LIMITS.gidLength) }),
  announce: object<MessageOf<'announce'>>({
    type: isAnyOf('announce'),
    participant: isParticipant,
    instance: optional(isShortName),
    operations: listOf(isOperationName, LIMITS.announcedOperations),
    leaving: optional(isAnyOf(true)),
    abstainsBefore: optional(isCount),
    database: optional(isShortName),
  }),
  outcome: object<MessageOf<'outcome'>>({
    type: isAnyOf('outcome'),
    transactionId: isId,
    outcome: isAnyOf('committed', 'aborted', 'mixed'),
    decidedAt: isCount,
    endedAt: isCount,
    participants: listOf(isParticipant, LIMITS.branches),
  }),
};

/**
 * Whether a value is a message, without version and cluster. Accepts exactly what the schemas accept of values from
 * JSON, in a twentieth of their time; the schemas only explain a refusal. A test compares the two.
 */
export const isMessage = variant(checks) as (value: object) => value is ProtocolMessage;
