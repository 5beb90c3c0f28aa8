import { beforeEach, describe, expect, it } from '@jest/globals';
import type { LibrarySystem } from './library-system.js';

/** One library's way to say what every library can. */
export interface LibraryUnderTest {
  /** without a transaction of the library's */
  insert(id: string): Promise<unknown>;
  quantityOf(id: string): Promise<number | undefined>;
  /** in one transaction of the library's, begun by its own API */
  transaction(work: (inside: TransactionUnderTest) => Promise<unknown>): Promise<unknown>;
  /** in a transaction with the isolation level SERIALIZABLE; undefined where the library cannot ask for one */
  readonly serializable?: () => Promise<unknown>;
  /** in a transaction that is read-only */
  readonly readOnly?: (work: (inside: TransactionUnderTest) => Promise<unknown>) => Promise<unknown>;
  /** sends a text as it is */
  send(text: string): Promise<unknown>;
}

export interface TransactionUnderTest {
  insert(id: string): Promise<unknown>;
  /** a transaction inside this one; undefined where the library has none */
  readonly nested?: (work: (inside: TransactionUnderTest) => Promise<unknown>) => Promise<unknown>;
}

const fail = async (): Promise<never> => Promise.reject(new Error('changed its mind'));
const undone = { message: 'changed its mind' };

/** What PostgreSQL cannot prepare, or what would outlive the branch in its session. */
const FORBIDDEN = [
  'CREATE TEMP TABLE scratch (x int)',
  'LISTEN news',
  "NOTIFY news, 'x'",
  'DECLARE held CURSOR WITH HOLD FOR SELECT 1',
  'SET search_path = pg_temp',
  'SELECT pg_advisory_lock(1)',
  "PREPARE TRANSACTION 'x'",
  'BEGIN; INSERT INTO item VALUES (1); COMMIT',
  'COMMIT AND CHAIN',
];

