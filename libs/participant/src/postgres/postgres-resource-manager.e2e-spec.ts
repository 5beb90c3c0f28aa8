import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Client, Pool } from 'pg';
import { DataSource } from 'typeorm';
import { SystemClock } from '@concordat/foundation';
import { startTestPostgres, type TestPostgres } from '../../../../test/support/postgres.js';
import { waitFor } from '../../../../test/support/wait-for.js';
import { BranchRefusedError } from '../runtime/errors.js';
import type { TwoPhaseWork } from '../runtime/resource-manager.js';
import { requireTag } from './statements/answers.js';
import { PostgresResourceManager } from './postgres-resource-manager.js';
import type { PostgresContext, Work } from './session/context.js';
import { type Item, ITEM, branch, take, notPrepared, gidOf, gate } from './testing/two-phase-work.js';

let server: TestPostgres;
let database: Pool;
let dataSource: DataSource;
let manager: PostgresResourceManager;
const opened: PostgresResourceManager[] = [];

beforeAll(async () => {
  server = await startTestPostgres(['max_prepared_transactions=6']);
  database = new Pool({ connectionString: server.url, max: 4 });
  database.on('error', () => undefined);
  await database.query(`CREATE TABLE item (id text PRIMARY KEY, quantity int NOT NULL);
    CREATE TABLE part (id text, item_id text REFERENCES item DEFERRABLE INITIALLY DEFERRED)`);
  dataSource = await new DataSource({ type: 'postgres', url: server.url, entities: [ITEM] }).initialize();
  manager = open();
  await manager.start();
}, 60_000);

afterAll(async () => {
  await Promise.all(opened.map((one) => one.close()));
  await dataSource?.destroy();
  await database?.end();
  await server?.stop();
});

beforeEach(async () => {
  await database.query("TRUNCATE item, part; INSERT INTO item SELECT 'i' || n, 10 FROM generate_series(0, 9) n");
});

afterEach(async () => {
  for (const { gid } of await manager.listPrepared()) await database.query(`ROLLBACK PREPARED '${gid}'`);
});

function open(change: { lockTimeoutMs?: number } = {}): PostgresResourceManager {
  const one = new PostgresResourceManager(
    { connectionString: server.url, cluster: 'test', participant: 'bank-a', dataSource, ...change },
    { clock: new SystemClock() },
  );
  opened.push(one);
  return one;
}

async function quantity(id = 'i0'): Promise<number | undefined> {
  return (await database.query<Item>('SELECT quantity FROM item WHERE id = $1', [id])).rows[0]?.quantity;
}

async function outcomeOf({ branchId }: TwoPhaseWork): Promise<string | undefined> {
  const { rows } = await database.query<{ outcome: string }>(
    'SELECT outcome FROM concordat_branch WHERE branch_id = $1',
    [branchId],
  );
  return rows[0]?.outcome;
}

async function isPrepared(of: TwoPhaseWork): Promise<boolean> {
  return (await manager.listPrepared()).some(({ gid }) => gid === gidOf(of));
}

