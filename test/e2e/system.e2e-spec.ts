import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Kafka, logLevel } from 'kafkajs';
import { call, credit, debit, type TransactionBody } from '../support/rest.js';
import { waitFor } from '../support/wait-for.js';
import { agreed, everywhere, SystemUnderTest } from './system.js';

jest.setTimeout(180_000);

describe('a whole system on real PostgreSQL and Kafka', () => {
  let system: SystemUnderTest;
  let opening: number;
  const node = (index: number): string => system.coordinatorUrls()[index]!;
  const execute = (branches: unknown, query = '', headers: Record<string, string> = {}) =>
    call<TransactionBody>('POST', `${node(0)}/v1/transactions/execute${query}`, { branches }, headers);

  beforeAll(async () => {
    system = await SystemUnderTest.start();
    opening = await system.total();
  });
  afterAll(() => system?.stop());
  afterEach(async () => {
    await system.settled();
    expect(await system.total()).toBe(opening);
  });

  describe('transfers', () => {
    it('moves money between two databases, and a read after wait=ended sees all of it', async () => {
      const before = [await system.balance('bank-a', 'acc-1'), await system.balance('bank-b', 'acc-2')];
      const answer = await execute([debit('acc-1', 30), credit('acc-2', 30)], '?wait=ended');
      expect(answer.status).toBe(200);
      expect(answer.body).toMatchObject({ status: 'committed', outcome: 'committed', decision: 'commit' });
      expect(await system.balance('bank-a', 'acc-1')).toBe(before[0]! - 30);
      expect(await system.balance('bank-b', 'acc-2')).toBe(before[1]! + 30);
    });

    it('changes nothing when one participant refuses, and says which and why', async () => {
      const before = await system.balance('bank-b', 'acc-3');
      const answer = await execute([debit('acc-3', 1_000_000), credit('acc-3', 1_000_000)], '?wait=ended');
      expect(answer.status).toBe(409);
      expect(answer.body).toMatchObject({
        code: 'TRANSACTION_ABORTED',
        reason: 'PARTICIPANT_REFUSED',
        participant: 'bank-a',
        participantCode: 'INSUFFICIENT_FUNDS',
      });
      expect(await system.balance('bank-b', 'acc-3')).toBe(before);
    });

    it('runs three branches, several operations of one participant in order, and returns their results', async () => {
      const { status, body } = await execute(
        [
          debit('acc-4', 10),
          credit('acc-5', 4, 'bank-a'),
          credit('acc-4', 3),
          credit('acc-4', 3, 'bank-c'),
          { participant: 'bank-a', operation: 'read', payload: { account: 'acc-5' } },
        ],
        '?wait=ended',
      );
      expect(status).toBe(200);
      const atA = body.branches.find(({ participant }) => participant === 'bank-a') as unknown as {
        operations: { result: unknown }[];
      };
      expect(atA.operations).toHaveLength(3);
      expect(atA.operations[2]!.result).toEqual({ account: 'acc-5', balance: await system.balance('bank-a', 'acc-5') });
    });

    it('commits a single writer in one phase and a reader without a second phase', async () => {
      const single = await execute([debit('acc-6', 1)], '?wait=ended');
      expect(single.body).toMatchObject({ outcome: 'committed', branches: [{ state: 'committed' }] });
      const back = await execute([credit('acc-6', 1, 'bank-a')], '?wait=ended');
      expect(back.status).toBe(200);
      const read = await execute([{ participant: 'bank-b', operation: 'read', payload: { account: 'acc-6' } }]);
      expect(read.body).toMatchObject({
        outcome: 'committed',
        branches: [{ operations: [{ result: { account: 'acc-6' } }] }],
      });
      const mixed = await execute([
        debit('acc-6', 2),
        credit('acc-7', 2, 'bank-a'),
        { participant: 'bank-b', operation: 'read', payload: { account: 'acc-6' } },
      ]);
      expect(mixed.body.branches.find(({ participant }) => participant === 'bank-b')).toMatchObject({
        vote: 'read-only',
      });
    });

    it('refuses a single writer in one phase without a trace', async () => {
      const answer = await execute([debit('acc-8', 1_000_000)]);
      expect(answer.status).toBe(409);
      expect(answer.body).toMatchObject({ participantCode: 'INSUFFICIENT_FUNDS' });
    });
  });

  describe('interactive transactions', () => {
    const begin = async (): Promise<string> => {
      const { status, body, headers } = await call<TransactionBody>('POST', `${node(1)}/v1/transactions`, {
        metadata: { why: 'test' },
      });
      expect(status).toBe(201);
      expect(headers.get('location')).toBe(`/v1/transactions/${body.id}`);
      return body.id;
    };
    const enlist = (id: string, body: unknown) => call('POST', `${node(2)}/v1/transactions/${id}/branches`, body);

    it('begins, enlists, commits; a second commit has the same answer, and all else comes too late', async () => {
      const id = await begin();
      expect((await enlist(id, debit('acc-10', 5))).status).toBe(201);
      expect((await enlist(id, credit('acc-10', 5))).status).toBe(201);
      const commit = () => call<TransactionBody>('POST', `${node(0)}/v1/transactions/${id}/commit?wait=ended`);
      const [first, second] = [await commit(), await commit()];
      expect(first.status).toBe(200);
      expect(second.body).toEqual(first.body);
      expect(await call('POST', `${node(1)}/v1/transactions/${id}/abort`)).toMatchObject({
        status: 409,
        body: { code: 'TRANSACTION_COMMITTED' },
      });
      expect(await enlist(id, debit('acc-10', 5))).toMatchObject({
        status: 409,
        body: { code: 'TRANSACTION_DECIDED' },
      });
    });

    it('aborts, and a commit afterwards is refused', async () => {
      const id = await begin();
      await enlist(id, debit('acc-11', 5));
      expect(await call('POST', `${node(0)}/v1/transactions/${id}/abort`)).toMatchObject({
        status: 200,
        body: { outcome: 'aborted' },
      });
      expect(await call('POST', `${node(0)}/v1/transactions/${id}/commit`)).toMatchObject({
        status: 409,
        body: { code: 'TRANSACTION_ABORTED', reason: 'CLIENT_ABORTED' },
      });
    });

    it('takes work that a service has prepared itself', async () => {
      const id = await begin();
      const branchId = randomUUID();
      const gid = `concordat:local:${id}:${branchId}`;
      await system.withDatabase('bank-a', async (client) => {
        await client.query('begin');
        await client.query("update account set balance = balance - 7 where id = 'acc-12'");
        await client.query('insert into concordat_branch (branch_id, transaction_id, outcome) values ($1, $2, $3)', [
          branchId,
          id,
          'committed',
        ]);
        await client.query(`prepare transaction '${gid}'`);
      });
      const own = { participant: 'bank-a', branchId, vote: 'yes' };
      expect((await enlist(id, own)).status).toBe(201);
      expect((await enlist(id, own)).status).toBe(200);
      expect(await enlist(id, { ...own, vote: 'read-only' })).toMatchObject({
        status: 409,
        body: { code: 'BRANCH_CONFLICT' },
      });
      await enlist(id, credit('acc-12', 7));
      const committed = await call<TransactionBody>('POST', `${node(0)}/v1/transactions/${id}/commit?wait=ended`);
      expect(committed.body).toMatchObject({ outcome: 'committed' });
    });
  });

  describe('idempotency keys', () => {
    it('have one effect over all nodes, and belong to one body', async () => {
      const key = randomUUID();
      const before = await system.balance('bank-a', 'acc-13');
      const send = (index: number, amount: number) =>
        call<TransactionBody>(
          'POST',
          `${node(index)}/v1/transactions/execute`,
          { branches: [debit('acc-13', amount), credit('acc-13', amount)] },
          { 'idempotency-key': key },
        );
      const answers = await Promise.all([send(0, 9), send(1, 9), send(2, 9)]);
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
      expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
      expect(await send(1, 8)).toMatchObject({ status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } });
      await system.settled();
      expect(await system.balance('bank-a', 'acc-13')).toBe(before - 9);
    });
  });

  describe('three phases', () => {
    const executeInThree = (branches: unknown, query = '?wait=ended', url = node(0)) =>
      call<TransactionBody>('POST', `${url}/v1/transactions/execute${query}`, { protocol: '3pc', branches });
    const overThree = (account: string, amount = 3): unknown[] => [
      debit(account, 2 * amount),
      credit(account, amount),
      credit(account, amount, 'bank-c'),
    ];

    it('commits over three banks, with a reader among the acceptors, too', async () => {
      const before = await system.balance('bank-c', 'acc-30');
      const { status, body } = await executeInThree(overThree('acc-30'));
      expect(status).toBe(200);
      expect(body).toMatchObject({ protocol: '3pc', status: 'committed', warnings: [] });
      expect(await system.balance('bank-c', 'acc-30')).toBe(before + 3);
      const reader = { participant: 'bank-c', operation: 'read', payload: { account: 'acc-30' } };
      const read = await executeInThree([debit('acc-30', 1), credit('acc-30', 1), reader]);
      expect(read.body.branches.find(({ participant }) => participant === 'bank-c')).toMatchObject({
        vote: 'read-only',
        operations: [{ result: { account: 'acc-30', balance: before + 3 } }],
      });
    });

    it('aborts when one participant refuses', async () => {
      const answer = await executeInThree(overThree('acc-31', 1_000_000));
      expect(answer).toMatchObject({ status: 409, body: { participantCode: 'INSUFFICIENT_FUNDS' } });
    });

    it('is built step by step as well, and warns that two branches are too few', async () => {
      const begun = await call<TransactionBody>('POST', `${node(1)}/v1/transactions`, { protocol: '3pc' });
      const url = `${node(2)}/v1/transactions/${begun.body.id}`;
      for (const branch of [debit('acc-32', 2), credit('acc-32', 2)]) {
        expect((await call('POST', `${url}/branches`, branch)).status).toBe(201);
      }
      const { status, body } = await call<TransactionBody>('POST', `${url}/commit?wait=ended`);
      expect(status).toBe(200);
      expect(body).toMatchObject({ outcome: 'committed', warnings: [expect.stringContaining('blocks as 2pc does')] });
    });

    it('ends while all coordinators are dead, and the log records it when they are back', async () => {
      const leader = await system.leader();
      const names = [1, 2, 3].map((nodeId) => `coordinator-${nodeId}`);
      await system.arm(leader, 'coordinator.ballot-answer.received=kill@2');
      executeInThree(overThree('acc-33'), '?waitMs=0', system.httpUrl(leader)).catch(() => undefined);
      await system.waitUntilDead(leader);
      const others = names.filter((name) => name !== leader);
      for (const name of others) system.kill(name);
      for (const name of others) await system.waitUntilDead(name);
      const [gid] = await system.prepared('bank-a');
      const id = gid!.split(':')[2]!;
      await waitFor('the branches have ended by themselves', async () => (await system.preparedCount()) === 0, {
        timeoutMs: 60_000,
        intervalMs: 100,
      });
      for (const bank of ['bank-a', 'bank-b', 'bank-c']) {
        const text = `select outcome from concordat_branch where transaction_id = '${id}'`;
        expect(await system.sql<{ outcome: string }>(bank, text)).toEqual([{ outcome: 'committed' }]);
      }
      const [first, second, third] = names as [string, string, string];
      expect(await system.restart(first)).toMatch(
        new RegExp(`${first} lives again .* not ready yet: .*leader.* Down: ${second}, ${third};`),
      );
      expect(await system.restart(second, third)).toContain(`${third} runs again`);
      await agreed(system, id);
      expect((await system.transaction(id)).outcome).toBe('committed');
    });
  });

  describe('bad input', () => {
    it.each([0, -1, 1.5, '5', null, true])('refuses the amount %p as a payload of the participant', async (amount) => {
      const answer = await execute([debit('acc-14', amount), credit('acc-14', amount)]);
      expect(answer.status).toBe(409);
      expect(answer.body).toMatchObject({
        code: 'TRANSACTION_ABORTED',
        reason: 'INVALID_PAYLOAD',
        participantCode: 'INVALID_PAYLOAD',
      });
    });

    it('refuses a number that cannot be held exactly before anything happens', async () => {
      const answer = await call(
        'POST',
        `${node(0)}/v1/transactions/execute`,
        '{"branches":[{"participant":"bank-a","operation":"debit","payload":{"account":"acc-1","amount":9007199254740993}}]}',
      );
      expect(answer.status).toBe(400);
    });

    it.each([
      ['an unknown participant', { branches: [debit('acc-1', 1, 'bank-z')] }, 400, 'UNKNOWN_PARTICIPANT'],
      [
        'an unknown operation',
        { branches: [{ participant: 'bank-a', operation: 'steal', payload: {} }] },
        400,
        'UNKNOWN_OPERATION',
      ],
      ['a protocol that does not exist', { protocol: '4pc', branches: [debit('acc-1', 1)] }, 400, 'INVALID_REQUEST'],
    ])('refuses %s', async (_what, body, status, code) => {
      expect(await call('POST', `${node(2)}/v1/transactions/execute`, body)).toMatchObject({ status, body: { code } });
    });

    it('aborts at a lock that is not freed in time', async () => {
      await system.withDatabase('bank-a', async (client) => {
        await client.query("begin; update account set balance = balance where id = 'acc-15'");
        const answer = await call<TransactionBody>('POST', `${node(0)}/v1/transactions/execute`, {
          timeoutMs: 800,
          branches: [debit('acc-15', 1), credit('acc-15', 1)],
        });
        expect(answer.status).toBe(409);
        expect(['LOCK_TIMEOUT', 'DEADLINE_EXCEEDED']).toContain(answer.body['reason']);
        await client.query('rollback');
      });
    });

    it('puts garbage from Kafka aside and goes on', async () => {
      const broker = `127.0.0.1:${system.process('kafka').ports['broker']}`;
      const kafka = new Kafka({ brokers: [broker], logLevel: logLevel.NOTHING });
      const producer = kafka.producer();
      await producer.connect();
      const unknown = JSON.stringify({ v: 99, type: 'vote' });
      const foreign = JSON.stringify({
        v: 1,
        cluster: 'other',
        type: 'announce',
        participant: 'bank-a',
        operations: [],
      });
      const stranger = JSON.stringify({
        v: 1,
        cluster: 'local',
        type: 'vote',
        transactionId: randomUUID(),
        branchId: randomUUID(),
        participant: 'bank-a',
        vote: 'maybe',
        results: [],
      });
      for (const topic of ['replies', 'prepare.bank-a', 'decide.bank-a']) {
        const messages = ['{', unknown, stranger, foreign, ''].map((value) => ({ key: 'x', value }));
        await producer.send({ topic: `concordat.local.${topic}`, messages });
      }
      await producer.disconnect();
      const answer = await execute([debit('acc-16', 1), credit('acc-16', 1)]);
      expect(answer.status).toBe(200);
      const admin = kafka.admin();
      await admin.connect();
      await waitFor('all fifteen are dead letters', async () => {
        const offsets = await admin.fetchTopicOffsets('concordat.local.dead-letter');
        return offsets.reduce((sum, { high }) => sum + Number(high), 0) >= 15;
      });
      await admin.disconnect();
    });
  });

  describe('kill -9', () => {
    it('of the leader between the votes and the decision: the transaction ends the same everywhere', async () => {
      const leader = await system.leader();
      await system.arm(leader, 'coordinator.decide.before-append=kill');
      const answer = await system.client().execute([debit('acc-20', 11), credit('acc-20', 11)]);
      await system.waitUntilDead(leader);
      expect([200, 409]).toContain(answer.status);
      await system.restart(leader);
      await agreed(system, answer.body.id ?? answer.body.transactionId);
    });

    it('of the leader right after the decision: what is decided is done', async () => {
      const leader = await system.leader();
      const before = await system.balance('bank-a', 'acc-21');
      await system.arm(leader, 'coordinator.decide.after-append=kill');
      const answer = await system.client().execute([debit('acc-21', 12), credit('acc-21', 12)]);
      await system.waitUntilDead(leader);
      expect(answer).toMatchObject({ status: 200, body: { outcome: 'committed' } });
      await system.settled();
      expect(await system.balance('bank-a', 'acc-21')).toBe(before - 12);
      await system.restart(leader);
      await agreed(system, answer.body.id);
    });

    it('of a participant after its yes: it keeps its promise when it is back', async () => {
      const before = await system.balance('bank-b', 'acc-22');
      await system.arm('bank-b', 'participant.vote.after-send=kill');
      const answer = await system.client().execute([debit('acc-22', 13), credit('acc-22', 13)]);
      await system.waitUntilDead('bank-b');
      expect(answer).toMatchObject({ status: 200, body: { outcome: 'committed' } });
      expect(await system.prepared('bank-b')).toHaveLength(1);
      await system.restart('bank-b');
      await system.settled();
      expect(await system.balance('bank-b', 'acc-22')).toBe(before + 13);
    });

    it('of a database while a branch is prepared in it: the branch ends when it is back', async () => {
      const before = await system.balance('bank-b', 'acc-23');
      await system.arm('bank-b', 'participant.commit.before-commit=delay:3000');
      const answer = await system.client().execute([debit('acc-23', 14), credit('acc-23', 14)]);
      expect(answer.status).toBe(200);
      system.kill('postgres-b');
      await system.waitUntilDead('postgres-b');
      await system.restart('postgres-b');
      await waitFor(
        'bank-b answers again',
        async () => (await call('GET', `${system.httpUrl('bank-b')}/readyz`)).status === 200,
        { timeoutMs: 30_000 },
      );
      await system.settled();
      expect(await system.balance('bank-b', 'acc-23')).toBe(before + 14);
    });

    it('of the broker: questions are answered without it, work waits for it, and all is ready when it is back', async () => {
      const before = await system.balance('bank-b', 'acc-24');
      const earlier = (await execute([debit('acc-24', 1), credit('acc-24', 1)], '?wait=ended')).body.id;
      system.kill('kafka');
      await system.waitUntilDead('kafka');
      await everywhere(system.coordinatorUrls(), 'is not ready for work, for want of the broker', '/readyz', {
        status: 503,
        body: { for: 'work', lacks: ['broker'], reasons: ['the broker cannot be reached'] },
      });
      system.kill('bank-c');
      await system.waitUntilDead('bank-c');
      await system.restart('bank-c');
      // also of one that is started without a broker
      await everywhere(system.bankUrls(), 'is not ready, for want of the broker', '/readyz', {
        status: 503,
        body: {
          ready: false,
          busConnected: false,
          databaseReachable: true,
          working: true,
          obstacle: 'the broker cannot be reached',
        },
      });
      for (const url of system.bankUrls()) {
        expect(await call('GET', `${url}/healthz`)).toMatchObject({ status: 200 });
        expect(await call('GET', `${url}/accounts/acc-24`)).toMatchObject({ status: 200, body: { id: 'acc-24' } });
      }
      const body = { timeoutMs: 300_000, branches: [debit('acc-24', 15), credit('acc-24', 15)] };
      const waiting = await call<TransactionBody>('POST', `${node(0)}/v1/transactions/execute?waitMs=500`, body);
      expect(waiting).toMatchObject({ status: 202, body: { status: 'preparing' } });
      const { id } = waiting.body;
      const questions = {
        '/healthz': { status: 'live' },
        '/readyz?for=reads': { status: 'ready', lacks: [] },
        '/v1/cluster': { members: [{ nodeId: 1 }, { nodeId: 2 }, { nodeId: 3 }] },
        [`/v1/transactions/${earlier}`]: { id: earlier, outcome: 'committed' },
        [`/v1/transactions/${id}`]: { id, status: 'preparing' },
        '/v1/transactions?status=preparing': { items: [expect.objectContaining({ id })] },
        '/v1/transactions': { items: expect.arrayContaining([expect.objectContaining({ id: earlier })]) },
        '/v1/in-doubt': { items: expect.any(Array) },
      };
      for (const url of system.coordinatorUrls()) {
        for (const [path, expected] of Object.entries(questions)) {
          const { status, body: said } = await call('GET', `${url}${path}`);
          expect({ url, path, status, said }).toMatchObject({ url, path, status: 200, said: expected });
        }
      }
      await system.restart('kafka');
      await everywhere(system.coordinatorUrls(), 'is ready for work again', '/readyz', {
        status: 200,
        body: { lacks: [] },
      });
      await everywhere(system.bankUrls(), 'is ready again', '/readyz', {
        status: 200,
        body: { ready: true, busConnected: true, consuming: true },
      });
      await waitFor('what waited has ended', async () => (await system.transaction(id)).outcome === 'committed', {
        timeoutMs: 60_000,
        intervalMs: 100,
      });
      await agreed(system, id);
      await system.settled();
      expect(await system.balance('bank-b', 'acc-24')).toBe(before + 16);
    });
  });
});
