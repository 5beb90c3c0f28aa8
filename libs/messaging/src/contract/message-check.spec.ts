import { describe, expect, it } from '@jest/globals';
import { LIMITS } from '@concordat/commit-protocol';
import { randomInteger, randomItem, SeededRandom } from '@concordat/foundation';
import { isMessage } from './message-check.js';
import { messageSchemas } from './schemas.js';

const MESSAGES = 20_000;
const id = '018f2d3c-1111-7abc-8def-0123456789ab';
const branch = { transactionId: id, branchId: id, participant: 'bank-a' };
const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const operations = [{ operation: 'debit', payload: { account: 'acc-1', tags: [null, 'x', 1.5] }, keys: ['a'] }];
const acceptor = { branchId: id, participant: 'bank-a' };
const ballot = { round: 1, proposer: 0 };
const results = [{ balance: 3 }, null];
const error = { code: 'SOLD_OUT', message: 'nothing left ß€𝄞' };

/** Each type with all of its fields, and each of its variants. */
const COMPLETE: Record<keyof typeof messageSchemas, readonly object[]> = {
  prepare: [
    {
      ...branch,
      protocol: '3pc',
      operations,
      deadline: 1,
      attempt: 0,
      epoch: { term: 3, index: 77 },
      acceptors: [acceptor],
      enlistedVote: 'read-only',
      heldBy: 'bank-a-1',
      traceparent,
    },
    {
      ...branch,
      protocol: '2pc',
      operations,
      deadline: 1,
      attempt: 0,
      epoch: { term: 3, index: 77 },
      heldBy: 'bank-a-1',
      traceparent,
    },
  ],
  'commit-one-phase': [{ ...branch, operations, deadline: 1, attempt: 2, traceparent }],
  decision: [{ ...branch, decision: 'abort', attempt: 1, heldBy: 'bank-a-1' }],
  ruling: [{ ...branch, ruling: 'commit', attempt: 3 }],
  'unknown-old': [branch],
  undecided: [branch],
  'termination-due': [branch],
  'ballot-request': [
    { ...branch, request: { type: 'promise', ballot }, acceptors: [acceptor], proposer: acceptor },
    { ...branch, request: { type: 'accept', ballot, value: 'commit' }, acceptors: [acceptor] },
  ],
  'ballot-answer': [
    { type: 'promised', ballot, accepted: { ballot, value: 'abort' }, committed: true, dissents: true },
    { type: 'accepted', ballot, dissents: true },
    { type: 'outbid', ballot, promised: ballot, dissents: true },
    { type: 'abstains', ballot, dissents: true },
    { type: 'decided', decision: 'commit' },
  ].map((answer) => ({ ...branch, answer, proposer: acceptor })),
  'branches-decided': [{ ...branch, decision: 'commit', amnesiacs: [id] }],
  vote: [{ ...branch, vote: 'no', results, error }],
  done: [{ ...branch, end: 'heuristic-rollback', results, error }],
  inquiry: [{ ...branch, gid: 'g' }],
  announce: [
    {
      participant: 'bank-a',
      instance: 'bank-a-1',
      operations: ['debit'],
      leaving: true,
      abstainsBefore: 5,
      database: '7/5',
    },
  ],
  outcome: [{ transactionId: id, outcome: 'mixed', decidedAt: 1, endedAt: 2, participants: ['bank-a'] }],
};

const messages = Object.entries(COMPLETE).flatMap(([type, all]) => all.map((fields) => ({ type, ...fields })));

/** On both sides of every bound, and of every kind. */
function strangeValues(): readonly unknown[] {
  const lengths = [
    ...new Set([LIMITS.errorCodeLength, LIMITS.operationNameLength, LIMITS.gidLength, LIMITS.keyLength]),
    LIMITS.errorMessageLength,
    LIMITS.participantNameLength,
    LIMITS.instanceNameLength,
  ].flatMap((length) => [length, length + 1]);
  const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
  return [
    ...[undefined, null, true, false, -1, -0, 0, 0.5, 63, 64, 65, 2 ** 31 - 1, 2 ** 31, 2 ** 53 - 1, 2 ** 53, 1e308],
    ...['', '\0', 'x\0', '\ud800', '\udc00x', '𝄞', '__proto__', 'BANK', '2pc', 'yes', 'commit', 'committed', id],
    ...lengths.map((length) => 'x'.repeat(length)),
    ...[[], [[]], {}, { '\ud800': 1 }, { x: undefined }, NaN, Infinity, 1n, () => 0, Symbol('s')],
    ...[LIMITS.jsonDepth - 2, LIMITS.jsonDepth - 1, LIMITS.jsonDepth, LIMITS.jsonDepth + 1].map(nested),
    ...[id.toUpperCase(), `${id}\n`, ballot, acceptor, error, { type: 'promise', ballot }, { type: 'decided' }],
    ...[[acceptor], operations, results, ['bank-a']].map((list) => list),
    ...[64, 65, 256, 257, 1_024, 1_025].map((count) => Array.from({ length: count }, () => 'x')),
    ...[64, 65].flatMap((count) => [acceptor, id].map((one) => Array.from({ length: count }, () => one))),
    ...[256, 257].map((count) => Array.from({ length: count }, () => operations[0])),
  ];
}

