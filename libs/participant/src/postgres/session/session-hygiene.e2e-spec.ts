import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { Pool } from 'pg';
import { SystemClock, type Logger } from '@concordat/foundation';
import { startTestPostgres, type TestPostgres } from '../../../../../test/support/postgres.js';
import { BranchRefusedError } from '../../runtime/errors.js';
import type { TwoPhaseWork } from '../../runtime/resource-manager.js';
import { PostgresResourceManager } from '../postgres-resource-manager.js';
import type { Work } from './context.js';

let server: TestPostgres;
let database: Pool;
const opened: PostgresResourceManager[] = [];
const warnings: string[] = [];
const logger: Logger = { debug: () => {}, info: () => {}, warn: (line) => void warnings.push(line), error: () => {} };

beforeAll(async () => {
  server = await startTestPostgres(['max_connections=30', 'max_locks_per_transaction=10']);
  database = new Pool({ connectionString: server.url, max: 2 });
  database.on('error', () => undefined);
  await database.query(`CREATE TABLE item (id text PRIMARY KEY, quantity int NOT NULL);
    INSERT INTO item SELECT 'i' || n, 10 FROM generate_series(0, 9) n;
    CREATE SEQUENCE counter;
    CREATE TABLE ticket (id serial);
    CREATE TABLE touched (id int);
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      PERFORM set_config('work_mem', '1MB', false), pg_advisory_lock(45);
      SET ROLE guest;
      RETURN NULL;
    END $$;
    CREATE TRIGGER touch AFTER INSERT ON touched FOR EACH ROW EXECUTE FUNCTION touch();
    CREATE TABLE scribbled (id int);
    CREATE FUNCTION scribble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      CREATE TEMP TABLE scratch (x int);
      RETURN NULL;
    END $$;
    CREATE TRIGGER scribble AFTER INSERT ON scribbled FOR EACH ROW EXECUTE FUNCTION scribble();
    CREATE ROLE guest;
    GRANT ALL ON ALL TABLES IN SCHEMA public TO guest;
    GRANT ALL ON SCHEMA public TO guest`);
}, 60_000);

afterAll(async () => {
  await database?.end();
  await server?.stop();
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()));
  const { rows } = await database.query<{ gid: string }>(
    'SELECT gid FROM pg_prepared_xacts WHERE database = current_database()',
  );
  for (const { gid } of rows) await database.query(`ROLLBACK PREPARED '${gid}'`);
  warnings.length = 0;
});

async function open(workConnections = 1): Promise<PostgresResourceManager> {
  const one = new PostgresResourceManager(
    { connectionString: server.url, cluster: 'test', participant: 'bank-a', workConnections },
    { clock: new SystemClock(), logger },
  );
  await one.start();
  return one;
}

/** Closed with the test. */
async function start(workConnections?: number): Promise<PostgresResourceManager> {
  const one = await open(workConnections);
  opened.push(one);
  return one;
}

function branch(): TwoPhaseWork {
  return {
    protocol: '2pc',
    transactionId: randomUUID(),
    branchId: randomUUID(),
    deadline: Date.now() + 20_000,
    timeoutMs: 20_000,
    preparedByService: false,
  };
}

/** What a handler sees of the session that it was given; the time limits differ from branch to branch. */
const SESSION = `SELECT pg_backend_pid() AS pid, json_build_object(
  'user', session_user || '/' || current_user,
  'settings', (SELECT json_object_agg(name, setting ORDER BY name) FROM pg_settings WHERE name NOT IN
    ('lock_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_read_only')),
  'read only', current_setting('transaction_read_only'),
  'tenant', coalesce(current_setting('shop.tenant', true), ''),
  'locks', (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
  'temporary', (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()),
  'prepared', (SELECT count(*) FROM pg_prepared_statements WHERE from_sql),
  'cursors', (SELECT count(*) FROM pg_cursors WHERE is_holdable),
  'channels', (SELECT count(*) FROM pg_listening_channels())
)::text AS session`;

