import { fork, spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Pool } from 'pg';
import type { HolderAnswer, HolderCall, HolderRequest } from '../support/holder-process.js';
import { freePort, startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { call, type TransactionBody } from '../support/rest.js';
import { waitFor } from '../support/wait-for.js';

jest.setTimeout(120_000);

const DIST = path.resolve(import.meta.dirname, '../../dist');
/** the default of `concordat dev` */
const CLUSTER = 'local';

let coordinator: ChildProcess;
let url: string;
const servers = new Map<string, TestPostgres>();
const pools = new Map<string, Pool>();
const holders: Holder[] = [];

/** A process of a participant that holds branches. */
class Holder {
  private readonly waiting = new Map<number, (answer: HolderAnswer) => void>();
  private calls = 0;
  readonly exit: Promise<unknown>;

  private constructor(
    readonly participant: string,
    private readonly child: ChildProcess,
  ) {
    this.exit = once(child, 'exit');
    child.on('message', (answer: HolderAnswer) => this.waiting.get(answer.id)?.(answer));
  }

  static async start(participant: string, instance: string): Promise<Holder> {
    const environment = { PARTICIPANT: participant, INSTANCE: instance, COORDINATOR: url, CLUSTER };
    const child = fork(path.join(DIST, 'test/support/holder-process.js'), {
      env: { ...process.env, ...environment, DATABASE_URL: servers.get(participant)!.url },
      execArgv: ['--enable-source-maps'],
    });
    const holder = new Holder(participant, child);
    holders.push(holder);
    await new Promise<void>((resolve) => holder.waiting.set(0, () => resolve()));
    await waitFor(`${participant} is known`, async () => {
      const { body } = await call<TransactionBody>('POST', `${url}/v1/transactions`, {});
      const probe = { participant, operation: 'none', payload: 1 };
      const { body: answer } = await call('POST', `${url}/v1/transactions/${body.id}/branches`, probe);
      return answer['code'] === 'UNKNOWN_OPERATION';
    });
    return holder;
  }

  ask(request: HolderCall): Promise<unknown> {
    const id = ++this.calls;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, (answer) => {
        if ('error' in answer) reject(new Error(answer.error));
        else resolve(answer.value);
      });
      this.child.send({ id, call: request } satisfies HolderRequest);
    });
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exit;
  }
}

beforeAll(async () => {
  for (const participant of ['orders', 'stock']) {
    const server = await startTestPostgres();
    const pool = new Pool({ connectionString: server.url });
    pool.on('error', () => undefined);
    await pool.query('CREATE TABLE item (id text PRIMARY KEY, quantity int NOT NULL)');
    servers.set(participant, server);
    pools.set(participant, pool);
  }
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  const words = ['dev', '--ephemeral', '--port', String(port)];
  coordinator = spawn(process.execPath, [path.join(DIST, 'apps/cli/src/main.js'), ...words], { stdio: 'ignore' });
  const isReady = (): Promise<boolean> =>
    fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  await waitFor('the coordinator is ready', isReady, { timeoutMs: 60_000 });
});

afterAll(async () => {
  coordinator?.kill('SIGKILL');
  for (const pool of pools.values()) await pool.end();
  for (const server of servers.values()) await server.stop();
});

beforeEach(async () => {
  for (const pool of pools.values()) await pool.query("TRUNCATE item; INSERT INTO item VALUES ('lamp', 10)");
});

afterEach(async () => {
  await Promise.all(holders.splice(0).map((holder) => holder.kill()));
});

async function begin(): Promise<{ id: string; deadline: number }> {
  const { body } = await call<TransactionBody>('POST', `${url}/v1/transactions`, { timeoutMs: 60_000 });
  return { id: body.id, deadline: Date.parse(String(body['deadline'])) };
}

/** A branch in the session of the holder, with one lamp taken. */
async function hold(holder: Holder, { id, deadline }: { id: string; deadline: number }) {
  const branchId = randomUUID();
  const instance = await holder.ask({ name: 'hold', transactionId: id, branchId, deadline });
  await holder.ask({ name: 'query', branchId, text: "UPDATE item SET quantity = quantity - 1 WHERE id = 'lamp'" });
  const enlist = async (): Promise<number> => {
    const branch = { participant: holder.participant, branchId, instance };
    return (await call('POST', `${url}/v1/transactions/${id}/branches`, branch)).status;
  };
  return { branchId, enlist };
}

