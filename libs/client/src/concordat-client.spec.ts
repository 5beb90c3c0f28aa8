import { describe, expect, it } from '@jest/globals';
import type { TransactionAbortedError } from './errors/errors.js';
import { BRANCH_ID, committed, sampleBranch, sampleTransaction, TRANSACTION_ID } from './testing/samples.js';
import { answer, broken, problem, type Step } from './testing/scripted-fetch.js';
import { settle, virtualClient } from './testing/virtual-client.js';

const debit = { participant: 'bank-a', operation: 'debit', payload: { account: 'acc-1', amount: 5 } };

describe('the calls of a transaction', () => {
  it('begins one, with a key of its own', async () => {
    const { client, script } = virtualClient([answer(201, sampleTransaction()), answer(201, sampleTransaction())]);
    const transaction = await client.begin({ protocol: '3pc', timeoutMs: 500, metadata: { order: 7 } });
    await client.begin();
    expect(transaction).toEqual(sampleTransaction());
    const [first, second] = script.sent;
    expect(first).toMatchObject({
      method: 'POST',
      path: '/v1/transactions',
      body: { protocol: '3pc', timeoutMs: 500, metadata: { order: 7 } },
    });
    expect(second!.body).toEqual({});
    expect(first!.headers.get('idempotency-key')).toMatch(/^[0-9a-f]{32}$/);
    expect(second!.headers.get('idempotency-key')).not.toBe(first!.headers.get('idempotency-key'));
  });

  it('begins one that need not be in the log yet, without a key, and again when the answer is lost', async () => {
    const { client, clock, script } = virtualClient([broken, answer(201, sampleTransaction())]);
    const beginner = { participant: 'bank-a', instance: 'bank-a-1' };
    await settle(clock, client.begin({ deferred: true, beginner }));
    for (const sent of script.sent) {
      expect([sent.body, sent.headers.get('idempotency-key')]).toEqual([{ deferred: true, beginner }, null]);
    }
    expect(script.sent).toHaveLength(2);
  });

  it.each(['commit', 'abort'] as const)('%ss with branches', async (verb) => {
    const { client, script } = virtualClient([answer(200, sampleTransaction(committed))]);
    const held = { participant: 'bank-a', branchId: BRANCH_ID, instance: 'bank-a-1' };
    await client[verb](TRANSACTION_ID, { wait: 'reported', branches: [held] });
    const path = `/v1/transactions/${TRANSACTION_ID}/${verb}?waitMs=30000&wait=reported`;
    expect(script.sent).toMatchObject([{ path, body: { branches: [held] } }]);
  });

  it.each([
    ['an operation', debit, debit],
    ['an operation with keys', { ...debit, keys: ['acc-1'] }, { ...debit, keys: ['acc-1'] }],
    ['an operation without a payload', { ...debit, payload: undefined }, { ...debit, payload: null }],
    [
      'prepared work',
      { participant: 'bank-a', branchId: BRANCH_ID, vote: 'yes' as const },
      { participant: 'bank-a', branchId: BRANCH_ID, vote: 'yes' },
    ],
    [
      'a held branch',
      { participant: 'bank-a', branchId: BRANCH_ID, instance: 'bank-a-1' },
      { participant: 'bank-a', branchId: BRANCH_ID, instance: 'bank-a-1' },
    ],
  ])('enlists %s', async (_, branch, body) => {
    const { client, script } = virtualClient([answer(201, sampleBranch())]);
    expect(await client.enlist(TRANSACTION_ID, branch, { idempotencyKey: 'my-key' })).toEqual(sampleBranch());
    expect(script.sent[0]).toMatchObject({ path: `/v1/transactions/${TRANSACTION_ID}/branches`, body });
    expect(script.sent[0]!.headers.get('idempotency-key')).toBe('my-key');
  });

  it('executes, and gives the results in the places of the work', async () => {
    const credit = { participant: 'bank-b', operation: 'credit', payload: {} };
    const operation = { payload: {}, keys: [] };
    const branches = [
      sampleBranch({ participant: 'bank-b', operations: [{ ...operation, operation: 'credit', result: 3 }] }),
      sampleBranch({
        operations: [
          { ...operation, operation: 'debit', result: { balance: 1 } },
          { ...operation, operation: 'debit' },
        ],
      }),
    ];
    const { client, script } = virtualClient([answer(200, sampleTransaction({ ...committed, branches }))]);
    const execution = await client.execute([debit, credit, debit], { timeoutMs: 900 }, { waitMs: 50, wait: 'ended' });
    expect(execution).toMatchObject({ settled: true, results: [{ balance: 1 }, 3, undefined] });
    expect(script.sent[0]).toMatchObject({
      path: '/v1/transactions/execute?waitMs=50&wait=ended',
      body: { timeoutMs: 900, branches: [debit, credit, debit] },
    });
  });

  it('says when it was not decided within the wait, which is no error', async () => {
    const { client } = virtualClient([answer(202, sampleTransaction()), answer(202, sampleTransaction())]);
    const undecided = { settled: false, transaction: sampleTransaction() };
    expect(await client.execute([debit])).toEqual(undecided);
    expect(await client.commit(TRANSACTION_ID, { waitMs: 0 })).toEqual(undecided);
  });

  it.each(['commit', 'abort'] as const)('%ss, without a body and a key', async (verb) => {
    const { client, script } = virtualClient([answer(200, sampleTransaction(committed))]);
    expect(await client[verb](TRANSACTION_ID)).toEqual({ settled: true, transaction: sampleTransaction(committed) });
    const [sent] = script.sent;
    expect(sent).toMatchObject({ method: 'POST', path: `/v1/transactions/${TRANSACTION_ID}/${verb}?waitMs=30000` });
    expect([sent!.body, sent!.headers.get('idempotency-key')]).toEqual([undefined, null]);
  });

  it('reads one', async () => {
    const { client, script } = virtualClient([answer(200, sampleTransaction())]);
    expect(await client.get(TRANSACTION_ID, { consistency: 'stale' })).toEqual(sampleTransaction());
    expect(script.sent[0]!.path).toBe(`/v1/transactions/${TRANSACTION_ID}?consistency=stale`);
  });

  it('says why a transaction was aborted', async () => {
    const cause = { branchId: BRANCH_ID, participant: 'bank-a', participantCode: 'INSUFFICIENT_FUNDS' };
    const abort = { transactionId: TRANSACTION_ID, reason: 'PARTICIPANT_REFUSED', ...cause };
    const { client } = virtualClient([problem('TRANSACTION_ABORTED', 409, abort)]);
    const error = (await client.execute([debit]).catch((thrown: unknown) => thrown)) as TransactionAbortedError;
    expect(error).toMatchObject({
      name: 'TransactionAbortedError',
      code: 'TRANSACTION_ABORTED',
      status: 409,
      ...abort,
    });
    expect(error.message).toBe('the detail of TRANSACTION_ABORTED');
    expect(error.mayHaveTakenEffect).toBe(false);
  });
});