/** The session of a branch that does nothing else. */
async function look(manager: PostgresResourceManager): Promise<{ pid: number; session: string }> {
  let seen: { pid: number; session: string } | undefined;
  await manager.prepare(branch(), async ({ client }) => {
    const { rows } = await client.query<{ pid: number; session: string }>(SESSION);
    seen = rows[0];
    return [];
  });
  return seen!;
}

/** `lastval()` of a session that has used no sequence is an error. */
async function sequenceIsUsed(manager: PostgresResourceManager): Promise<boolean> {
  const vote = await manager.prepare(branch(), async ({ client }) => {
    await client.query('SELECT lastval()');
    return [];
  });
  return vote !== 'busy' && vote.vote !== 'no';
}

const sql = (text: string): string => `DO $do$ BEGIN EXECUTE $sql$${text}$sql$; END $do$`;

/** What leaves a mark on a session, past the guard. A new way to do so is one more line. */
const MARKS: readonly (readonly [string, string])[] = [
  ['a setting', "SELECT set_config('work_mem', '1MB', false)"],
  ['a setting by DO', "DO $$ BEGIN SET work_mem = '1MB'; END $$"],
  ['the search path', sql('SET search_path = pg_temp')],
  ['read-only transactions', sql('SET default_transaction_read_only = on')],
  ['the isolation level', "SELECT set_config('default_transaction_isolation', 'serializable', false)"],
  ['a setting of its own', "SELECT set_config('shop.tenant', '7', false)"],
  ['a time zone', sql("SET TIME ZONE 'Asia/Tokyo'")],
  ['a session lock, quoted', 'SELECT "pg_advisory_lock"(42)'],
  ['a shared session lock', 'DO $$ BEGIN PERFORM pg_advisory_lock_shared(43); END $$'],
  ['a session lock that was tried', 'SELECT pg_catalog."pg_try_advisory_lock"(44)'],
  ['SELECT INTO TEMP', 'SELECT 1 AS x INTO TEMP scratch'],
  ['a temporary table', sql('CREATE TEMP TABLE scratch (x int)')],
  ['a temporary view', sql('CREATE VIEW pg_temp.scratch AS SELECT 1')],
  ['PREPARE', sql('PREPARE sneaky AS SELECT 1')],
  ['LISTEN', sql('LISTEN news')],
  ['a cursor WITH HOLD', sql('DECLARE held CURSOR WITH HOLD FOR SELECT 1')],
  ['a role', "SELECT set_config('role', 'guest', false)"],
  ['a role by DO', sql('SET ROLE guest')],
  ['a session authorization', "SELECT set_config('session_authorization', 'guest', false)"],
  ['DEALLOCATE ALL', sql('DEALLOCATE ALL')],
  ['a used sequence', "SELECT nextval('counter')"],
  ['a sequence used by a default', 'INSERT INTO ticket DEFAULT VALUES'],
  ['a setting, a lock and a role by a trigger', 'INSERT INTO touched VALUES (1)'],
  ['a temporary table by a trigger', 'INSERT INTO scribbled VALUES (1)'],
];

const named: Work = async ({ client }) => {
  await client.query({ name: 'find', text: 'SELECT quantity FROM item WHERE id = $1', values: ['i0'] });
  return [];
};

/** Every way a branch may end, with the mark made in it. */
const ENDINGS: Readonly<Record<string, (manager: PostgresResourceManager, mark: Work) => Promise<unknown>>> = {
  'prepared and committed': async (manager, mark) => {
    const one = branch();
    const vote = await manager.prepare(one, async (context) => {
      await context.client.query("UPDATE item SET quantity = quantity + 1 WHERE id = 'i0'");
      return mark(context);
    });
    if (vote !== 'busy' && vote.vote === 'yes') expect(await manager.commit(one)).toBe('committed');
  },
  'committed in one phase': (manager, mark) =>
    manager.commitOnePhase(branch(), async (context) => {
      await context.client.query("UPDATE item SET quantity = quantity + 1 WHERE id = 'i0'");
      return mark(context);
    }),
  'read only': (manager, mark) => manager.prepare(branch(), mark),
  refused: (manager, mark) =>
    manager.prepare(branch(), async (context) => {
      await mark(context);
      throw new BranchRefusedError('SOLD_OUT', 'nothing left');
    }),
  'failed in the database': (manager, mark) =>
    manager.prepare(branch(), async (context) => {
      await mark(context);
      await context.client.query('SELECT 1/0').catch(() => undefined);
      return [];
    }),
};

