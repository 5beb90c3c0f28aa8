import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { ArmableFailpoints, SystemClock, formatProblems, type JsonValue, ProcessLogger } from '@concordat/foundation';
import { REPLIES_TOPIC, decideTopic, prepareTopic } from '@concordat/messaging';
import { MemoryBroker, MemoryMessageBus } from '@concordat/messaging/testing';
import { PARTICIPANT_FAILPOINTS } from '@concordat/nestjs';
import { startTestPostgres, type TestPostgres } from '../../../test/support/postgres.js';
import { waitFor } from '../../../test/support/wait-for.js';
import { createBank } from './bootstrap.js';
import { parseConfig } from './config.js';

interface Reply {
  readonly type: string;
  readonly branchId?: string;
  readonly vote?: string;
  readonly end?: string;
  readonly results?: readonly JsonValue[];
  readonly error?: { readonly code: string };
}

let server: TestPostgres;
let app: NestFastifyApplication;
let coordinator: MemoryMessageBus;
const replies: Reply[] = [];

beforeAll(async () => {
  server = await startTestPostgres();
  const result = parseConfig({
    CONCORDAT_PARTICIPANT: 'bank-a',
    CONCORDAT_HTTP: '127.0.0.1:8091',
    DATABASE_URL: server.url,
    KAFKA_BROKERS: '127.0.0.1:9092',
    CONCORDAT_LOG_LEVEL: 'error',
  });
  if (!result.ok) throw new Error(result.problems.join('\n'));
  const broker = new MemoryBroker({ clock: new SystemClock() });
  const nothing = (): void => undefined;
  app = await createBank({
    config: result.config,
    logger: new ProcessLogger({ scope: 'bank-a', level: 'error' }),
    failpoints: new ArmableFailpoints(PARTICIPANT_FAILPOINTS, new SystemClock(), { kill: nothing, pause: nothing }),
    onFatal: (error) => {
      throw error;
    },
    bus: (namespace) => new MemoryMessageBus(broker, namespace),
  });
  await app.startAllMicroservices();
  coordinator = new MemoryMessageBus(broker, { cluster: 'local' });
  await coordinator.start();
  await coordinator.subscribe({
    group: 'coordinator',
    topics: [REPLIES_TOPIC],
    onMessage: (message) => void replies.push(message),
  });
  await waitFor('the bank is ready', async () => (await get('/readyz')).statusCode === 200);
}, 60_000);

afterAll(async () => {
  await app?.close();
  await coordinator?.stop();
  await server?.stop();
});

const get = (url: string) => app.inject({ method: 'GET', url });

async function prepare(operation: string, payload: JsonValue) {
  const branch = { transactionId: randomUUID(), branchId: randomUUID(), participant: 'bank-a' };
  const message = {
    ...branch,
    type: 'prepare',
    protocol: '2pc',
    operations: [{ operation, payload, keys: [] }],
    deadline: Date.now() + 20_000,
    attempt: LATE_ATTEMPT,
    epoch: { term: 1, index: 1 },
  } as const;
  await coordinator.publish([{ topic: prepareTopic('bank-a'), message }]);
  const vote = await waitFor('it has voted', () =>
    replies.find(({ type, branchId }) => type === 'vote' && branchId === branch.branchId),
  );
  return { branch, vote };
}

/** Not among the first sendings, of which one with an unknown operation is left to processes of other versions. */
const LATE_ATTEMPT = 4;

async function run(operation: string, payload: JsonValue, decision: 'commit' | 'abort' = 'commit'): Promise<Reply> {
  const { branch, vote } = await prepare(operation, payload);
  if (vote.vote !== 'yes') return vote;
  const message = { ...branch, type: 'decision', decision, attempt: 0 } as const;
  await coordinator.publish([{ topic: decideTopic('bank-a'), message }]);
  await waitFor('the branch has ended', () =>
    replies.find(({ type, branchId }) => type === 'done' && branchId === branch.branchId),
  );
  return vote;
}

const balance = async (account: string): Promise<unknown> => (await get(`/accounts/${account}`)).json();

