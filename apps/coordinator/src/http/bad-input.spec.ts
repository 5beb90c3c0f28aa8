import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { BRANCH_ID, ID } from './testing/fake-engine.js';
import { checkRefused, EXECUTE, type Case } from './testing/refused.js';
import { createTestNode, type TestNode } from './testing/test-node.js';

const work = { participant: 'bank-a', operation: 'debit', payload: { account: 'acc-1', amount: 5 } };

let node: TestNode;
beforeAll(async () => {
  node = await createTestNode({ CONCORDAT_MAX_BRANCHES: '3' });
});
afterAll(() => node.app.close());
afterEach(() => {
  for (const { calls } of [node.transactions, node.cluster]) {
    const happened = calls.splice(0);
    expect(happened).toEqual([]);
  }
});

const check = (one: Case): Promise<void> => checkRefused(node, one);

function nested(depth: number): string {
  return `${'['.repeat(depth)}${']'.repeat(depth)}`;
}
function withPayload(json: string): string {
  return `{"branches":[{"participant":"bank-a","operation":"debit","payload":${json}}]}`;
}

describe('bodies', () => {
  const cases: Case[] = [
    { name: 'none where one is needed', code: 'INVALID_REQUEST', paths: [''] },
    { name: 'not JSON', raw: '{"branches":', code: 'INVALID_JSON' },
    { name: 'not UTF-8', raw: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), code: 'INVALID_JSON' },
    { name: 'an array', body: [], code: 'INVALID_REQUEST', paths: [''] },
    { name: 'null', raw: 'null', code: 'INVALID_REQUEST', paths: [''] },
    {
      name: 'another type',
      raw: 'a=1',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      status: 415,
      code: 'UNSUPPORTED_MEDIA_TYPE',
    },
    { name: 'text', raw: '{}', headers: { 'content-type': 'text/plain' }, status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' },
    { name: 'an unknown field', body: { branches: [], retries: 3 }, code: 'UNKNOWN_FIELD', paths: ['retries'] },
    {
      name: 'an unknown field in a branch',
      body: { branches: [{ ...work, foo: 1, bar: 2 }] },
      code: 'UNKNOWN_FIELD',
      paths: ['branches[0].foo', 'branches[0].bar'],
    },
    {
      name: 'wrong types',
      body: { branches: [{ ...work, participant: 7 }], timeoutMs: '5' },
      code: 'INVALID_REQUEST',
      paths: ['timeoutMs', 'branches[0].participant'],
    },
    { name: 'branches that are no list', body: { branches: {} }, code: 'INVALID_REQUEST', paths: ['branches'] },
    {
      name: 'a branch without payload',
      body: { branches: [{ participant: 'a', operation: 'b' }] },
      code: 'INVALID_REQUEST',
      paths: ['branches[0].payload'],
    },
    {
      name: 'an empty name',
      body: { branches: [{ ...work, operation: '' }] },
      code: 'INVALID_REQUEST',
      paths: ['branches[0].operation'],
    },
    {
      name: 'keys that are no texts',
      body: { branches: [{ ...work, keys: [1] }] },
      code: 'INVALID_REQUEST',
      paths: ['branches[0].keys[0]'],
    },
    {
      name: 'metadata that is no object',
      body: { branches: [], metadata: [1] },
      code: 'INVALID_REQUEST',
      paths: ['metadata'],
    },
    {
      name: 'a protocol that does not exist',
      body: { branches: [], protocol: '4pc' },
      code: 'INVALID_REQUEST',
      paths: ['protocol'],
    },
    {
      name: 'an unknown field in begin',
      url: '/v1/transactions',
      body: { branches: [] },
      code: 'UNKNOWN_FIELD',
      paths: ['branches'],
    },
    {
      name: 'a body in commit',
      url: `/v1/transactions/${ID}/commit`,
      body: { force: true },
      code: 'UNKNOWN_FIELD',
      paths: ['force'],
    },
    {
      name: 'a branch with operations in commit',
      url: `/v1/transactions/${ID}/commit`,
      body: { branches: [work] },
      code: 'INVALID_REQUEST',
      paths: ['branches[0]'],
    },
    {
      name: 'a branch with a vote and an instance in abort',
      url: `/v1/transactions/${ID}/abort`,
      body: { branches: [{ participant: 'a', branchId: ID, vote: 'yes', instance: 'a-1' }] },
      code: 'INVALID_REQUEST',
      paths: ['branches[0]'],
    },
    {
      name: 'too many branches in commit',
      url: `/v1/transactions/${ID}/commit`,
      body: { branches: Array.from({ length: 65 }, () => ({ participant: 'a', branchId: ID, instance: 'a-1' })) },
      code: 'INVALID_REQUEST',
      paths: ['branches'],
    },
    {
      name: 'a beginner without its process',
      url: '/v1/transactions',
      body: { beginner: { participant: 'a' } },
      code: 'INVALID_REQUEST',
      paths: ['beginner.instance'],
    },
    {
      name: 'a body in abort',
      url: `/v1/transactions/${ID}/abort`,
      body: { why: 1 },
      code: 'UNKNOWN_FIELD',
      paths: ['why'],
    },
    ...[
      ['no action', { reason: 'x' }, ['action']],
      ['nonsense for an action', { action: 'explode', reason: 'x' }, ['action']],
      ['no reason', { action: 'abort' }, ['reason']],
      ['an empty reason', { action: 'abort', reason: '' }, ['reason']],
      ['a blank reason', { action: 'abort', reason: ' \u2003 ' }, ['reason']],
      ['a reason of two lines', { action: 'abort', reason: 'fine\n2026 ALERT forged' }, ['reason']],
      ['a reason that steers a terminal', { action: 'abort', reason: '\u001b[2J' }, ['reason']],
      ['a reason that is too long', { action: 'abort', reason: 'x'.repeat(1_001) }, ['reason']],
      ['a reason that is much too long', { action: 'abort', reason: `${' '.repeat(900_000)}\n` }, ['reason', 'reason']],
      ['a reason that is no text', { action: 'abort', reason: { why: 1 } }, ['reason']],
      ['an empty operator', { action: 'abort', reason: 'x', operator: '' }, ['operator']],
      ['an operator that is too long', { action: 'abort', reason: 'x', operator: 'x'.repeat(256) }, ['operator']],
      ['force as a text', { action: 'abort', reason: 'x', force: 'true' }, ['force']],
      ['a branch that is no id', { action: 'abort', reason: 'x', branchId: '../1' }, ['branchId']],
      ['another case for an action', { action: 'ABORT', reason: 'x' }, ['action']],
      ['several actions', { action: ['commit', 'abort'], reason: 'x' }, ['action']],
      ['an action that every object has', { action: 'constructor', reason: 'x' }, ['action']],
      ['null for an action', { action: null, reason: 'x' }, ['action']],
      ['an operator of two lines', { action: 'abort', reason: 'x', operator: 'ann\nALERT forged' }, ['operator']],
      ['an operator that is no text', { action: 'abort', reason: 'x', operator: ['ann'] }, ['operator']],
      ['force as a number', { action: 'abort', reason: 'x', force: 1 }, ['force']],
      ['force as null', { action: 'abort', reason: 'x', force: null }, ['force']],
      ['an empty branch', { action: 'abort', reason: 'x', branchId: '' }, ['branchId']],
      ['a branch in upper case', { action: 'abort', reason: 'x', branchId: BRANCH_ID.toUpperCase() }, ['branchId']],
      ['several branches', { action: 'abort', reason: 'x', branchId: [BRANCH_ID, BRANCH_ID] }, ['branchId']],
      ['null for a branch', { action: 'abort', reason: 'x', branchId: null }, ['branchId']],
      [
        'everything wrong at once',
        { action: 1, reason: 2, operator: 3, force: 4, branchId: 5 },
        ['action', 'branchId', 'reason', 'operator', 'force'],
      ],
    ].map(([name, body, paths]) => ({
      name: `a ruling with ${String(name)}`,
      url: `/v1/transactions/${ID}/resolve`,
      body,
      code: 'INVALID_REQUEST',
      paths: paths as string[],
    })),
    {
      name: 'an unknown field in a ruling',
      url: `/v1/transactions/${ID}/resolve`,
      body: { action: 'abort', reason: 'x', decision: 'commit' },
      code: 'UNKNOWN_FIELD',
      paths: ['decision'],
    },
    ...[
      ['a ballot of its own', { ballot: { round: 1, proposer: 0 } }, ['ballot']],
      ['votes of its own', { reports: [{ branchId: BRANCH_ID, vote: 'yes' }] }, ['reports']],
      ['a participant', { participant: 'bank-a' }, ['participant']],
      ['a basis', { basis: { type: 'branches', toldBy: BRANCH_ID } }, ['basis']],
    ].map(([name, fields, paths]) => ({
      name: `a ruling that brings ${String(name)}`,
      url: `/v1/transactions/${ID}/resolve`,
      body: { action: 'commit', reason: 'x', ...(fields as object) },
      code: 'UNKNOWN_FIELD',
      paths: paths as string[],
    })),
    ...[
      ['no body', undefined, 'INVALID_REQUEST'],
      ['a list for a body', '[{"action":"abort","reason":"x"}]', 'INVALID_REQUEST'],
      ['half a body', '{"action":"abort","reason":', 'INVALID_JSON'],
      ['a prototype', '{"action":"abort","reason":"x","__proto__":{"force":true}}', 'FORBIDDEN_KEY'],
    ].map(([name, raw, code]) => ({
      name: `a ruling with ${name}`,
      url: `/v1/transactions/${ID}/resolve`,
      ...(raw !== undefined && { raw }),
      code: code!,
    })),
    {
      name: 'a ruling with a parameter',
      url: `/v1/transactions/${ID}/resolve?force=true`,
      body: { action: 'abort', reason: 'x' },
      code: 'UNKNOWN_PARAMETER',
      paths: ['force'],
    },
    ...['3PC', '3pc ', 3, null, ['3pc'], {}, ''].map((protocol) => ({
      name: `the protocol ${JSON.stringify(protocol)}`,
      body: { branches: [], protocol },
      code: 'INVALID_REQUEST',
      paths: ['protocol'],
    })),
    ...[
      ['acceptors', []],
      ['ballot', { round: 0, proposer: 0 }],
      ['terminationTimeoutMs', 5],
    ].map(([field, value]) => ({
      name: `three phases with ${String(field)} of its own`,
      url: '/v1/transactions',
      body: { protocol: '3pc', [String(field)]: value },
      code: 'UNKNOWN_FIELD',
      paths: [String(field)],
    })),
    {
      name: 'a ruling on what is no id',
      url: '/v1/transactions/17/resolve',
      body: { action: 'abort', reason: 'x' },
      code: 'INVALID_ID',
      paths: ['id'],
    },
    ...[0, 99, 3_600_001, 1.5, -5].map((timeoutMs) => ({
      name: `timeoutMs ${timeoutMs}`,
      body: { branches: [], timeoutMs },
      code: 'INVALID_REQUEST',
      paths: ['timeoutMs'],
    })),
    {
      name: 'prepared work with an operation',
      url: `/v1/transactions/${ID}/branches`,
      body: { ...work, vote: 'yes', branchId: BRANCH_ID },
      code: 'UNKNOWN_FIELD',
      paths: ['operation', 'payload'],
    },
    {
      name: 'a held branch with an operation',
      url: `/v1/transactions/${ID}/branches`,
      body: { ...work, instance: 'bank-a-1', branchId: BRANCH_ID },
      code: 'UNKNOWN_FIELD',
      paths: ['operation', 'payload'],
    },
    {
      name: 'a held branch with a vote',
      url: `/v1/transactions/${ID}/branches`,
      body: { participant: 'a', instance: 'a-1', vote: 'yes', branchId: BRANCH_ID },
      code: 'UNKNOWN_FIELD',
      paths: ['instance'],
    },
    {
      name: 'a held branch without an id',
      url: `/v1/transactions/${ID}/branches`,
      body: { participant: 'a', instance: 'a-1' },
      code: 'INVALID_REQUEST',
      paths: ['branchId'],
    },
    ...['', 'x'.repeat(256), 7].map((instance) => ({
      name: `the instance ${JSON.stringify(instance).slice(0, 12)}`,
      url: `/v1/transactions/${ID}/branches`,
      body: { participant: 'a', instance, branchId: BRANCH_ID },
      code: 'INVALID_REQUEST',
      paths: ['instance'],
    })),
    {
      name: 'an unknown vote',
      url: `/v1/transactions/${ID}/branches`,
      body: { participant: 'a', vote: 'maybe', branchId: BRANCH_ID },
      code: 'INVALID_REQUEST',
      paths: ['vote'],
    },
    {
      name: 'a branchId that is no UUID',
      url: `/v1/transactions/${ID}/branches`,
      body: { participant: 'a', vote: 'yes', branchId: 'b1' },
      code: 'INVALID_REQUEST',
      paths: ['branchId'],
    },
    {
      name: 'too many branches',
      body: { branches: ['a', 'b', 'c', 'd'].map((participant) => ({ ...work, participant })) },
      code: 'TOO_MANY_BRANCHES',
    },
    {
      name: 'too many operations',
      body: { branches: Array.from({ length: 257 }, () => work) },
      code: 'TOO_MANY_BRANCHES',
    },
    {
      name: 'a payload over 256 KiB',
      body: { branches: [{ ...work, payload: 'x'.repeat(262_143) }] },
      status: 413,
      code: 'PAYLOAD_TOO_LARGE',
      paths: ['branches[0].payload'],
    },
    {
      name: 'a payload over 256 KiB of UTF-8',
      body: { branches: [{ ...work, payload: 'é'.repeat(131_072) }] },
      status: 413,
      code: 'PAYLOAD_TOO_LARGE',
    },
    {
      name: 'metadata over 16 KiB',
      url: '/v1/transactions',
      body: { metadata: { a: 'x'.repeat(16_377) } },
      status: 413,
      code: 'METADATA_TOO_LARGE',
      paths: ['metadata'],
    },
    { name: 'a body over 1 MiB', raw: `{"branches":[]}${' '.repeat(1_048_577)}`, status: 413, code: 'BODY_TOO_LARGE' },
    {
      name: '__proto__',
      raw: withPayload('{"a":[{"__proto__":{"admin":true}}]}'),
      code: 'FORBIDDEN_KEY',
      paths: ['branches[0].payload.a[0].__proto__'],
    },
    { name: 'constructor.prototype', raw: withPayload('{"constructor":{"prototype":{}}}'), code: 'FORBIDDEN_KEY' },
    ...['9007199254740992', '9007199254740993', '-9007199254740993', '1e400', '123456789012345678901234567890'].map(
      (number) => ({
        name: `the number ${number}`,
        raw: withPayload(`{"amount":${number}}`),
        code: 'INVALID_NUMBER',
        paths: ['branches[0].payload.amount'],
      }),
    ),
    {
      name: 'a lone surrogate in a text',
      raw: withPayload('{"account":"a\\ud800"}'),
      code: 'INVALID_TEXT',
      paths: ['branches[0].payload.account'],
    },
    {
      name: 'NUL in a text',
      raw: withPayload('["\\u0000"]'),
      code: 'INVALID_TEXT',
      paths: ['branches[0].payload[0]'],
    },
    {
      name: 'a lone surrogate in the name of a field',
      raw: withPayload('{"\\udc00\\ud800":1}'),
      code: 'INVALID_TEXT',
      paths: ['branches[0].payload.\\udc00\\ud800'],
    },
    { name: 'NUL in metadata', raw: '{"branches":[],"metadata":{"a":"\\u0000"}}', code: 'INVALID_TEXT' },
    {
      name: 'the name of an operation that nobody can announce',
      body: { branches: [{ ...work, operation: 'x'.repeat(129) }] },
      code: 'INVALID_REQUEST',
      paths: ['branches[0].operation'],
    },
    {
      name: 'a key that no message takes',
      body: { branches: [{ ...work, keys: ['x'.repeat(256)] }] },
      code: 'INVALID_REQUEST',
      paths: ['branches[0].keys[0]'],
    },
    { name: 'a body nested without bound', raw: withPayload(nested(100_000)), code: 'NESTED_TOO_DEEPLY' },
  ];
  it.each(cases)('refuses $name', check);

  it('takes the largest exact integers, 256 KiB, and as many branches as are allowed', async () => {
    const payload = { least: Number.MIN_SAFE_INTEGER, most: Number.MAX_SAFE_INTEGER, half: 0.5 };
    const branches = ['a', 'b', 'c'].map((participant) => ({ ...work, participant, payload }));
    const more = Array.from({ length: 253 }, () => ({ ...work, participant: 'a' }));
    const large = { ...work, participant: 'b', payload: 'x'.repeat(262_142) };
    for (const list of [[...branches, ...more], [large]]) {
      const answer = await node.app.inject({ method: 'POST', url: EXECUTE, payload: { branches: list } });
      expect(answer.statusCode).toBe(200);
    }
    node.transactions.calls.length = 0;
  });
});
