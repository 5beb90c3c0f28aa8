import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Pool } from 'pg';
import { SystemClock } from '@concordat/foundation';
import { branchError } from '@concordat/commit-protocol';
import { startTestPostgres, type TestPostgres } from '../../../../test/support/postgres.js';
import { waitFor } from '../../../../test/support/wait-for.js';
import type { HeldSession, ThreePhaseWork, TwoPhaseWork } from '../runtime/resource-manager.js';
import { PostgresResourceManager } from './postgres-resource-manager.js';
import type { PostgresContext } from './session/context.js';
import { branch, gidOf, notPrepared, type Item } from './testing/two-phase-work.js';

type Session = HeldSession<PostgresContext>;

let server: TestPostgres;
let database: Pool;
/** two processes of one participant */
let manager: PostgresResourceManager;
let other: PostgresResourceManager;
const held: Session[] = [];

beforeAll(async () => {
  server = await startTestPostgres(['max_prepared_transactions=16']);
  database = new Pool({ connectionString: server.url, max: 4 });
  database.on('error', () => undefined);
  await database.query('CREATE TABLE item (id text PRIMARY KEY, quantity int NOT NULL)');
  manager = open();
  other = open();
  await manager.start();
  await other.start();
}, 60_000);

afterAll(async () => {
  await Promise.all([manager, other].map((one) => one?.close()));
  await database?.end();
  await server?.stop();
});

beforeEach(async () => {
  await database.query("TRUNCATE item; INSERT INTO item SELECT 'i' || n, 10 FROM generate_series(0, 9) n");
});

afterEach(async () => {
  await Promise.all(held.splice(0).map((session) => session.close()));
  for (const { gid } of await manager.listPrepared()) await database.query(`ROLLBACK PREPARED '${gid}'`);
});

function open(): PostgresResourceManager {
  return new PostgresResourceManager(
    { connectionString: server.url, cluster: 'test', participant: 'bank-a', lockTimeoutMs: 5_000 },
    { clock: new SystemClock() },
  );
}

async function hold(of: TwoPhaseWork = branch(), by = manager): Promise<{ one: TwoPhaseWork; session: Session }> {
  const session = await by.hold(of);
  held.push(session);
  return { one: of, session };
}

const take = (session: Session, id = 'i0') =>
  session.context.client.query<Item>('UPDATE item SET quantity = quantity - 1 WHERE id = $1 RETURNING quantity', [id]);

async function quantity(id = 'i0'): Promise<number | undefined> {
  return (await database.query<Item>('SELECT quantity FROM item WHERE id = $1', [id])).rows[0]?.quantity;
}

async function isPrepared(of: TwoPhaseWork): Promise<boolean> {
  return (await manager.listPrepared()).some(({ gid }) => gid === gidOf(of));
}

/** Resolves when nobody holds the row. */
async function isFree(id = 'i0'): Promise<void> {
  await waitFor(`the row ${id} is free`, async () => {
    const { rowCount } = await database.query('SELECT FROM item WHERE id = $1 FOR UPDATE SKIP LOCKED', [id]);
    return rowCount === 1;
  });
}