const commit = (id: string) => call<TransactionBody>('POST', `${url}/v1/transactions/${id}/commit?wait=ended`);

async function quantity(participant: string): Promise<number | undefined> {
  const { rows } = await pools.get(participant)!.query<{ quantity: number }>('SELECT quantity FROM item');
  return rows[0]?.quantity;
}

/** Resolves when nobody holds the row. */
async function isFree(participant: string): Promise<void> {
  await waitFor('the row is free', async () => {
    const { rowCount } = await pools.get(participant)!.query('SELECT FROM item FOR UPDATE SKIP LOCKED');
    return rowCount === 1;
  });
}

describe('held branches', () => {
  it('of two services commit together, each with all calls in one session', async () => {
    const [orders, stock] = await Promise.all([Holder.start('orders', 'o-1'), Holder.start('stock', 's-1')]);
    const transaction = await begin();
    const [one, other] = [await hold(orders, transaction), await hold(stock, transaction)];
    expect([await one.enlist(), await other.enlist(), await one.enlist()]).toEqual([201, 201, 200]);
    const again = { name: 'query', branchId: one.branchId, text: 'UPDATE item SET quantity = quantity - 1' } as const;
    await orders.ask(again);
    expect(await quantity('orders')).toBe(10);
    expect(await commit(transaction.id)).toMatchObject({ status: 200, body: { outcome: 'committed' } });
    expect([await quantity('orders'), await quantity('stock')]).toEqual([8, 9]);
  });

  it('are closed by an abort at once', async () => {
    const orders = await Holder.start('orders', 'o-1');
    const transaction = await begin();
    await (await hold(orders, transaction)).enlist();
    const answer = await call('POST', `${url}/v1/transactions/${transaction.id}/abort?wait=ended`);
    expect(answer).toMatchObject({ status: 200, body: { outcome: 'aborted' } });
    await isFree('orders');
    expect(await quantity('orders')).toBe(10);
  });

  it('leave nothing when their process is killed before they are enlisted', async () => {
    const orders = await Holder.start('orders', 'o-1');
    const transaction = await begin();
    await hold(orders, transaction);
    await orders.kill();
    await isFree('orders');
    expect(await commit(transaction.id)).toMatchObject({ status: 200 }); // of no branch
    expect(await quantity('orders')).toBe(10);
  });

  it('abort with INSTANCE_GONE when their process is killed before its vote', async () => {
    const [orders, stock] = await Promise.all([Holder.start('orders', 'o-1'), Holder.start('stock', 's-1')]);
    await Holder.start('stock', 's-2'); // another process of the participant cannot stand in
    const transaction = await begin();
    const [one, other] = [await hold(orders, transaction), await hold(stock, transaction)];
    await Promise.all([one.enlist(), other.enlist()]);
    await stock.kill();
    const startedAt = performance.now();
    expect(await commit(transaction.id)).toMatchObject({
      status: 409,
      body: { code: 'TRANSACTION_ABORTED', reason: 'PARTICIPANT_REFUSED', participantCode: 'INSTANCE_GONE' },
    });
    expect(performance.now() - startedAt).toBeLessThan(30_000); // long before the deadline
    await Promise.all([isFree('orders'), isFree('stock')]);
  });

  it('commit when their process is killed after its vote', async () => {
    const [orders, stock] = await Promise.all([Holder.start('orders', 'o-1'), Holder.start('stock', 's-1')]);
    const transaction = await begin();
    const [one, other] = [await hold(orders, transaction), await hold(stock, transaction)];
    await Promise.all([one.enlist(), other.enlist()]);
    // the other one votes only when its last statement is done
    await stock.ask({ name: 'begin-query', branchId: other.branchId, text: 'SELECT pg_sleep(3)' });
    const committed = commit(transaction.id);
    await waitFor('the leader has the first vote', async () => {
      const { body } = await call<TransactionBody>('GET', `${url}/v1/transactions/${transaction.id}`);
      return body.branches.some(({ vote }) => vote === 'yes');
    });
    await orders.kill();
    await Holder.start('orders', 'o-2'); // carries the decision out
    expect(await committed).toMatchObject({ status: 200, body: { outcome: 'committed' } });
    expect([await quantity('orders'), await quantity('stock')]).toEqual([9, 9]);
  });
});