describe('prepare and commit', () => {
  it('holds the work and its ledger row until the decision, then shows both', async () => {
    const one = branch();
    expect(await manager.prepare(one, take())).toEqual({ vote: 'yes', results: [9] });
    expect([await quantity(), await outcomeOf(one), await isPrepared(one)]).toEqual([10, undefined, true]);
    expect(await manager.commit(one)).toBe('committed');
    expect([await quantity(), await outcomeOf(one), await isPrepared(one)]).toEqual([9, 'committed', false]);
  });

  it('answers repeats of each verb', async () => {
    const one = branch();
    await manager.prepare(one, take());
    expect(await manager.prepare(one, take())).toEqual({ vote: 'yes', results: [] });
    await manager.commit(one);
    expect(await manager.commit(one)).toBe('committed');
    expect(await manager.prepare(one, take())).toEqual({ vote: 'yes', results: [9] });
    expect(await quantity()).toBe(9);
  });

  it('answers for a branch that its service prepared without us, and refuses one that is not there', async () => {
    const [there, absent] = [branch({ preparedByService: true }), branch({ preparedByService: true })];
    await database.query(`BEGIN; UPDATE item SET quantity = 5 WHERE id = 'i0';
      INSERT INTO concordat_branch VALUES ('${there.branchId}', '${there.transactionId}', 'committed', '[]');
      PREPARE TRANSACTION '${gidOf(there)}'`);
    expect(await manager.prepare(there, notPrepared)).toEqual({ vote: 'yes', results: [] });
    expect(await manager.commit(there)).toBe('committed');
    expect(await manager.prepare(there, notPrepared)).toEqual({ vote: 'yes', results: [] });
    expect(await manager.prepare(absent, notPrepared)).toMatchObject({ vote: 'no', error: { code: 'NOT_PREPARED' } });
    expect([await quantity(), await outcomeOf(absent)]).toEqual([5, 'aborted']);
  });

  it('votes read-only when nothing was written, and leaves nothing behind', async () => {
    const one = branch();
    const read: Work = async ({ client }) =>
      (await client.query<Item>("SELECT * FROM item WHERE id = 'i0'")).rows.map((row) => row.quantity);
    expect(await manager.prepare(one, read)).toEqual({ vote: 'read-only', results: [10] });
    expect([await isPrepared(one), await outcomeOf(one)]).toEqual([false, undefined]);
  });

  it('an update without rows wrote nothing; a row lock counts as written', async () => {
    expect(await manager.prepare(branch(), take('none'))).toMatchObject({ vote: 'read-only' });
    const lock: Work = async ({ client }) => {
      await client.query("SELECT 1 FROM item WHERE id = 'i0' FOR SHARE");
      return [];
    };
    expect(await manager.prepare(branch(), lock)).toMatchObject({ vote: 'yes' });
  });

  it('gives TypeORM the very same transaction, savepoints included', async () => {
    const one = branch();
    const work: Work = async ({ manager: entities, client }) => {
      await entities.insert(ITEM, { id: 'new', quantity: 1 });
      await entities
        .transaction(async (inner) => {
          await inner.update(ITEM, { id: 'new' }, { quantity: 99 });
          throw new Error('only the savepoint');
        })
        .catch(() => undefined);
      return [(await client.query<Item>("SELECT quantity FROM item WHERE id = 'new'")).rows[0]?.quantity ?? null];
    };
    expect(await manager.prepare(one, work)).toEqual({ vote: 'yes', results: [1] });
    expect(await quantity('new')).toBeUndefined();
    await manager.commit(one);
    expect(await quantity('new')).toBe(1);
  });

  it('gives the connection back clean', async () => {
    const settings: Work = async ({ client }) => {
      await client.query("SET LOCAL work_mem = '1MB'");
      return take()({ client } as PostgresContext);
    };
    await manager.prepare(branch(), settings);
    const look: Work = async ({ client }) => [
      (await client.query<{ work_mem: string }>('SHOW work_mem')).rows[0]?.work_mem ?? null,
    ];
    expect((await manager.prepare(branch(), look)) as unknown).toMatchObject({ results: ['4MB'] });
  });
});

