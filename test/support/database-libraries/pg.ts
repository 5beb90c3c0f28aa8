import { expect, it, describe } from '@jest/globals';
import Cursor from 'pg-cursor';
import type { Pool, PoolClient } from 'pg';
import { conformance, type LibraryUnderTest, type TransactionUnderTest } from './conformance.js';
import type { LibrarySystem } from './library-system.js';

function libraryOf(pool: Pool): LibraryUnderTest {
  const insideOf = (client: PoolClient, depth = 0): TransactionUnderTest => ({
    insert: (id) => client.query('INSERT INTO item VALUES ($1)', [id]),
    nested: async (work) => {
      await client.query(`SAVEPOINT part_${depth}`);
      try {
        await work(insideOf(client, depth + 1));
        await client.query(`RELEASE SAVEPOINT part_${depth}`);
      } catch (error) {
        await client.query(`ROLLBACK TO SAVEPOINT part_${depth}`);
        throw error;
      }
    },
  });
  const begin = async (text: string, work: (inside: TransactionUnderTest) => Promise<unknown>): Promise<void> => {
    const client = await pool.connect();
    try {
      await client.query(text);
      await work(insideOf(client));
      await client.query('COMMIT');
    } catch (error) {
      await client.query('ROLLBACK');
      throw error;
    } finally {
      client.release();
    }
  };
  return {
    insert: (id) => pool.query('INSERT INTO item VALUES ($1)', [id]),
    quantityOf: async (id) => {
      const { rows } = await pool.query<{ quantity: number }>('SELECT quantity FROM item WHERE id = $1', [id]);
      return rows[0]?.quantity;
    },
    transaction: (work) => begin('BEGIN', work),
    serializable: () => begin('BEGIN ISOLATION LEVEL SERIALIZABLE', async () => undefined),
    readOnly: (work) => begin('START TRANSACTION READ ONLY', work),
    send: (text) => pool.query(text),
  };
}

export function pgSuite(system: () => LibrarySystem, pool: () => Pool): void {
  conformance('pg', system, () => libraryOf(pool()));

  describe('pg in a global transaction', () => {
    it('refuses a cursor with a sentence, and the transaction goes on', async () => {
      await system().reset();
      await system().run(async () => {
        const client = await pool().connect();
        expect(() => client.query(new Cursor('SELECT 1'))).toThrow('read the rows in pages');
        client.release();
        await pool().query("INSERT INTO item VALUES ('b')");
      });
      expect(await system().items()).toBe('a=10 b=0');
    });

    it('takes callbacks', async () => {
      await system().run(async () => {
        const count = await new Promise((resolve, reject) => {
          pool().query('SELECT count(*)::int AS count FROM item', (error: Error | undefined, result) =>
            error ? reject(error) : resolve(result.rows[0]),
          );
        });
        expect(count).toEqual({ count: 2 });
      });
    });

    it('does not commit what a client left open when it was given back', async () => {
      await system().reset();
      await system().run(async () => {
        const client = await pool().connect();
        await client.query('BEGIN');
        await client.query("INSERT INTO item VALUES ('b')");
        client.release();
        await pool().query("INSERT INTO item VALUES ('c')");
      });
      expect(await system().items()).toBe('a=10 c=0');
    });

    it('cannot see a client that was taken before: it works on its own', async () => {
      await system().reset();
      const client = await pool().connect();
      const aborted = system().run(async () => {
        await client.query("INSERT INTO item VALUES ('b')");
        throw new Error('changed its mind');
      });
      await expect(aborted).rejects.toThrow('changed its mind');
      client.release();
      expect(await system().items()).toBe('a=10 b=0');
    });
  });
}