describe('requests that are refused before they are sent', () => {
  const client = virtualClient([]).client;
  const cyclic: Record<string, unknown> = {};
  cyclic['self'] = cyclic;
  const withPayload = (payload: unknown) => () => client.execute([{ ...debit, payload }]);

  it.each<[string, () => Promise<unknown>, string, string]>([
    ['NaN', withPayload({ amount: Number.NaN }), 'INVALID_VALUE', 'branches[0].payload.amount is NaN'],
    ['a number that is rounded', withPayload([2 ** 53]), 'INVALID_VALUE', 'branches[0].payload[0] is beyond 2^53-1'],
    ['undefined in a list', withPayload([undefined]), 'INVALID_VALUE', 'branches[0].payload[0] is undefined'],
    ['a date', withPayload({ at: new Date(0) }), 'INVALID_VALUE', 'branches[0].payload.at is not a plain object'],
    ['a map', withPayload(new Map()), 'INVALID_VALUE', 'is not a plain object'],
    ['a bigint', withPayload({ amount: 5n }), 'INVALID_VALUE', 'branches[0].payload.amount is a bigint'],
    ['a circle', withPayload(cyclic), 'INVALID_VALUE', 'more than 64 levels'],
    ['half of a surrogate pair', withPayload('\ud800'), 'INVALID_VALUE', 'half of a surrogate pair'],
    ['a name with NUL', withPayload({ 'a\0': 1 }), 'INVALID_VALUE', 'a name in branches[0].payload contains NUL'],
    ['metadata', () => client.begin({ metadata: { x: Infinity } }), 'INVALID_VALUE', 'metadata.x is Infinity'],
    ['no id', () => client.get('../admin'), 'INVALID_ID', 'must be a UUID'],
    ['no id to commit', () => client.commit('x?y'), 'INVALID_ID', 'must be a UUID'],
    ['a bad key', () => client.begin({}, { idempotencyKey: 'a b' }), 'INVALID_IDEMPOTENCY_KEY', '1 to 255 visible'],
    ['a bad wait', () => client.commit(TRANSACTION_ID, { waitMs: -1 }), 'INVALID_OPTION', 'waitMs must be a number'],
    ['a bad time-out', () => client.begin({}, { timeoutMs: 0 }), 'INVALID_OPTION', 'timeoutMs must be a number from 1'],
  ])('%s', async (_, call, code, part) => {
    await expect(call()).rejects.toMatchObject({ code, message: expect.stringContaining(part) });
  });
});