describe('votes no, and only behind a tombstone', () => {
  it('when the handler refuses', async () => {
    const one = branch();
    const refuse: Work = async (context) => {
      await take()(context);
      throw new BranchRefusedError('SOLD_OUT', 'nothing left');
    };
    const expected = { vote: 'no', results: [], error: { code: 'SOLD_OUT', message: 'nothing left' } };
    expect(await manager.prepare(one, refuse)).toEqual(expected);
    expect([await quantity(), await outcomeOf(one)]).toEqual([10, 'aborted']);
    expect(await manager.prepare(one, take())).toEqual(expected);
  });

  it('keeps the words of an unexpected error to itself', async () => {
    const fail: Work = () => Promise.reject(new Error('password=secret'));
    const vote = await manager.prepare(branch(), fail);
    expect(vote).toMatchObject({ vote: 'no', error: { code: 'HANDLER_FAILED' } });
    expect(JSON.stringify(vote)).not.toContain('secret');
  });

  it('when a lock is not to be had in time', async () => {
    const holder = branch();
    await manager.prepare(holder, take());
    const impatient = open({ lockTimeoutMs: 50 });
    expect(await impatient.prepare(branch(), take())).toMatchObject({ vote: 'no', error: { code: 'LOCK_TIMEOUT' } });
    expect(await manager.prepare(branch({ deadline: Date.now() + 60 }), take())).toMatchObject({
      error: { code: 'LOCK_TIMEOUT' },
    });
  });

  it('when the deadline has passed', async () => {
    const one = branch({ deadline: Date.now() - 1 });
    expect(await manager.prepare(one, take())).toMatchObject({ vote: 'no', error: { code: 'DEADLINE_EXCEEDED' } });
    expect(await outcomeOf(one)).toBe('aborted');
  });

  it('when a deferred constraint fires at PREPARE', async () => {
    const one = branch();
    const orphan: Work = async ({ client }) => {
      await client.query("INSERT INTO part VALUES ('p', 'missing')");
      return [];
    };
    expect(await manager.prepare(one, orphan)).toMatchObject({ vote: 'no', error: { code: 'CONSTRAINT_VIOLATION' } });
    expect([await isPrepared(one), await outcomeOf(one)]).toEqual([false, 'aborted']);
  });

  it('when the handler swallowed a failed statement (25P02)', async () => {
    const swallow: Work = async (context) => {
      await take()(context);
      await context.client.query('SELECT 1/0').catch(() => undefined);
      return [];
    };
    expect(await manager.prepare(branch(), swallow)).toMatchObject({ vote: 'no' });
    expect(await quantity()).toBe(10);
  });

  it('when all prepared transactions are in use', async () => {
    for (let n = 0; n < 6; n++) expect(await manager.prepare(branch(), take(`i${n}`))).toMatchObject({ vote: 'yes' });
    expect(await manager.prepare(branch(), take('i9'))).toMatchObject({
      vote: 'no',
      error: { code: 'PREPARED_TRANSACTIONS_EXHAUSTED' },
    });
  });

  it.each([
    'COMMIT',
    'rollback',
    ' /* x */ BEGIN',
    'PREPARE TRANSACTION $$x$$',
    'SET search_path = x',
    'LISTEN x',
    'CREATE TEMP TABLE x (y int)',
    'SELECT 1; COMMIT',
  ])('when the handler sends %s', async (text) => {
    const forbidden: Work = async (context) => {
      await take()(context);
      await context.client.query(text);
      return [];
    };
    expect(await manager.prepare(branch(), forbidden)).toMatchObject({ error: { code: 'FORBIDDEN_STATEMENT' } });
    expect(await quantity()).toBe(10);
  });

  it('and a handler that goes on after the vote is refused', async () => {
    let kept: PostgresContext['client'] | undefined;
    await manager.prepare(branch(), async (context) => {
      kept = context.client;
      return take()(context);
    });
    await expect(kept?.query('SELECT 1')).rejects.toThrow('voted');
  });
});

describe('the server rolls back instead of preparing', () => {
  it('which only the command tag tells', async () => {
    const client = new Client({ connectionString: server.url });
    await client.connect();
    try {
      await client.query('BEGIN');
      await client.query('SELECT 1/0').catch(() => undefined);
      const { command } = await client.query("PREPARE TRANSACTION 'x'");
      expect(command).toBe('ROLLBACK');
      expect(() => requireTag(command, 'PREPARE')).toThrow('ROLLBACK instead of PREPARE');
    } finally {
      await client.end();
    }
  });
});

