import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  BranchConflictError,
  IdempotencyKeyReusedError,
  LogUnavailableError,
  OutcomeUnknownError,
  OverloadedError,
  RecordTooLargeError,
  TransactionClosedError,
  TransactionDecidedError,
  TransactionExpiredError,
  TransactionNotFoundError,
  UnknownOperationError,
  UnknownParticipantError,
} from '../transactions/errors.js';
import { resolutionSchema, transactionSchema } from './schemas.js';
import { aborted, active, branch, BRANCH_ID, committed, committing, ID } from './testing/fake-engine.js';
import { createTestNode, type TestNode } from './testing/test-node.js';

const transfer = {
  branches: [{ participant: 'bank-a', operation: 'debit', payload: { account: 'acc-1', amount: 5 }, keys: ['acc-1'] }],
};

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

let node: TestNode;
beforeAll(async () => {
  node = await createTestNode();
});
afterAll(() => node.app.close());
beforeEach(() => {
  const { transactions } = node;
  transactions.calls.length = 0;
  transactions.failure = undefined;
  transactions.view = active;
  transactions.settlement = { settled: true, transaction: committed };
  transactions.enlisted = { created: true, branch };
});

function post(url: string, payload?: object, headers: Record<string, string> = {}) {
  return node.app.inject({ method: 'POST', url, headers, ...(payload && { payload }) });
}
function get(url: string) {
  return node.app.inject({ method: 'GET', url });
}