/** Objects and lists anywhere in a value, itself first. */
function containersIn(value: unknown): object[] {
  if (typeof value !== 'object' || value === null) return [];
  return [value, ...Object.values(value).flatMap(containersIn)];
}

function change(random: SeededRandom, message: object, strange: readonly unknown[]): object {
  const changed = structuredClone(message);
  const place = randomItem(random, containersIn(changed)) as Record<string, unknown>;
  const names = Object.keys(place);
  const action = randomInteger(random, 0, 9);
  if (action === 0 && names.length > 0) delete place[randomItem(random, names)];
  else if (action === 1 && Array.isArray(place)) place.length = randomInteger(random, 0, 3);
  else if (action === 1) place[randomItem(random, ['color', 'constructor', 'v', 'dissents'])] = true;
  else if (names.length > 0) place[randomItem(random, names)] = randomItem(random, strange);
  return changed;
}

/** What a reader says, which knows nothing but the schemas. */
function schemaTakes(message: object): boolean {
  const { type } = message as { type?: keyof typeof messageSchemas };
  return (
    typeof type === 'string' && Object.hasOwn(messageSchemas, type) && messageSchemas[type].safeParse(message).success
  );
}

/** All that a schema, or any of its variants, has. */
function fieldsOf(schema: (typeof messageSchemas)[keyof typeof messageSchemas]): string[] {
  const variants = 'options' in schema ? schema.options : [schema];
  return [...new Set(variants.flatMap(({ shape }) => Object.keys(shape)))].sort();
}

describe('the check of messages', () => {
  it('takes each type with all of its fields', () => {
    for (const message of messages) expect([message.type, isMessage(message)]).toEqual([message.type, true]);
    for (const message of messages) expect([message.type, schemaTakes(message)]).toEqual([message.type, true]);
  });

  it('knows each field of each type', () => {
    for (const [type, schema] of Object.entries(messageSchemas)) {
      const fields = messages.filter((message) => message.type === type).flatMap((message) => Object.keys(message));
      expect([type, [...new Set(fields)].sort()]).toEqual([type, fieldsOf(schema)]);
    }
  });

  it(`says what the schemas say of ${MESSAGES} messages`, () => {
    const random = new SeededRandom(20_261_129);
    const strange = strangeValues();
    let taken = 0;
    for (let run = 0; run < MESSAGES; run++) {
      const message = change(random, randomItem(random, messages), strange);
      const accepted = schemaTakes(message);
      // a field that is there and undefined is left to the schemas
      if (isMessage(message) !== accepted && !(accepted && hasUndefined(message))) {
        throw new Error(
          `the schemas ${accepted ? 'take' : 'refuse'} what the check does not: ${describeValue(message)}`,
        );
      }
      if (accepted) taken++;
    }
    expect(taken).toBeGreaterThan(MESSAGES / 20);
    expect(taken).toBeLessThan(MESSAGES / 2);
  });

  it.each(messages.flatMap((message) => fieldsIn(message).map((path) => [message.type, path, message] as const)))(
    'agrees with the schema on every value of %s: %s',
    (_type, path, message) => {
      for (const value of strangeValues()) {
        const changed = structuredClone(message);
        const steps = path.split('.');
        const name = steps.pop()!;
        const place = steps.reduce<Record<string, unknown>>((inner, step) => inner[step] as never, changed as never);
        place[name] = value;
        const accepted = schemaTakes(changed);
        if (accepted && value === undefined) continue;
        if (isMessage(changed) !== accepted)
          throw new Error(`${path}: the schema says ${accepted} to ${describeValue(value)}`);
      }
    },
  );
});

function fieldsIn(value: object): string[] {
  return Object.entries(value).flatMap(([name, field]) => {
    if (typeof field !== 'object' || field === null) return [name];
    return [name, ...fieldsIn(field).map((inner) => `${name}.${inner}`)];
  });
}

function hasUndefined(value: unknown): boolean {
  return containersIn(value).some((inner) => Object.values(inner).includes(undefined));
}

function describeValue(value: unknown): string {
  return JSON.stringify(value, (_key, field: unknown) => (typeof field === 'bigint' ? `${field}n` : field))?.slice(
    0,
    500,
  );
}