/** Resolves when a session of the participant waits for a lock. */
async function isWaiting(): Promise<void> {
  await waitFor('a statement waits for a lock', async () => {
    const { rows } = await database.query("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
    return rows.length > 0;
  });
}

/** Resolves when the participant has asked what a statement waits for. */
async function hasLooked(): Promise<void> {
  const asked = "application_name = 'concordat-look' AND state = 'idle' AND query LIKE '%pg_cancel_backend(waiter%'";
  const since = await database.query<{ now: Date }>('SELECT clock_timestamp() AS now');
  await waitFor('the participant has looked', async () => {
    const { rows } = await database.query(`SELECT FROM pg_stat_activity WHERE ${asked} AND query_start > $1`, [
      since.rows[0]?.now,
    ]);
    return rows.length > 0;
  });
}

describe('a held session', () => {
  it('keeps one transaction over several calls, and prepares all of it', async () => {
    const { one, session } = await hold();
    await take(session);
    await new Promise((resolve) => setImmediate(resolve)); // another call
    await take(session);
    expect(await quantity()).toBe(10);
    expect(await session.prepare(one, ['r'])).toEqual({ vote: 'yes', results: ['r'] });
    expect(await isPrepared(one)).toBe(true);
    expect(await manager.commit(one)).toBe('committed');
    expect(await quantity()).toBe(8);
  });

  it('stays open for longer than idle_in_transaction_session_timeout of the server, which its deadline replaces', async () => {
    await database.query("ALTER DATABASE postgres SET idle_in_transaction_session_timeout = '200ms'");
    const limited = open();
    try {
      await limited.start();
      const { one, session } = await hold(branch(), limited);
      await take(session);
      await waitFor('it was idle for twice as long', async () => {
        const { rows } = await database.query(
          "SELECT FROM pg_stat_activity WHERE state = 'idle in transaction' AND now() - state_change > interval '400 ms'",
        );
        return rows.length > 0;
      });
      await take(session);
      expect(await session.prepare(one, [])).toEqual({ vote: 'yes', results: [] });
      expect(await limited.commit(one)).toBe('committed');
    } finally {
      await database.query('ALTER DATABASE postgres RESET idle_in_transaction_session_timeout');
      await limited.close();
    }
  });

  it('of a new branch takes its first statement right behind the opening, in one flight', async () => {
    const { one, session } = await hold({ ...branch(), isNew: true } as TwoPhaseWork);
    const first = take(session);
    expect((await first).rows).toEqual([{ quantity: 9 }]);
    expect(await session.prepare(one, [])).toEqual({ vote: 'yes', results: [] });
    expect(await manager.commit(one)).toBe('committed');
    expect(await quantity()).toBe(9);
  });

  it('whose opening fails behind its back says why, works on nothing, and gives its connection back', async () => {
    const { one } = await hold();
    const again = { ...one, isNew: true } as TwoPhaseWork; // it is not: another session has its lock
    const session = await other.hold(again);
    held.push(session);
    await expect(take(session)).rejects.toMatchObject({ code: 'CB001' });
    await expect(session.lost).resolves.toMatchObject({ code: expect.any(String) });
    await session.close();
    await isFree();
    const { session: next } = await hold(branch(), other);
    await take(next);
  });

  it('that wrote nothing votes read-only', async () => {
    const { one, session } = await hold();
    await session.context.client.query('SELECT quantity FROM item');
    expect(await session.prepare(one, [])).toEqual({ vote: 'read-only', results: [] });
    expect(await isPrepared(one)).toBe(false);
  });

  it('records the vote of an acceptor in three phases', async () => {
    const { one, session } = await hold();
    await take(session);
    const acceptors = [one.branchId, randomUUID(), randomUUID()].map((branchId) => ({ branchId, participant: 'p' }));
    const work: ThreePhaseWork = { ...one, protocol: '3pc', isFirstSending: true, acceptors };
    expect(await session.prepare(work, [])).toEqual({ vote: 'yes', results: [] });
    const { rows } = await database.query('SELECT vote FROM concordat_acceptor WHERE branch_id = $1', [one.branchId]);
    expect(rows).toEqual([{ vote: 'yes' }]);
  });

  it('waits for the statements that are still running before it prepares, and takes no more', async () => {
    const { one, session } = await hold();
    const blocker = await database.connect();
    try {
      await blocker.query("BEGIN; UPDATE item SET quantity = 20 WHERE id = 'i0'");
      const late = take(session);
      await isWaiting();
      const vote = session.prepare(one, []);
      await expect(take(session, 'i1')).rejects.toMatchObject({ code: 'FORBIDDEN_STATEMENT' });
      await blocker.query('COMMIT');
      await late;
      expect(await vote).toMatchObject({ vote: 'yes' });
    } finally {
      blocker.release();
    }
    await manager.commit(one);
    expect(await quantity()).toBe(19);
  });

  it('votes no when a statement does not end in the time that is left', async () => {
    const { one, session } = await hold(branch({ deadline: Date.now() + 600, timeoutMs: 600 }));
    const blocker = await database.connect();
    try {
      await blocker.query("BEGIN; UPDATE item SET quantity = 20 WHERE id = 'i0'");
      const late = take(session).catch((error: unknown) => error);
      await isWaiting();
      const vote = await session.prepare(one, []);
      expect(vote).toMatchObject({ vote: 'no' });
      expect(await late).toBeInstanceOf(Error);
      await blocker.query('ROLLBACK');
    } finally {
      blocker.release();
    }
    expect(await isPrepared(one)).toBe(false);
  });

  it('that is refused frees its locks at once, and no late prepare succeeds', async () => {
    const { one, session } = await hold();
    await take(session);
    const error = branchError('SOLD_OUT', 'nothing left');
    expect(await session.refuse(one, error)).toEqual({ vote: 'no', results: [], error });
    await isFree();
    expect(await other.prepare({ ...one, preparedByService: true }, notPrepared)).toEqual({
      vote: 'no',
      results: [],
      error,
    });
  });

  it('is closed at once although a statement of it waits for a lock', async () => {
    const { one, session } = await hold();
    await take(session, 'i1');
    const blocker = await database.connect();
    try {
      await blocker.query("BEGIN; UPDATE item SET quantity = 20 WHERE id = 'i0'");
      const late = take(session).catch((error: unknown) => error);
      await isWaiting();
      await session.close();
      expect(await late).toBeInstanceOf(Error);
      await isFree('i1'); // although the other transaction is still open
      await blocker.query('ROLLBACK');
    } finally {
      blocker.release();
    }
    expect(await manager.abort(one)).toBe('aborted');
  });

  it('is not ended by the idle_in_transaction_session_timeout of its database, which counts for others', async () => {
    await database.query(`ALTER DATABASE postgres SET idle_in_transaction_session_timeout = '100ms'`);
    const patient = open();
    try {
      await patient.start();
      const { one, session } = await hold(branch(), patient);
      await take(session);
      await new Promise((resolve) => setTimeout(resolve, 400)); // longer than the server would wait
      await take(session);
      expect(await session.prepare(one, [])).toMatchObject({ vote: 'yes' });
      await patient.commit(one);
      expect(await quantity()).toBe(8);
    } finally {
      await database.query('ALTER DATABASE postgres RESET idle_in_transaction_session_timeout');
      await patient.close();
    }
  });

  it('gives its connection back clean', async () => {
    for (let round = 0; round < 20; round++) {
      const { one, session } = await hold();
      await take(session, 'i2');
      await session.context.client.query('SAVEPOINT one; SET LOCAL lock_timeout = 77');
      if (round % 2 === 0) await session.close();
      else await session.prepare(one, []);
      if (round % 2 === 1) await manager.abort(one);
    }
    const { session } = await hold();
    const { rows } = await session.context.client.query('SHOW lock_timeout');
    expect(rows).toEqual([{ lock_timeout: '5s' }]);
  });
});

describe('a branch that is held', () => {
  it('is claimed: nobody else can hold it, and it is not run', async () => {
    const { one } = await hold();
    await expect(other.hold(one)).rejects.toMatchObject({ code: 'BRANCH_OCCUPIED' });
    expect(await other.prepare(one, async () => [])).toBe('busy');
  });

  it('can be aborted by another process, which does not wait for the session; a late prepare fails', async () => {
    const { one, session } = await hold();
    await take(session);
    expect(await other.abort(one)).toBe('aborted');
    expect(await session.prepare(one, [])).toMatchObject({ vote: 'no' });
    expect(await isPrepared(one)).toBe(false);
    await isFree();
  });

  it('has its session ended by another process, so that its locks are free at once', async () => {
    const { one, session } = await hold();
    await take(session);
    await other.endSession(one);
    await isFree();
    expect(await session.lost).toMatchObject({ code: 'DATABASE_SESSION_ENDED' });
    await expect(take(session)).rejects.toThrow();
    expect(await session.prepare(one, [])).toMatchObject({ vote: 'no', error: { code: 'DATABASE_CONNECTION_LOST' } });
  });

  it('is lost with the reason when it was idle beyond its deadline', async () => {
    const { session } = await hold(branch({ deadline: Date.now() + 200, timeoutMs: 200 }));
    await take(session);
    expect(await session.lost).toMatchObject({ code: 'DATABASE_SESSION_ENDED' });
    await isFree();
  });

  it('that is prepared is not touched by the end of sessions', async () => {
    const { one, session } = await hold();
    await take(session);
    await session.prepare(one, []);
    await other.endSession(one);
    expect(await isPrepared(one)).toBe(true);
  });
});

describe('a statement that waits for its own transaction', () => {
  it('fails at once with SELF_BLOCKED, and so does the vote', async () => {
    const { one, session } = await hold();
    await take(session);
    await session.prepare(one, []);
    const { one: second, session: again } = await hold(branch({ transactionId: one.transactionId }));
    const startedAt = performance.now();
    await expect(take(again)).rejects.toMatchObject({ code: 'SELF_BLOCKED' });
    expect(performance.now() - startedAt).toBeLessThan(3_000);
    expect(await again.prepare(second, [])).toMatchObject({ vote: 'no', error: { code: 'SELF_BLOCKED' } });
  });

  it('is found also for an advisory lock', async () => {
    const { one, session } = await hold();
    await take(session);
    await session.context.client.query('SELECT pg_advisory_xact_lock(4711)');
    await session.prepare(one, []);
    const { session: again } = await hold(branch({ transactionId: one.transactionId }));
    await expect(again.context.client.query('SELECT pg_advisory_xact_lock(4711)')).rejects.toMatchObject({
      code: 'SELF_BLOCKED',
    });
  });

  it('is no wait for the prepared branch of another transaction', async () => {
    const { one, session } = await hold();
    await take(session);
    await session.prepare(one, []);
    const { session: again } = await hold();
    const waiting = take(again);
    await isWaiting();
    await hasLooked();
    await manager.commit(one);
    expect((await waiting).rows).toEqual([{ quantity: 8 }]);
  });
});