describe('transactions', () => {
  it('begins: 201, Location, defaults', async () => {
    const answer = await post('/v1/transactions', {});
    expect(answer.statusCode).toBe(201);
    expect(answer.headers).toMatchObject({
      location: `/v1/transactions/${ID}`,
      'content-type': 'application/json; charset=utf-8',
    });
    expect(transactionSchema.parse(answer.json())).toEqual(active);
    const request = { protocol: '2pc', timeoutMs: 30_000, metadata: {}, deferred: false };
    expect(node.transactions.calls).toEqual([['begin', request]]);
  });

  it('begins without a body', async () => {
    expect((await post('/v1/transactions')).statusCode).toBe(201);
    const empty = await post('/v1/transactions', undefined, { 'content-type': 'application/json' });
    expect(empty.statusCode).toBe(201);
  });

  it.each([
    ['one', TRACEPARENT, TRACEPARENT],
    ['the first valid one, where an instrumentation has added another', `nonsense, ${TRACEPARENT}`, TRACEPARENT],
    ['none, where it is invalid', '00-0-0-0', undefined],
  ])("hands the client's traceparent on: %s", async (_what, traceparent, expected) => {
    await post('/v1/transactions', {}, { traceparent });
    await post('/v1/transactions/execute', transfer, { traceparent });
    const handedOn = node.transactions.calls.map(([, request]) => (request as { traceparent?: string }).traceparent);
    expect(handedOn).toEqual([expected, expected]);
  });

  it('hands an Idempotency-Key on with a hash that does not depend on the order of fields', async () => {
    const headers = { 'idempotency-key': 'order-4711' };
    await post('/v1/transactions', { timeoutMs: 500, metadata: { a: 1, b: 2 } }, headers);
    await post('/v1/transactions', { metadata: { b: 2, a: 1 }, timeoutMs: 500 }, headers);
    await post('/v1/transactions', { metadata: { b: 2, a: 2 }, timeoutMs: 500 }, headers);
    const [first, second, third] = node.transactions.calls.map(
      ([, request]) => (request as { idempotency: { key: string; bodyHash: string } }).idempotency,
    );
    expect(first).toEqual({ key: 'order-4711', bodyHash: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(second).toEqual(first);
    expect(third?.bodyHash).not.toBe(first?.bodyHash);
  });

  it('tells equal bodies of different calls and transactions apart', async () => {
    const headers = { 'idempotency-key': 'k' };
    const body = transfer.branches[0];
    await post(`/v1/transactions/${ID}/branches`, body, headers);
    await post(`/v1/transactions/${BRANCH_ID}/branches`, body, headers);
    const hashes = node.transactions.calls.map((call) => (call[3] as { bodyHash: string }).bodyHash);
    expect(new Set(hashes).size).toBe(2);
  });

  it('enlists work: 201, and 200 for a repeat', async () => {
    const created = await post(`/v1/transactions/${ID}/branches`, transfer.branches[0]);
    expect(created.statusCode).toBe(201);
    expect(created.json()).toEqual(branch);
    expect(node.transactions.calls).toEqual([['enlist', ID, transfer.branches[0], undefined]]);
    node.transactions.enlisted = { created: false, branch };
    expect((await post(`/v1/transactions/${ID}/branches`, transfer.branches[0])).statusCode).toBe(200);
  });

  it('enlists a branch that a process holds', async () => {
    const held = { participant: 'bank-a', branchId: BRANCH_ID, instance: 'bank-a-1' };
    expect((await post(`/v1/transactions/${ID}/branches`, held)).statusCode).toBe(201);
    expect(node.transactions.calls).toEqual([['enlist', ID, held, undefined]]);
  });

  it('enlists prepared work', async () => {
    const prepared = { participant: 'bank-a', branchId: BRANCH_ID, vote: 'yes' };
    expect((await post(`/v1/transactions/${ID}/branches`, prepared)).statusCode).toBe(201);
    expect(node.transactions.calls).toEqual([['enlist', ID, prepared, undefined]]);
  });

  it('executes with the options of the query', async () => {
    const answer = await post('/v1/transactions/execute?waitMs=1500&wait=ended', { ...transfer, timeoutMs: 2000 });
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toEqual(committed);
    const request = { protocol: '2pc', timeoutMs: 2000, metadata: {}, ...transfer };
    expect(node.transactions.calls).toEqual([['execute', request, { waitMs: 1500, wait: 'ended' }]]);
  });

  it('commits and aborts with the default wait', async () => {
    expect((await post(`/v1/transactions/${ID}/commit`)).statusCode).toBe(200);
    node.transactions.settlement = { settled: true, transaction: aborted };
    expect((await post(`/v1/transactions/${ID}/abort`, {})).statusCode).toBe(200);
    const options = { waitMs: 30_000, wait: 'decided', branches: [] };
    expect(node.transactions.calls).toEqual([
      ['commit', ID, options],
      ['abort', ID, options],
    ]);
  });

  it('begins deferred, for the process that will commit', async () => {
    const beginner = { participant: 'bank-a', instance: 'bank-a-1' };
    expect((await post('/v1/transactions', { deferred: true, beginner })).statusCode).toBe(201);
    expect(node.transactions.calls).toMatchObject([['begin', { deferred: true, beginner }]]);
  });

  it('commits and aborts with branches, and waits for their reports', async () => {
    const branches = [
      { participant: 'bank-a', branchId: BRANCH_ID, instance: 'bank-a-1' },
      { participant: 'bank-b', branchId: BRANCH_ID, vote: 'yes' },
    ];
    expect((await post(`/v1/transactions/${ID}/commit?wait=reported`, { branches })).statusCode).toBe(200);
    await post(`/v1/transactions/${ID}/abort`, { branches });
    expect(node.transactions.calls).toMatchObject([
      ['commit', ID, { wait: 'reported', branches }],
      ['abort', ID, { branches }],
    ]);
  });

  it('rules, with what was left out filled in', async () => {
    const ruling = {
      action: 'forget',
      operator: 'unnamed',
      reason: 'the bank is gone',
      force: false,
      effect: 'forgotten',
      at: active.createdAt,
    } as const;
    node.transactions.resolution = { ruling, transaction: { ...committed, rulings: [ruling] } };
    const answer = await post(`/v1/transactions/${ID}/resolve`, { action: 'forget', reason: 'the bank is gone' });
    expect(answer.statusCode).toBe(200);
    expect(resolutionSchema.parse(answer.json())).toEqual(node.transactions.resolution);
    const whole = { action: 'abort', branchId: BRANCH_ID, reason: 'x', operator: 'ann', force: true };
    await post(`/v1/transactions/${ID}/resolve`, whole, { 'idempotency-key': 'k' });
    expect(node.transactions.calls).toEqual([
      ['resolve', ID, { action: 'forget', operator: 'unnamed', reason: 'the bank is gone', force: false }],
      ['resolve', ID, { ...whole, idempotency: { key: 'k', bodyHash: expect.stringMatching(/^[0-9a-f]{64}$/) } }],
    ]);
  });

  it('answers 202 with Location when the wait ends first, even if it is decided', async () => {
    for (const transaction of [active, committing]) {
      node.transactions.settlement = { settled: false, transaction };
      const answer = await post(`/v1/transactions/${ID}/commit?wait=ended&waitMs=0`);
      expect(answer.statusCode).toBe(202);
      expect(answer.headers['location']).toBe(`/v1/transactions/${ID}`);
      expect(answer.json()).toEqual(transaction);
    }
  });

  it('answers 409 with the reason and the branch when it was aborted', async () => {
    node.transactions.settlement = { settled: true, transaction: aborted };
    const answer = await post('/v1/transactions/execute', transfer);
    expect(answer.statusCode).toBe(409);
    expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8');
    expect(answer.json()).toEqual({
      type: 'urn:concordat:problem:transaction-aborted',
      title: 'The transaction was aborted',
      status: 409,
      code: 'TRANSACTION_ABORTED',
      detail: 'account acc-1 has 3, which is less than 5',
      instance: '/v1/transactions/execute',
      transactionId: ID,
      reason: 'PARTICIPANT_REFUSED',
      branchId: BRANCH_ID,
      participant: 'bank-a',
      participantCode: 'INSUFFICIENT_FUNDS',
    });
  });

  it('answers 409 to an abort of what is committed', async () => {
    const answer = await post(`/v1/transactions/${ID}/abort`);
    expect(answer.statusCode).toBe(409);
    expect(answer.json()).toMatchObject({ code: 'TRANSACTION_COMMITTED', transactionId: ID });
  });

  it('does not call a mixed outcome a success', async () => {
    node.transactions.settlement = { settled: true, transaction: { ...committed, status: 'mixed', outcome: 'mixed' } };
    for (const call of ['commit', 'abort']) {
      const answer = await post(`/v1/transactions/${ID}/${call}`);
      expect(answer.json()).toMatchObject({ status: 409, code: 'TRANSACTION_MIXED', decision: 'commit' });
    }
  });

  it('shows one, by default linearizable', async () => {
    const answer = await get(`/v1/transactions/${ID}`);
    expect(answer.json()).toEqual(active);
    expect(answer.headers['concordat-applied-index']).toBe('41');
    const stale = await get(`/v1/transactions/${ID}?consistency=stale`);
    expect(stale.headers['concordat-applied-index']).toBe('41');
    expect(node.transactions.calls).toEqual([
      ['get', ID, 'linearizable'],
      ['get', ID, 'stale'],
    ]);
  });

  it('lists with filters and a page size', async () => {
    const filters = 'status=committed&participant=bank-a&limit=500';
    node.transactions.page = { items: [committed], nextCursor: ID };
    const { nextCursor } = (await get(`/v1/transactions?${filters}`)).json<{ nextCursor: string }>();
    node.transactions.page = { items: [committed], nextCursor: null };
    node.transactions.calls.length = 0;
    const answer = await get(`/v1/transactions?${filters}&cursor=${nextCursor}`);
    expect(answer.json()).toEqual({ items: [committed], nextCursor: null });
    for (const [list, cursor] of [
      ['/v1/transactions?limit=3', nextCursor],
      ['/v1/in-doubt?limit=3', nextCursor],
      [`/v1/transactions?${filters}`, 'zzz'],
      [`/v1/transactions?${filters}`, ID],
    ]) {
      const refused = await get(`${list}&cursor=${cursor}`);
      expect(refused.json()).toMatchObject({ code: 'INVALID_PARAMETER', errors: [{ path: 'cursor' }] });
    }
    expect(answer.headers['concordat-applied-index']).toBe('41');
    await get('/v1/transactions?consistency=stale');
    expect(node.transactions.calls).toEqual([
      ['list', { status: 'committed', participant: 'bank-a', limit: 500, cursor: ID }, 'linearizable'],
      ['list', { limit: 50 }, 'stale'],
    ]);
  });

  it.each([
    [TransactionNotFoundError, 404, undefined],
    [TransactionExpiredError, 410, undefined],
    [TransactionDecidedError, 409, undefined],
    [TransactionClosedError, 409, undefined],
    [BranchConflictError, 409, undefined],
    [IdempotencyKeyReusedError, 422, undefined],
    [UnknownParticipantError, 400, undefined],
    [UnknownOperationError, 400, undefined],
    [OverloadedError, 503, '1'],
    [OutcomeUnknownError, 503, '1'],
  ])('answers %p as a problem', async (FailureClass, status, retryAfter) => {
    const failure = new FailureClass('a sentence');
    node.transactions.failure = failure;
    const answer = await post(`/v1/transactions/${ID}/branches`, transfer.branches[0]);
    expect(answer.statusCode).toBe(status);
    expect(answer.json()).toMatchObject({ status, code: failure.code, detail: failure.message });
    expect(answer.headers['retry-after']).toBe(retryAfter);
  });

  it.each([
    [new LogUnavailableError('no-leader', 'a sentence'), 503, 'NO_LEADER', '1'],
    [new LogUnavailableError('overloaded', 'a sentence'), 503, 'OVERLOADED', '1'],
    [new LogUnavailableError('disk-full', 'a sentence'), 503, 'DISK_FULL', '5'],
    [new LogUnavailableError('handing-over', 'a sentence'), 503, 'HANDING_OVER', '1'],
    [new RecordTooLargeError('a sentence'), 413, 'PAYLOAD_TOO_LARGE', undefined],
  ])('answers a failure of the log as a problem: %p', async (failure, status, code, retryAfter) => {
    node.transactions.failure = failure;
    const answer = await post(`/v1/transactions/${ID}/branches`, transfer.branches[0]);
    expect(answer.json()).toMatchObject({ status, code, detail: 'a sentence' });
    expect(answer.headers['retry-after']).toBe(retryAfter);
  });

  it('shows the details of an error, but lets none stand for a standard member', async () => {
    node.transactions.failure = new TransactionClosedError('closed', { details: { transactionId: ID, status: 200 } });
    const answer = await post(`/v1/transactions/${ID}/branches`, transfer.branches[0]);
    expect(answer.json()).toMatchObject({ status: 409, transactionId: ID });
  });

  it('keeps the message of an unexpected error to itself', async () => {
    node.transactions.failure = new Error('password=secret');
    const answer = await get(`/v1/transactions/${ID}`);
    expect(answer.json()).toMatchObject({ status: 500, code: 'INTERNAL' });
    expect(answer.body).not.toContain('secret');
  });
});

describe('the node', () => {
  it('shows the group and what is in doubt', async () => {
    expect((await get('/v1/cluster')).json()).toEqual(node.cluster.view());
    const item = {
      transactionId: ID,
      branchId: BRANCH_ID,
      participant: 'bank-a',
      gid: 'g',
      state: 'in-doubt',
      since: active.createdAt,
      reason: 'no answer',
      rulings: [{ action: 'abort', force: false }],
    } as const;
    node.transactions.inDoubtItems = [item];
    const answer = await get('/v1/in-doubt');
    const { nextCursor } = answer.json<{ nextCursor: string }>();
    expect(answer.json()).toEqual({ items: [item], nextCursor: expect.stringContaining(ID) });
    expect(answer.headers['concordat-applied-index']).toBe('41');
    await get(`/v1/in-doubt?consistency=stale&limit=2&cursor=${nextCursor}`);
    expect(node.transactions.calls).toEqual([
      ['inDoubt', 'linearizable', { limit: 500 }],
      ['inDoubt', 'stale', { limit: 2, cursor: ID }],
    ]);
  });

  it('tells whether it is live and ready', async () => {
    expect((await get('/healthz')).json()).toEqual({ status: 'live' });
    const ready = { status: 'ready', for: 'work', lacks: [], reasons: [] };
    expect((await get('/readyz')).json()).toEqual(ready);
    expect((await get('/readyz?for=reads')).json()).toEqual({ ...ready, for: 'reads' });
    expect((await get('/readyz?for=writes')).json()).toMatchObject({ code: 'INVALID_PARAMETER' });
    node.cluster.lacking = [{ what: 'leader', reason: 'no leader is known' }];
    for (const purpose of ['work', 'reads']) {
      const answer = await get(`/readyz?for=${purpose}`);
      expect(answer.statusCode).toBe(503);
      const lack = { lacks: ['leader'], reasons: ['no leader is known'] };
      expect(answer.json()).toEqual({ status: 'not-ready', for: purpose, ...lack });
    }
    node.cluster.lacking = [
      { what: 'disk', reason: 'the disk is full' },
      { what: 'broker', reason: 'the broker cannot be reached' },
    ];
    expect((await get('/readyz')).statusCode).toBe(503);
    expect((await get('/readyz?for=reads')).statusCode).toBe(200);
    node.cluster.lacking = [];
  });

  it('answers HEAD like GET', async () => {
    expect((await node.app.inject({ method: 'HEAD', url: '/healthz' })).statusCode).toBe(200);
  });

  it('shows metrics by route, not by path', async () => {
    await get(`/v1/transactions/${ID}`);
    const answer = await get('/metrics');
    expect(answer.headers['content-type']).toContain('text/plain');
    expect(answer.body).toContain('route="/v1/transactions/:id"');
    expect(answer.body).not.toContain(ID);
    expect(answer.body).toMatch(/^concordat_raft_term 3$/m);
    expect(answer.body).toMatch(/^process_cpu_seconds_total /m);
  });

  it('has no failpoints unless they are switched on', async () => {
    expect((await get('/debug/failpoints')).statusCode).toBe(404);
    const armed = await createTestNode({ CONCORDAT_FAILPOINTS: 'coordinator.begin.after-append=delay:5' });
    const listed = await armed.app.inject({ method: 'GET', url: '/debug/failpoints' });
    expect(listed.json()).toMatchObject({ armed: ['coordinator.begin.after-append=delay'] });
    const put = (arm: unknown) => armed.app.inject({ method: 'PUT', url: '/debug/failpoints', payload: { arm } });
    expect((await put('coordinator.decide.after-append=kill')).json()).toMatchObject({
      armed: ['coordinator.decide.after-append=kill'],
      known: expect.arrayContaining(['coordinator.end.before-append']),
    });
    expect((await put('no.such=kill')).json()).toMatchObject({ status: 400, code: 'INVALID_FAILPOINT' });
    expect((await put('')).json()).toMatchObject({ armed: [] });
    await armed.app.close();
  });
});
