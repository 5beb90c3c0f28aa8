import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { silentLogger, SystemClock, SystemRandom } from '@concordat/foundation';
import { dialOverTcp, DirectParticipantBus } from '@concordat/messaging';
import { ParticipantRuntime, PostgresResourceManager, type PostgresContext } from '@concordat/participant';
import { Client } from 'pg';
import { startTestCoordinator, TransactionsOpenError, type CrashPoint, type TestCoordinator } from '../index.js';
import { DatabaseNameError, startTestDatabases, type TestDatabases } from './index.js';

jest.setTimeout(120_000);

const NAMES = ['orders', 'inventory', 'payments'] as const;

let databases: TestDatabases<(typeof NAMES)[number]>;
let coordinator: TestCoordinator;
const stops: (() => Promise<void>)[] = [];
let next = 0;

async function sql<Row extends object>(database: (typeof NAMES)[number], text: string): Promise<readonly Row[]> {
  const client = new Client({ connectionString: databases.urls[database] });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

/** A participant as a service has it: the runtime, PostgreSQL and a stream. */
async function startService(participant: (typeof NAMES)[number]): Promise<void> {
  await sql(participant, 'CREATE TABLE entry (id text PRIMARY KEY)');
  const [clock, random] = [new SystemClock(), new SystemRandom()];
  const { cluster, url } = coordinator;
  const common = { clock, random, logger: silentLogger };
  const bus = new DirectParticipantBus({ ...common, cluster, participant, coordinators: [url], dial: dialOverTcp });
  const connectionString = databases.urls[participant];
  const resourceManager = new PostgresResourceManager({ connectionString, cluster, participant }, common);
  const runtime = new ParticipantRuntime<PostgresContext>({
    ...common,
    participant,
    bus,
    resourceManager,
    limits: { sweepIntervalMs: 100, inquiryAfterMs: 200, terminationTimeoutMs: 60_000 },
    handlers: {
      operations: () => ['add'],
      handle: async ({ payload }, { client }) => {
        await client.query('INSERT INTO entry VALUES ($1)', [payload]);
      },
    },
  });
  await resourceManager.start();
  await bus.start();
  await runtime.start();
  stops.push(async () => {
    await runtime.stop();
    await bus.stop();
    await resourceManager.close();
  });
}

/** Adds an entry everywhere, whatever breaks in between. */
async function add(id: string, protocol: '2pc' | '3pc' = '2pc'): Promise<number> {
  for (;;) {
    try {
      const answer = await fetch(`${coordinator.url}/v1/transactions/execute?wait=ended`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': id },
        body: JSON.stringify({
          protocol,
          timeoutMs: 20_000,
          branches: NAMES.map((participant) => ({ participant, operation: 'add', payload: id })),
        }),
      });
      if (answer.status !== 503) return answer.status;
    } catch (error) {
      expect((error as Error).message).toBe('fetch failed');
    }
    await coordinator.recover();
  }
}

async function isEverywhere(id: string): Promise<boolean> {
  const counts = await Promise.all(NAMES.map((name) => sql(name, `SELECT 1 FROM entry WHERE id = '${id}'`)));
  expect(new Set(counts.map(({ length }) => length)).size).toBe(1); // all or none
  return counts[0]!.length === 1;
}

beforeAll(async () => {
  databases = await startTestDatabases(NAMES);
  coordinator = await startTestCoordinator();
  for (const name of NAMES) await startService(name);
  await coordinator.participantsReady(NAMES);
});

afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
  await coordinator?.stop();
  await databases?.stop();
});

describe('test databases', () => {
  it('are ready for prepared transactions, each with an owner of its own', async () => {
    expect(await sql('orders', 'SHOW max_prepared_transactions')).toEqual([{ max_prepared_transactions: '192' }]);
    expect(await sql('orders', 'SELECT current_user::text AS role, current_database()::text AS database')).toEqual([
      { role: 'orders', database: 'orders' },
    ]);
  });

  it.each([
    [['Orders'], 'a database cannot be called "Orders"'],
    [['postgres'], 'a database cannot be called "postgres"'],
    [['a', 'a'], 'each once; given are: a, a'],
    [[], 'given are: none'],
  ])('cannot be called %j', async (names, sentence) => {
    await expect(startTestDatabases(names)).rejects.toThrow(DatabaseNameError);
    await expect(startTestDatabases(names)).rejects.toThrow(sentence);
  });
});

describe('services on PostgreSQL', () => {
  it.each<['2pc' | '3pc', CrashPoint | undefined]>([
    ['2pc', undefined],
    ['2pc', 'prepare'],
    ['2pc', 'commit'],
    ['2pc', 'decision'],
    ['3pc', undefined],
    ['3pc', 'precommit'],
    ['3pc', 'commit'],
  ])('end everywhere in the same way in %s, over a crash after: %s', async (protocol, point) => {
    const crash = point && coordinator.crashAfter(point);
    const id = `entry-${++next}`;
    const status = await add(id, protocol);
    await coordinator.expectNothingInDoubt({ databases });
    expect(crash?.hits ?? 1).toBe(1);
    // After a pre-commit that no branch has heard of, the next leader may decide either way.
    if (point === 'precommit') expect([200, 409]).toContain(status);
    else expect(status).toBe(200);
    expect(await isEverywhere(id)).toBe(status === 200);
  });

  it('commit in three phases although an acceptance is lost', async () => {
    const loss = coordinator.loseReply('inventory', 'precommit', { times: 1 });
    const id = `entry-${++next}`;
    expect(await add(id, '3pc')).toBe(200);
    expect(loss.hits).toBe(1);
    expect(await isEverywhere(id)).toBe(true);
  });

  it('are named with what their databases hold, and end after the reset', async () => {
    const loss = coordinator.loseRequest('inventory', 'commit');
    const id = `entry-${++next}`;
    const running = add(id);
    await loss.happened;
    const error: unknown = await coordinator
      .expectNothingInDoubt({ withinMs: 300, databases })
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TransactionsOpenError);
    expect((error as Error).message).toMatch(/the database inventory holds concordat:local:\S+, prepared \d+ ms ago/);
    await coordinator.reset();
    expect(await databases.preparedTransactions()).toEqual([]);
    expect(await running).toBe(200);
    expect(await isEverywhere(id)).toBe(true);
  });
});
