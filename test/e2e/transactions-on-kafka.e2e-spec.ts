import { describe, expect, it, jest } from '@jest/globals';
import { call, credit, debit, type TransactionBody } from '../support/rest.js';
import { waitFor } from '../support/wait-for.js';
import { describeGarbage } from './broker-garbage.js';
import { agreed, everywhere, useSystem } from './system.js';
import { describeTransactions } from './transactions-suite.js';

jest.setTimeout(180_000);

/** `/readyz` is open to everybody: it names no address. */
const NO_BROKER = 'the broker cannot be reached';

describe('a whole system on real PostgreSQL and Kafka', () => {
  const system = useSystem('kafka');

  describeTransactions(system);
  describeGarbage(system);

  describe('bad input', () => {
    it.each([0, -1, 1.5, '5', null, true])('refuses the amount %p as a payload of the participant', async (amount) => {
      const answer = await system.execute([debit('acc-14', amount), credit('acc-14', amount)]);
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
        `${system.node(0)}/v1/transactions/execute`,
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
      expect(await call('POST', `${system.node(2)}/v1/transactions/execute`, body)).toMatchObject({
        status,
        body: { code },
      });
    });

    it('aborts at a lock that is not freed in time', async () => {
      await system.withDatabase('bank-a', async (client) => {
        await client.query("begin; update account set balance = balance where id = 'acc-15'");
        const answer = await call<TransactionBody>('POST', `${system.node(0)}/v1/transactions/execute`, {
          timeoutMs: 800,
          branches: [debit('acc-15', 1), credit('acc-15', 1)],
        });
        expect(answer.status).toBe(409);
        expect(['LOCK_TIMEOUT', 'DEADLINE_EXCEEDED']).toContain(answer.body['reason']);
        await client.query('rollback');
      });
    });
  });

  it('kill -9 of the broker: questions are answered without it, work waits for it, and all is ready when it is back', async () => {
    const before = await system.balance('bank-b', 'acc-24');
    const earlier = (await system.execute([debit('acc-24', 1), credit('acc-24', 1)], '?wait=ended')).body.id;
    system.kill('kafka');
    await system.waitUntilDead('kafka');
    await everywhere(system.coordinatorUrls(), 'is not ready for work, for want of the broker', '/readyz', {
      status: 503,
      body: { for: 'work', lacks: ['broker'], reasons: [NO_BROKER] },
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
        obstacle: NO_BROKER,
      },
    });
    for (const url of system.bankUrls()) {
      expect(await call('GET', `${url}/healthz`)).toMatchObject({ status: 200 });
      expect(await call('GET', `${url}/accounts/acc-24`)).toMatchObject({ status: 200, body: { id: 'acc-24' } });
    }
    const body = { timeoutMs: 300_000, branches: [debit('acc-24', 15), credit('acc-24', 15)] };
    const waiting = await call<TransactionBody>('POST', `${system.node(0)}/v1/transactions/execute?waitMs=500`, body);
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