describe('abort', () => {
  it('rolls back what is prepared and leaves a tombstone, however often', async () => {
    const one = branch();
    await manager.prepare(one, take());
    expect(await manager.abort(one)).toBe('aborted');
    expect(await manager.abort(one)).toBe('aborted');
    expect([await quantity(), await outcomeOf(one), await isPrepared(one)]).toEqual([10, 'aborted', false]);
  });

  it('that overtakes the prepare makes it vote no', async () => {
    const one = branch();
    expect(await manager.abort(one)).toBe('aborted');
    expect(await manager.prepare(one, take())).toMatchObject({ vote: 'no' });
    expect(await quantity()).toBe(10);
  });

  it('that comes in the middle of the work makes its PREPARE fail on the key', async () => {
    const one = branch();
    const [started, held] = [gate(), gate()];
    const preparing = manager.prepare(one, async (context) => {
      const results = await take()(context);
      started.open();
      await held.passed;
      return results;
    });
    await started.passed;
    expect(await manager.abort(one)).toBe('aborted');
    held.open();
    expect(await preparing).toMatchObject({ vote: 'no', error: { code: 'BRANCH_ABORTED' } });
    expect([await quantity(), await isPrepared(one)]).toEqual([10, false]);
  });

  it('gets round a late PREPARE that already holds the key', async () => {
    const one = branch();
    const late = new Client({ connectionString: server.url });
    await late.connect();
    try {
      await late.query('BEGIN');
      await late.query(
        "INSERT INTO concordat_branch (branch_id, transaction_id, outcome) VALUES ($1, $2, 'committed')",
        [one.branchId, one.transactionId],
      );
      const aborting = manager.abort(one);
      await waitFor('the server shows it', async () => {
        const { rowCount } = await database.query(
          "SELECT 1 FROM pg_stat_activity WHERE application_name = 'concordat-decision' AND wait_event_type = 'Lock'",
        );
        return (rowCount ?? 0) > 0;
      });
      await late.query(`PREPARE TRANSACTION '${gidOf(one)}'`);
      expect(await aborting).toBe('aborted');
      expect([await isPrepared(one), await outcomeOf(one)]).toEqual([false, 'aborted']);
    } finally {
      await late.end();
    }
  });

  it('of a branch that somebody committed by hand is a hazard', async () => {
    const one = branch();
    await manager.prepare(one, take());
    await database.query(`COMMIT PREPARED '${gidOf(one)}'`);
    expect(await manager.abort(one)).toBe('heuristic-commit');
  });
});

describe('commit without a prepared transaction', () => {
  it('is done when the ledger says so', async () => {
    const one = branch();
    await manager.prepare(one, take());
    await database.query(`COMMIT PREPARED '${gidOf(one)}'`);
    expect(await manager.commit(one)).toBe('committed');
  });

  it('is a hazard when there is no ledger row', async () => {
    const one = branch();
    await manager.prepare(one, take());
    await database.query(`ROLLBACK PREPARED '${gidOf(one)}'`);
    expect(await manager.commit(one)).toBe('heuristic-rollback');
  });

  it('by two instances at once is committed for both', async () => {
    const one = branch();
    await manager.prepare(one, take());
    const other = open();
    expect(await Promise.all([manager.commit(one), other.commit(one), manager.commit(one)])).toEqual([
      'committed',
      'committed',
      'committed',
    ]);
  });
});

describe('two instances at one branch', () => {
  it('only one works, the other is busy', async () => {
    const one = branch();
    const [started, held] = [gate(), gate()];
    const first = manager.prepare(one, async (context) => {
      started.open();
      await held.passed;
      return take()(context);
    });
    await started.passed;
    expect(await open().prepare(one, take())).toBe('busy');
    held.open();
    expect(await first).toMatchObject({ vote: 'yes' });
    expect(await open().prepare(one, take())).toMatchObject({ vote: 'yes' });
  });
});