describe('a bank', () => {
  it('begins with a hundred accounts', async () => {
    expect((await get('/total')).json()).toEqual({ total: 100_000, accounts: 100 });
    expect((await get('/accounts')).json().items).toHaveLength(100);
    expect(await balance('acc-7')).toEqual({ id: 'acc-7', balance: 1_000 });
    const missing = await get('/accounts/none');
    expect([missing.statusCode, missing.json().code]).toEqual([404, 'ACCOUNT_NOT_FOUND']);
    for (const longest of ['a', '/', '€'].map((letter) => encodeURIComponent(letter.repeat(128)))) {
      expect((await get(`/accounts/${longest}`)).json().code).toBe('ACCOUNT_NOT_FOUND'); // could have been opened
    }
  });

  it('moves money when it is told to commit, and not otherwise', async () => {
    expect(await run('debit', { account: 'acc-0', amount: 30 })).toMatchObject({
      results: [{ account: 'acc-0', balance: 970 }],
    });
    expect(await run('credit', { account: 'acc-1', amount: 30 })).toMatchObject({
      results: [{ account: 'acc-1', balance: 1_030 }],
    });
    await run('debit', { account: 'acc-0', amount: 100 }, 'abort');
    expect([await balance('acc-0'), await balance('acc-1')]).toMatchObject([{ balance: 970 }, { balance: 1_030 }]);
  });

  it('opens and reads accounts', async () => {
    const full = { account: 'rich', balance: Number.MAX_SAFE_INTEGER };
    expect(await run('open', full)).toMatchObject({ vote: 'yes', results: [full] });
    expect(await run('read', { account: 'rich' })).toMatchObject({ vote: 'read-only', results: [full] });
    await run('debit', { account: 'rich', amount: Number.MAX_SAFE_INTEGER });
    expect(await balance('rich')).toEqual({ id: 'rich', balance: 0 });
  });

  it.each([
    ['debit', { account: 'acc-2', amount: 1_001 }, 'INSUFFICIENT_FUNDS'],
    ['credit', { account: 'acc-2', amount: Number.MAX_SAFE_INTEGER }, 'BALANCE_OVERFLOW'],
    ['debit', { account: 'none', amount: 1 }, 'ACCOUNT_NOT_FOUND'],
    ['credit', { account: 'none', amount: 1 }, 'ACCOUNT_NOT_FOUND'],
    ['read', { account: 'none' }, 'ACCOUNT_NOT_FOUND'],
    ['open', { account: 'acc-2', balance: 1 }, 'ACCOUNT_EXISTS'],
    ['debit', { account: 'acc-2', amount: 0 }, 'INVALID_PAYLOAD'],
    ['debit', { account: 'acc-2', amount: -1 }, 'INVALID_PAYLOAD'],
    ['debit', { account: 'acc-2', amount: 1.5 }, 'INVALID_PAYLOAD'],
    ['debit', { account: 'acc-2', amount: 2 ** 53 }, 'INVALID_PAYLOAD'],
    ['debit', { account: 'acc-2', amount: '1' }, 'INVALID_PAYLOAD'],
    ['debit', { account: 'acc-2', amount: 1, extra: true }, 'INVALID_PAYLOAD'],
    ['fly', {}, 'UNKNOWN_OPERATION'],
  ] as const)('refuses %s %j with %s', async (operation, payload, code) => {
    expect(await run(operation, payload)).toMatchObject({ vote: 'no', error: { code } });
    expect(await balance('acc-2')).toMatchObject({ balance: 1_000 });
  });

  it('announces its operations', async () => {
    expect(replies.find(({ type }) => type === 'announce')).toMatchObject({
      operations: ['credit', 'debit', 'open', 'read'],
    });
  });

  it('arms failpoints and refuses unknown ones', async () => {
    const put = (arm: unknown) => app.inject({ method: 'PUT', url: '/debug/failpoints', payload: { arm } });
    expect((await put('participant.vote.after-send=delay:1@9')).json().armed).toHaveLength(1);
    expect((await put('nonsense=kill')).statusCode).toBe(400);
    expect((await put('')).json().armed).toEqual([]);
  });

  it('renders its counters', async () => {
    const { payload } = await get('/metrics');
    expect(payload).toMatch(/concordat_participant_votes_total\{vote="yes"\} [1-9]/);
    expect(payload).toContain('concordat_participant_refusals_total{code="INSUFFICIENT_FUNDS"} 1');
  });
});

describe('the configuration', () => {
  it('names every variable that is wrong, but no secret', () => {
    const result = parseConfig({
      CONCORDAT_PARTICIPANT: 'Bank A',
      DATABASE_URL: 'mysql://u:secret@h/d',
      CONCORDAT_HTTP: 'x',
    });
    const text = result.ok ? '' : formatProblems(result.problems);
    expect(text).toContain('CONCORDAT_PARTICIPANT="Bank A" is wrong');
    expect(text).toContain('KAFKA_BROKERS is not set');
    expect(text).toContain('DATABASE_URL="***" is wrong');
    expect(text).not.toContain('secret');
  });
});