describe.each(Object.entries(ENDINGS))('after a branch that was %s', (_, end) => {
  let manager: PostgresResourceManager;

  beforeAll(async () => {
    manager = await open();
  });

  afterAll(async () => {
    await manager?.close();
  });

  it.each(MARKS)('%s does not reach the next one', async (_name, text) => {
    await manager.prepare(branch(), named);
    const clean = await look(manager);
    await end(manager, async ({ client }) => {
      await client.query(text);
      return [];
    });
    expect((await look(manager)).session).toBe(clean.session);
    expect(await sequenceIsUsed(manager)).toBe(false);
    expect(await manager.prepare(branch(), named)).toMatchObject({ vote: 'read-only' });
  });
});

describe('a clean session', () => {
  it('serves the next branch, with its named statements', async () => {
    const manager = await start();
    await manager.prepare(branch(), named);
    const { pid } = await look(manager);
    for (const end of Object.values(ENDINGS)) await end(manager, named);
    expect((await look(manager)).pid).toBe(pid);
    expect(warnings).toEqual([]);
  });

  it('is closed when it cannot be cleaned, and the log says why', async () => {
    const manager = await start();
    const { pid } = await look(manager);
    await manager.commitOnePhase(branch(), async ({ client }) => {
      await client.query('SELECT 1 AS x INTO TEMP scratch');
      return [];
    });
    expect((await look(manager)).pid).not.toBe(pid);
    expect(warnings).toEqual([expect.stringContaining('temporary tables')]);
  });
});

describe('a schema that changes under named statements', () => {
  it('refuses one branch, as a reason to try again; then every session has new plans', async () => {
    const manager = await start(3);
    await database.query('CREATE TABLE stock (id text PRIMARY KEY, quantity int); INSERT INTO stock VALUES ($$a$$, 1)');
    let arrived = 0;
    let open = (): void => undefined;
    const all = new Promise<void>((resolve) => (open = resolve));
    const take: Work = async ({ client }) => {
      const text = 'UPDATE stock SET quantity = quantity + 1 WHERE id = $1 RETURNING quantity';
      await client.query({ name: 'take', text, values: ['none'] });
      if (++arrived === 3) open();
      await all; // each in a session of its own
      return [];
    };
    await Promise.all([1, 2, 3].map(() => manager.prepare(branch(), take)));
    await database.query('ALTER TABLE stock ALTER COLUMN quantity TYPE bigint');
    expect(await manager.prepare(branch(), take)).toMatchObject({ vote: 'no', error: { code: 'SCHEMA_CHANGED' } });
    for (let n = 0; n < 4; n++) expect(await manager.prepare(branch(), take)).toMatchObject({ vote: 'read-only' });
  });
});

describe('a session that the server ended', () => {
  it('is not lent again', async () => {
    const manager = await start();
    const vote = await manager.prepare(branch(), async ({ client }) => {
      await client.query('SELECT pg_terminate_backend(pg_backend_pid())');
      return [];
    });
    expect(vote).toMatchObject({ vote: 'no', error: { code: 'DATABASE_SESSION_ENDED' } });
    expect(await manager.prepare(branch(), named)).toMatchObject({ vote: 'read-only' });
  });
});

describe('memory that all sessions share', () => {
  it('a full lock table is not taken for prepared transactions that are used up', async () => {
    const manager = await start();
    const vote = await manager.prepare(branch(), async ({ client }) => {
      await client.query('SELECT pg_advisory_xact_lock(n) FROM generate_series(1, 100000) n');
      return [];
    });
    expect(vote).toMatchObject({ vote: 'no', error: { code: 'LOCK_TABLE_FULL' } });
    expect(await manager.prepare(branch(), named)).toMatchObject({ vote: 'read-only' });
  });
});