describe('answers that are not what the interface promises', () => {
  const { branches: _branches, ...withoutBranches } = sampleTransaction();

  it.each<[string, Step, string]>([
    ['no JSON', () => new Response('<html>', { status: 200 }), 'not valid JSON'],
    ['no body', answer(200), 'the answer is missing'],
    ['no object', answer(200, [1]), 'the answer must be an object (found: a list)'],
    ['a missing field', answer(200, withoutBranches), 'the answer.branches is missing'],
    [
      'a wrong type',
      answer(200, { ...sampleTransaction(), logIndex: '7' }),
      'the answer.logIndex must be a whole number',
    ],
    ['a rounded number', answer(200, { ...sampleTransaction(), logIndex: 2 ** 53 }), 'logIndex must be a whole number'],
    ['another status of a transaction', answer(200, { ...sampleTransaction(), status: 'lost' }), 'one of active'],
    ['no time', answer(200, { ...sampleTransaction(), deadline: 'tomorrow' }), 'deadline must be a time'],
    ['a wrong branch', answer(200, sampleTransaction({ branches: [{} as never] })), 'branches[0].branchId is missing'],
    ['a status that is not of this call', answer(202, sampleTransaction()), 'the status 202 is not one of 200'],
    [
      'an error page',
      () => new Response('not here', { status: 404 }),
      'the status 404, but is not one of a coordinator',
    ],
    ['an abort of nothing', problem('TRANSACTION_ABORTED', 409), 'without a transactionId'],
  ])('%s', async (_, step, part) => {
    const { client, clock } = virtualClient([step]);
    const error = { code: 'INVALID_ANSWER', name: 'InvalidAnswerError', message: expect.stringContaining(part) };
    await expect(settle(clock, client.get(TRANSACTION_ID))).rejects.toMatchObject(error);
  });

  it('lets through what a newer coordinator adds', async () => {
    const newer = { ...sampleTransaction(), reason: 'NEW_REASON', colour: 'red' };
    const { client } = virtualClient([answer(200, newer)]);
    expect(await client.get(TRANSACTION_ID)).toEqual(newer);
  });

  it.each([
    ['other work', [sampleBranch({ operations: [{ operation: 'credit', payload: {}, keys: [] }] })]],
    ['no work', []],
  ])('a transaction that holds %s', async (_, branches) => {
    const { client } = virtualClient([answer(200, sampleTransaction({ ...committed, branches }))]);
    await expect(client.execute([debit])).rejects.toMatchObject({ code: 'INVALID_ANSWER' });
  });
});
