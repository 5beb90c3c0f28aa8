import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Pool, type PoolClient } from 'pg';
import { joinPool } from './join-pool.js';
import type { Leave } from './replace-method.js';
import { JoinedClient } from './joined-client.js';
import { SessionWork } from './session-work.js';
import { RecordedSession } from './testing/recorded-session.js';

const storage = new AsyncLocalStorage<SessionWork>();
/** Nobody listens there: whatever reaches the user's own pool fails. */
const NOWHERE = { host: '127.0.0.1', port: 1 };
const refused = { code: 'ECONNREFUSED' };

let pool: Pool;
let session: RecordedSession;
let leave: Leave;

beforeEach(() => {
  pool = new Pool(NOWHERE);
  session = new RecordedSession();
  leave = joinPool(pool, () => storage.getStore());
});

afterEach(async () => {
  if (!pool.ended) await pool.end();
});

const inside = <T>(use: () => T): T => storage.run(SessionWork.of(session), use);

describe('a pool that joins', () => {
  it('is the pool itself outside a transaction', async () => {
    await expect(pool.query('SELECT 1')).rejects.toMatchObject(refused);
    await expect(pool.connect()).rejects.toMatchObject(refused);
    const failure = await new Promise((resolve) => pool.connect((error) => resolve(error)));
    expect(failure).toMatchObject(refused);
  });

  it('runs the queries of the pool on the session, without a connection', async () => {
    await inside(async () => {
      expect(await pool.query('SELECT $1', [7])).toMatchObject({ command: 'SELECT' });
      await expect(pool.query('FAIL')).rejects.toThrow('the statement failed');
    });
    expect(session.configurations).toEqual([{ text: 'SELECT $1', values: [7] }, { text: 'FAIL' }]);
    expect([pool.totalCount, pool.idleCount, pool.waitingCount]).toEqual([0, 0, 0]);
  });

  it('lends clients of the session, by promise and by callback', async () => {
    await inside(async () => {
      const client = await pool.connect();
      expect(client).toBeInstanceOf(JoinedClient);
      client.release();
      const { done, other } = await new Promise<{ done: () => void; other: PoolClient | undefined }>((resolve) =>
        pool.connect((_, other, done) => resolve({ done, other })),
      );
      await other?.query('SELECT 1');
      done();
      expect(() => other?.release()).toThrow('already been given back');
    });
    expect(session.sent).toEqual(['SELECT 1']);
  });

  it('remains a pool of pg, with its options, listeners and end', async () => {
    let errors = 0;
    expect(pool.on('error', () => errors++)).toBe(pool);
    pool.emit('error', new Error('idle client'), undefined);
    expect([pool instanceof Pool, pool.options.port, errors]).toEqual([true, 1, 1]);
    await pool.end();
    await inside(async () => {
      await expect(pool.connect()).rejects.toThrow('after calling end');
    });
  });

  it('counts a statement to the method that sends it, on whichever client', async () => {
    const outer = SessionWork.of(session);
    await storage.run(outer, async () => {
      const client = await pool.connect();
      const inner = outer.nested();
      await storage.run(inner, () => client.query('INSERT 1'));
      await inner.undo();
      client.release();
    });
    expect(session.sent).toEqual(['SAVEPOINT concordat_1', 'INSERT 1', 'ROLLBACK TO SAVEPOINT concordat_1']);
  });

  it('divides the work of the method that begins its transaction, on whichever client', async () => {
    const outer = SessionWork.of(session);
    const client = await storage.run(outer, () => pool.connect());
    const inner = outer.nested();
    await storage.run(inner, async () => {
      for (const text of ['BEGIN', 'INSERT 1', 'ROLLBACK', 'INSERT 2']) await client.query(text);
    });
    await inner.keep();
    expect(session.sent).toEqual([
      'SAVEPOINT concordat_1; SAVEPOINT concordat_2',
      'INSERT 1',
      'ROLLBACK TO SAVEPOINT concordat_2',
      'INSERT 2',
    ]);
  });

  it('of another transaction than the one of its client goes to that of the client', async () => {
    const client = await inside(() => pool.connect());
    const other = new RecordedSession();
    await storage.run(SessionWork.of(other), () => client.query('INSERT 1'));
    expect([session.sent, other.sent]).toEqual([['INSERT 1'], []]);
  });

  it("a method's failure cannot be undone alone when its statements ran in another method's transaction", async () => {
    const outer = SessionWork.of(session);
    const inner = outer.nested();
    await storage.run(outer, async () => {
      const client = await pool.connect();
      await client.query('BEGIN');
      await storage.run(inner, () => client.query('INSERT 1'));
    });
    await expect(inner.undo()).rejects.toThrow('cannot be undone alone');
  });
});

describe('a client from before the transaction', () => {
  const taken = { query: async (text: string): Promise<string> => text };
  const sentences: string[] = [];

  beforeEach(() => {
    sentences.length = 0;
    leave();
    leave = joinPool(pool, () => storage.getStore(), { onOutsideUse: (sentence) => sentences.push(sentence) });
  });

  it('stays what it is, and its use inside is reported once, with what to do', async () => {
    const client = { ...taken };
    pool.emit('connect', client);
    expect(await client.query('outside')).toBe('outside');
    expect(sentences).toEqual([]);
    await inside(async () => {
      expect(await client.query('inside')).toBe('inside');
      await client.query('inside');
    });
    expect(sentences).toEqual([expect.stringContaining('take the connection inside the method')]);
    expect(session.sent).toEqual([]);
  });

  it('is not looked at any more when the pool has left', async () => {
    const client = { ...taken };
    pool.emit('connect', client);
    leave();
    await inside(() => client.query('inside'));
    expect(sentences).toEqual([]);
  });
});

describe('leaving', () => {
  it('gives the pool back as it was', async () => {
    leave();
    expect(Object.hasOwn(pool, 'connect')).toBe(false);
    await inside(() => expect(pool.query('SELECT 1')).rejects.toMatchObject(refused));
  });

  it('in any order lets those join that stay', async () => {
    const other = new AsyncLocalStorage<SessionWork>();
    const leaveOther = joinPool(pool, () => other.getStore());
    leave();
    await inside(() => expect(pool.query('SELECT 1')).rejects.toMatchObject(refused));
    await other.run(SessionWork.of(session), () => pool.query('SELECT 1'));
    expect(session.sent).toEqual(['SELECT 1']);
    leaveOther();
  });
});