describe('a lost backend', () => {
  async function terminate(pid: number): Promise<void> {
    await database.query('SELECT pg_terminate_backend($1)', [pid]);
    await waitFor('the server shows it', async () => {
      const { rowCount } = await database.query('SELECT 1 FROM pg_stat_activity WHERE pid = $1', [pid]);
      return rowCount === 0;
    });
  }
  const pidOf = async ({ client }: PostgresContext): Promise<number> =>
    (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid ?? 0;

  it('before PREPARE means no, and the tombstone is there', async () => {
    const one = branch();
    const vote = await manager.prepare(one, async (context) => {
      const results = await take()(context);
      await terminate(await pidOf(context));
      return results;
    });
    expect(vote).toMatchObject({ vote: 'no' });
    expect([await quantity(), await outcomeOf(one), await isPrepared(one)]).toEqual([10, 'aborted', false]);
    expect(await manager.prepare(branch(), take())).toMatchObject({ vote: 'yes' });
  });

  it('after PREPARE, with its answer lost, still means yes', async () => {
    const one = branch();
    const vote = await manager.prepare(one, async (context) => {
      const pid = await pidOf(context);
      // The branch is prepared by a session that nobody hears of any more, then our own session dies.
      await terminate(pid);
      const lost = new Client({ connectionString: server.url });
      await lost.connect();
      await lost.query('BEGIN');
      await lost.query(
        "INSERT INTO concordat_branch (branch_id, transaction_id, outcome) VALUES ($1, $2, 'committed')",
        [one.branchId, one.transactionId],
      );
      await lost.query(`PREPARE TRANSACTION '${gidOf(one)}'`);
      await lost.end();
      return take()(context);
    });
    expect(vote).toEqual({ vote: 'yes', results: [] });
  });

  it('gid in use (42710) is answered by what is prepared', async () => {
    const one = branch();
    const vote = await manager.prepare(one, async (context) => {
      const other = new Client({ connectionString: server.url });
      await other.connect();
      await other.query("BEGIN; UPDATE item SET quantity = 0 WHERE id = 'i5'");
      await other.query(`PREPARE TRANSACTION '${gidOf(one)}'`);
      await other.end();
      return take()(context);
    });
    // The name is taken: the truth is what bears it, and our own work is gone.
    expect(vote).toMatchObject({ vote: 'yes' });
    expect(await quantity()).toBe(10);
  });
});

describe('one phase', () => {
  it('commits work and ledger row together, and answers a repeat from the ledger', async () => {
    const one = branch();
    const expected = { end: 'committed', results: [9] };
    expect(await manager.commitOnePhase(one, take())).toEqual(expected);
    expect(await quantity()).toBe(9);
    expect(await manager.commitOnePhase(one, take())).toEqual(expected);
    expect(await quantity()).toBe(9);
    expect(await manager.commit(one)).toBe('committed');
  });

  it('refuses behind a tombstone, and says the same again', async () => {
    const one = branch();
    const refuse: Work = () => Promise.reject(new BranchRefusedError('SOLD_OUT', 'nothing left'));
    const expected = { end: 'aborted', results: [], error: { code: 'SOLD_OUT', message: 'nothing left' } };
    expect(await manager.commitOnePhase(one, refuse)).toEqual(expected);
    expect(await manager.commitOnePhase(one, take())).toEqual(expected);
  });

  it('that comes after its deadline, with nothing there, is aborted for good', async () => {
    const one = branch({ deadline: Date.now() - 1 });
    expect(await manager.commitOnePhase(one, take())).toMatchObject({ end: 'aborted' });
    expect(await outcomeOf(one)).toBe('aborted');
  });

  it('commits a branch that its service had prepared', async () => {
    const one = branch({ preparedByService: true });
    await manager.prepare({ ...one, preparedByService: false }, take());
    expect(await manager.commitOnePhase(one, notPrepared)).toMatchObject({ end: 'committed' });
    expect(await quantity()).toBe(9);
  });
});

describe('pools and listing', () => {
  it('decisions do not wait behind prepares that wait for locks', async () => {
    const holder = branch();
    await manager.prepare(holder, take());
    const waiting = Array.from({ length: 8 }, () => branch());
    const votes = waiting.map((one) => manager.prepare(one, take()).then((vote) => [one, vote] as const));
    await waitFor('the server shows it', async () => {
      const { rowCount } = await database.query(
        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'concordat-work' AND wait_event_type = 'Lock'",
      );
      return rowCount === 8;
    });
    expect(await manager.commit(holder)).toBe('committed');
    // Each commit frees the row for the next of them.
    await Promise.all(votes.map(async (voting) => manager.commit((await voting)[0])));
    expect(await quantity()).toBe(1);
  });

  it("lists its own cluster's branches only, oldest first", async () => {
    const [first, second] = [branch(), branch()];
    await manager.prepare(first, take('i1'));
    await manager.prepare(second, take('i2'));
    const foreign = new Client({ connectionString: server.url });
    await foreign.connect();
    await foreign.query("BEGIN; UPDATE item SET quantity = 0 WHERE id = 'i3'");
    await foreign.query("PREPARE TRANSACTION 'concordat:other:x:y'");
    await foreign.end();
    const listed = await manager.listPrepared();
    await database.query("ROLLBACK PREPARED 'concordat:other:x:y'");
    expect(listed.map(({ gid }) => gid)).toEqual([gidOf(first), gidOf(second)]);
    expect(listed[0]?.ageMs).toBeGreaterThanOrEqual(listed[1]?.ageMs ?? Infinity);
    expect(listed[0]?.ageMs).toBeLessThan(60_000);
  });
});