/** What every library does in a global transaction, and without one. */
export function conformance(name: string, system: () => LibrarySystem, library: () => LibraryUnderTest): void {
  describe(`${name} in a global transaction`, () => {
    beforeEach(() => system().reset());

    it('works in its session: nothing is visible before the end, all of it after', async () => {
      await system().run(async (transaction) => {
        await library().insert('b');
        await library().transaction((inside) => inside.insert('c'));
        await transaction.client.query("UPDATE item SET quantity = 7 WHERE id IN ('b', 'c')");
        expect(await library().quantityOf('c')).toBe(7);
        expect(await system().items()).toBe('a=10');
      });
      expect(await system().items()).toBe('a=10 b=7 c=7');
    });

    it('leaves nothing when it aborts, whatever the library had committed', async () => {
      const aborted = system().run(async () => {
        await library().insert('b');
        await library().transaction((inside) => inside.insert('c'));
        await fail();
      });
      await expect(aborted).rejects.toMatchObject(undone);
      expect(await system().items()).toBe('a=10');
    });

    it("undoes a transaction of the library's that fails, and nothing else", async () => {
      await system().run(async () => {
        await library().insert('b');
        const failed = library().transaction(async (inside) => {
          await inside.insert('c');
          await fail();
        });
        await expect(failed).rejects.toMatchObject(undone);
        await expect(library().transaction((inside) => inside.insert('a'))).rejects.toThrow();
        await library().insert('d');
      });
      expect(await system().items()).toBe('a=10 b=0 d=0');
    });

    it('nests transactions', async () => {
      await system().run(() =>
        library().transaction(async (outer) => {
          await outer.insert('b');
          if (!outer.nested) return;
          await outer.nested((inside) => inside.insert('c'));
          const failed = outer.nested(async (inside) => {
            await inside.insert('d');
            await inside.nested?.((innermost) => innermost.insert('e'));
            await fail();
          });
          await expect(failed).rejects.toMatchObject(undone);
          await outer.nested((inside) => inside.insert('f'));
        }),
      );
      expect(await system().items()).toMatch(/^a=10 b=0( c=0 f=0)?$/);
    });

    it('lets transactions that overlap come one after the other, each undone alone', async () => {
      await system().run(async () => {
        const ids = ['b', 'a', 'c', 'a', 'd'];
        const outcomes = await Promise.allSettled(
          ids.map((id) => library().transaction((inside) => inside.insert(id))),
        );
        expect(outcomes.map(({ status }) => status === 'fulfilled')).toEqual([true, false, true, false, true]);
      });
      expect(await system().items()).toBe('a=10 b=0 c=0 d=0');
    });

    it('lets one begin inside another, on a client of its own', async () => {
      await system().run(() =>
        library().transaction(async (inside) => {
          await inside.insert('b');
          await library().transaction((other) => other.insert('c'));
        }),
      );
      expect(await system().items()).toBe('a=10 b=0 c=0');
    });

    it('aborts when the outer one is undone after that, because the inner one was to stay', async () => {
      const aborted = system().run(async () => {
        const outer = library().transaction(async (inside) => {
          await inside.insert('b');
          await library().transaction((other) => other.insert('c'));
          await fail();
        });
        await outer.catch(() => undefined);
      });
      await expect(aborted).rejects.toThrow('cannot be undone alone, because other statements have run in its session');
      expect(await system().items()).toBe('a=10');
    });

    it('refuses an isolation level that the session does not have', async () => {
      const { serializable } = library();
      if (!serializable) return;
      await system().run(async () => {
        await expect(serializable()).rejects.toThrow(/asks for SERIALIZABLE|Failed query/);
        await library().insert('b');
      });
      expect(await system().items()).toBe('a=10 b=0');
    });

    it('keeps a read-only transaction from writing, and writes again after it', async () => {
      const { readOnly } = library();
      if (!readOnly) return;
      await system().run(async () => {
        await readOnly(async () => undefined);
        await expect(readOnly((inside) => inside.insert('b'))).rejects.toThrow();
        await library().insert('c');
      });
      expect(await system().items()).toBe('a=10 c=0');
    });

    it.each(FORBIDDEN)('refuses %s', async (text) => {
      await system().run(async () => {
        const refusal = await library()
          .send(text)
          .catch((error: unknown) => error);
        expect(codesOf(refusal)).toContain('FORBIDDEN_STATEMENT');
        await library().insert('b');
      });
      expect(await system().items()).toBe('a=10 b=0');
    });

    it('outside of one works on its own, also after one', async () => {
      await system().run(() => library().insert('b'));
      await library().transaction((inside) => inside.insert('c'));
      expect(await system().items()).toBe('a=10 b=0 c=0');
      await expect(
        library().transaction(async (inside) => {
          await inside.insert('d');
          await fail();
        }),
      ).rejects.toMatchObject(undone);
      await library().send('SELECT pg_advisory_lock(1), pg_advisory_unlock(1)');
      expect(await system().items()).toBe('a=10 b=0 c=0');
    });

    it('outside of it (NOT_SUPPORTED) commits at once', async () => {
      const aborted = system().run(async () => {
        await library().insert('b');
        await system().transactions.run({ propagation: 'NOT_SUPPORTED' }, () => library().insert('c'));
        expect(await system().items()).toBe('a=10 c=0');
        await fail();
      });
      await expect(aborted).rejects.toMatchObject(undone);
      expect(await system().items()).toBe('a=10 c=0');
    });

    it('joining methods undo their statements alone', async () => {
      await system().run(async () => {
        await library().insert('b');
        const joined = system().run(async () => {
          await library().insert('c');
          await library().transaction((inside) => inside.insert('d'));
          await fail();
        });
        await expect(joined).rejects.toMatchObject(undone);
        await library().insert('e');
      });
      expect(await system().items()).toBe('a=10 b=0 e=0');
    });

    it('aborts when a transaction is not awaited', async () => {
      let begun: () => void = () => undefined;
      const isBegun = new Promise<void>((resolve) => (begun = resolve));
      let goOn: () => void = () => undefined;
      const late = new Promise<void>((resolve) => (goOn = resolve));
      let forgotten: Promise<unknown> | undefined;
      const aborted = system().run(async () => {
        forgotten = library().transaction(async (inside) => {
          await inside.insert('b');
          begun();
          await late;
          await inside.insert('c');
        });
        forgotten.catch(() => undefined);
        await isBegun;
      });
      await expect(aborted).rejects.toThrow('an await is missing');
      goOn();
      await expect(forgotten).rejects.toThrow();
      expect(await system().items()).toBe('a=10');
    });
  });
}

/** The codes of an error and of those that it carries: libraries wrap what the database or the guard says. */
export function codesOf(error: unknown): string[] {
  if (!(error instanceof Error)) return [];
  const { code, cause, driverError } = error as Error & { code?: unknown; driverError?: unknown };
  return [...(typeof code === 'string' ? [code] : []), ...codesOf(cause), ...codesOf(driverError)];
}
