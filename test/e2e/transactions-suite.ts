import { randomUUID } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { call, callCarefully, credit, debit, type Answer, type TransactionBody } from '../support/rest.js';
import { waitFor } from '../support/wait-for.js';
import { agreed, type SystemUnderTest } from './system.js';

/** What holds on every link: each kind of transaction, and what happens when a process or a database is killed. */
export function describeTransactions(system: SystemUnderTest): void {
  describeTransfers(system);
  describeInteractiveTransactions(system);
  describeIdempotencyKeys(system);
  describeThreePhases(system);
  describeLostMajority(system);
  describeKills(system);
}

function describeTransfers(system: SystemUnderTest): void {
  describe('transfers', () => {
    it('moves money between two databases, and a read after wait=ended sees all of it', async () => {
      const before = [await system.balance('bank-a', 'acc-1'), await system.balance('bank-b', 'acc-2')];
      const answer = await system.execute([debit('acc-1', 30), credit('acc-2', 30)], '?wait=ended');
      expect(answer.status).toBe(200);
      expect(answer.body).toMatchObject({ status: 'committed', outcome: 'committed', decision: 'commit' });
      expect(await system.balance('bank-a', 'acc-1')).toBe(before[0]! - 30);
      expect(await system.balance('bank-b', 'acc-2')).toBe(before[1]! + 30);
    });

    it('changes nothing when one participant refuses, and says which and why', async () => {
      const before = await system.balance('bank-b', 'acc-3');
      const answer = await system.execute([debit('acc-3', 1_000_000), credit('acc-3', 1_000_000)], '?wait=ended');
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
      const { status, body } = await system.execute(
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
      const single = await system.execute([debit('acc-6', 1)], '?wait=ended');
      expect(single.body).toMatchObject({ outcome: 'committed', branches: [{ state: 'committed' }] });
      const back = await system.execute([credit('acc-6', 1, 'bank-a')], '?wait=ended');
      expect(back.status).toBe(200);
      const read = await system.execute([{ participant: 'bank-b', operation: 'read', payload: { account: 'acc-6' } }]);
      expect(read.body).toMatchObject({
        outcome: 'committed',
        branches: [{ operations: [{ result: { account: 'acc-6' } }] }],
      });
      const mixed = await system.execute([
        debit('acc-6', 2),
        credit('acc-7', 2, 'bank-a'),
        { participant: 'bank-b', operation: 'read', payload: { account: 'acc-6' } },
      ]);
      expect(mixed.body.branches.find(({ participant }) => participant === 'bank-b')).toMatchObject({
        vote: 'read-only',
      });
    });

    it('refuses a single writer in one phase without a trace', async () => {
      const answer = await system.execute([debit('acc-8', 1_000_000)]);
      expect(answer.status).toBe(409);
      expect(answer.body).toMatchObject({ participantCode: 'INSUFFICIENT_FUNDS' });
    });
  });
}

function describeInteractiveTransactions(system: SystemUnderTest): void {
  describe('interactive transactions', () => {
    const begin = async (): Promise<string> => {
      const { status, body, headers } = await callCarefully<TransactionBody>(
        'POST',
        `${system.node(1)}/v1/transactions`,
        {
          metadata: { why: 'test' },
        },
      );
      expect(status).toBe(201);
      expect(headers.get('location')).toBe(`/v1/transactions/${body.id}`);
      return body.id;
    };
    const enlist = (id: string, body: unknown) =>
      callCarefully('POST', `${system.node(2)}/v1/transactions/${id}/branches`, body);

    it('begins, enlists, commits; a second commit has the same answer, and all else comes too late', async () => {
      const id = await begin();
      expect((await enlist(id, debit('acc-10', 5))).status).toBe(201);
      expect((await enlist(id, credit('acc-10', 5))).status).toBe(201);
      const commit = () =>
        callCarefully<TransactionBody>('POST', `${system.node(0)}/v1/transactions/${id}/commit?wait=ended`);
      const [first, second] = [await commit(), await commit()];
      expect(first.status).toBe(200);
      expect(second.body).toEqual(first.body);
      expect(await callCarefully('POST', `${system.node(1)}/v1/transactions/${id}/abort`)).toMatchObject({
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
      expect(await callCarefully('POST', `${system.node(0)}/v1/transactions/${id}/abort`)).toMatchObject({
        status: 200,
        body: { outcome: 'aborted' },
      });
      expect(await callCarefully('POST', `${system.node(0)}/v1/transactions/${id}/commit`)).toMatchObject({
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
      const committed = await callCarefully<TransactionBody>(
        'POST',
        `${system.node(0)}/v1/transactions/${id}/commit?wait=ended`,
      );
      expect(committed.body).toMatchObject({ outcome: 'committed' });
    });
  });
}

function describeIdempotencyKeys(system: SystemUnderTest): void {
  describe('idempotency keys', () => {
    it('have one effect over all nodes, and belong to one body', async () => {
      const key = randomUUID();
      const before = await system.balance('bank-a', 'acc-13');
      const send = (index: number, amount: number) =>
        callCarefully<TransactionBody>(
          'POST',
          `${system.node(index)}/v1/transactions/execute`,
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
}

/** Two debits' worth from bank-a to the others. */
function overThree(account: string, amount = 3): unknown[] {
  return [debit(account, 2 * amount), credit(account, amount), credit(account, amount, 'bank-c')];
}

function executeInThree(
  system: SystemUnderTest,
  branches: unknown,
  query = '?wait=ended',
  url = system.node(0),
): Promise<Answer<TransactionBody>> {
  return callCarefully<TransactionBody>('POST', `${url}/v1/transactions/execute${query}`, {
    protocol: '3pc',
    branches,
  });
}

function describeThreePhases(system: SystemUnderTest): void {
  describe('three phases', () => {
    it('commits over three banks, with a reader among the acceptors, too', async () => {
      const before = await system.balance('bank-c', 'acc-30');
      const { status, body } = await executeInThree(system, overThree('acc-30'));
      expect(status).toBe(200);
      const warnings = system.link === 'direct' ? [expect.stringContaining('CONCORDAT_LINK=direct')] : [];
      expect(body).toMatchObject({ protocol: '3pc', status: 'committed', warnings });
      expect(await system.balance('bank-c', 'acc-30')).toBe(before + 3);
      const reader = { participant: 'bank-c', operation: 'read', payload: { account: 'acc-30' } };
      const read = await executeInThree(system, [debit('acc-30', 1), credit('acc-30', 1), reader]);
      expect(read.body.branches.find(({ participant }) => participant === 'bank-c')).toMatchObject({
        vote: 'read-only',
        operations: [{ result: { account: 'acc-30', balance: before + 3 } }],
      });
    });

    it('aborts when one participant refuses', async () => {
      const answer = await executeInThree(system, overThree('acc-31', 1_000_000));
      expect(answer).toMatchObject({ status: 409, body: { participantCode: 'INSUFFICIENT_FUNDS' } });
    });

    it('is built step by step as well, and warns that two branches are too few', async () => {
      const begun = await callCarefully<TransactionBody>('POST', `${system.node(1)}/v1/transactions`, {
        protocol: '3pc',
      });
      const url = `${system.node(2)}/v1/transactions/${begun.body.id}`;
      for (const branch of [debit('acc-32', 2), credit('acc-32', 2)]) {
        expect((await callCarefully('POST', `${url}/branches`, branch)).status).toBe(201);
      }
      const { status, body } = await callCarefully<TransactionBody>('POST', `${url}/commit?wait=ended`);
      expect(status).toBe(200);
      expect(body).toMatchObject({ outcome: 'committed', warnings: [expect.stringContaining('blocks as 2pc does')] });
    });
  });
}

function describeKills(system: SystemUnderTest): void {
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
  });
}

/**
 * Three phases end without a majority of the coordinators: over Kafka without any of them, over streams as long as one
 * is left that forwards what the branches say to each other.
 */
function describeLostMajority(system: SystemUnderTest): void {
  const survivorCount = system.link === 'direct' ? 1 : 0;

  it(`three phases end while ${3 - survivorCount} of 3 coordinators are dead, and the log records it later`, async () => {
    const leader = await system.leader();
    const names = [1, 2, 3].map((nodeId) => `coordinator-${nodeId}`);
    const dead = [leader, ...names.filter((name) => name !== leader).slice(survivorCount)].toSorted();
    await system.arm(leader, 'coordinator.ballot-answer.received=kill@2');
    executeInThree(system, overThree('acc-33'), '?waitMs=0', system.httpUrl(leader)).catch(() => undefined);
    await system.waitUntilDead(leader);
    for (const name of dead) if (name !== leader) system.kill(name);
    for (const name of dead) await system.waitUntilDead(name);
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
    const [first, ...others] = dead as [string, ...string[]];
    const said = await system.restart(first);
    const waits = new RegExp(`${first} lives again .* not ready yet: .*leader.* Down: ${others.join(', ')};`);
    expect(said).toMatch(survivorCount === 0 ? waits : `${first} runs again`);
    expect(await system.restart(...others)).toContain(`${others.at(-1)} runs again`);
    await agreed(system, id);
    expect((await system.transaction(id)).outcome).toBe('committed');
  });
}
