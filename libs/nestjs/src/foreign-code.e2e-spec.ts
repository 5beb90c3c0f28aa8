import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { Pool } from 'pg';
import { MetadataScanner, type DiscoveryService, type ExternalContextCreator } from '@nestjs/core';
import { SeededRandom, SystemClock, silentLogger, type JsonValue } from '@concordat/foundation';
import type { DoneMessage, VoteMessage } from '@concordat/commit-protocol';
import { REPLIES_TOPIC, decideTopic, prepareTopic } from '@concordat/messaging';
import { MemoryBroker, MemoryMessageBus } from '@concordat/messaging/testing';
import { startTestPostgres, type TestPostgres } from '../../../test/support/postgres.js';
import { waitFor } from '../../../test/support/wait-for.js';
import { ConcordatParticipant } from './concordat-participant.service.js';
import { ConcordatTransport } from './concordat-transport.js';
import { ParticipantRuntime, PostgresResourceManager, type PostgresContext } from '@concordat/participant';

const PARTICIPANT = 'bank-a';
const clock = new SystemClock();
const WORK_CONNECTIONS = 8;

let server: TestPostgres;
let database: Pool;
let manager: PostgresResourceManager;
let coordinator: MemoryMessageBus;
let runtime: ParticipantRuntime<PostgresContext>;
let heard: (VoteMessage | DoneMessage)[] = [];
/** what the operation `foreign` does */
let foreignRows = 0;
let foreign: (context: PostgresContext) => Promise<JsonValue>;

beforeAll(async () => {
  server = await startTestPostgres();
  database = new Pool({ connectionString: server.url, max: 2 });
  database.on('error', () => undefined);
  await database.query('CREATE TABLE item (id text PRIMARY KEY, quantity int NOT NULL)');
}, 60_000);

afterAll(async () => {
  await database?.end();
  await server?.stop();
});

beforeEach(async () => {
  await database.query("TRUNCATE item; INSERT INTO item SELECT 'i' || n, 10 FROM generate_series(0, 9) n");
  manager = new PostgresResourceManager(
    {
      connectionString: server.url,
      participant: PARTICIPANT,
      cluster: 'test',
      workConnections: WORK_CONNECTIONS,
      handlerGraceMs: 100,
      answerTimeoutMs: 1_000,
      connectTimeoutMs: 1_000,
    },
    { clock },
  );
  await manager.start();
  const broker = new MemoryBroker({ clock, partitions: 1 });
  coordinator = new MemoryMessageBus(broker, { cluster: 'test' });
  await coordinator.start();
  heard = [];
  foreignRows = 0;
  await coordinator.subscribe({
    group: 'coordinator',
    topics: [REPLIES_TOPIC],
    onMessage: (message) => {
      if (message.type === 'vote' || message.type === 'done') heard.push(message);
    },
  });
  const bus = new MemoryMessageBus(broker, { cluster: 'test' });
  await bus.start();
  runtime = new ParticipantRuntime<PostgresContext>({
    participant: PARTICIPANT,
    resourceManager: manager,
    bus,
    handlers: {
      operations: () => ['foreign', 'take'],
      handle: async ({ operation }, context) => {
        const row = operation === 'foreign' ? `i${++foreignRows}` : 'i0'; // none of them waits for another
        await context.client.query('UPDATE item SET quantity = quantity - 1 WHERE id = $1', [row]);
        return operation === 'foreign' ? foreign(context) : null;
      },
    },
    clock,
    random: new SeededRandom(1),
    limits: { acknowledgementDelayMs: 1, workConcurrency: WORK_CONNECTIONS },
  });
  await runtime.start();
});

afterEach(async () => {
  await runtime.stop();
  await coordinator.stop();
  for (const { gid } of await manager.listPrepared()) await database.query(`ROLLBACK PREPARED '${gid}'`);
  await manager.close();
});

function branch(): { transactionId: string; branchId: string; participant: string } {
  return { transactionId: randomUUID(), branchId: randomUUID(), participant: PARTICIPANT };
}

async function send(one: ReturnType<typeof branch>, operation: 'foreign' | 'take', timeoutMs: number): Promise<void> {
  const message = {
    ...one,
    type: 'prepare',
    protocol: '2pc',
    operations: [{ operation, payload: null, keys: [] }],
    deadline: clock.now() + timeoutMs,
    attempt: 0,
    epoch: { term: 1, index: 1 },
  } as const;
  await coordinator.publish([{ topic: prepareTopic(PARTICIPANT), message }]);
}

/** Sends it, and waits for the vote. */
async function prepare(
  one: ReturnType<typeof branch>,
  operation: 'foreign' | 'take',
  timeoutMs: number,
): Promise<VoteMessage> {
  await send(one, operation, timeoutMs);
  const isVote = (reply: VoteMessage | DoneMessage): reply is VoteMessage =>
    reply.type === 'vote' && reply.branchId === one.branchId;
  return waitFor('the branch has voted', () => heard.find(isVote));
}

async function abort(one: ReturnType<typeof branch>): Promise<void> {
  const message = { ...one, type: 'decision', decision: 'abort', attempt: 0 } as const;
  await coordinator.publish([{ topic: decideTopic(PARTICIPANT), message }]);
  const isEnd = (reply: VoteMessage | DoneMessage): boolean =>
    reply.type === 'done' && reply.branchId === one.branchId && reply.end === 'aborted';
  await waitFor('the branch has ended', () => heard.find(isEnd));
}

async function sessions(where: string): Promise<number> {
  const { rows } = await database.query<{ total: number }>(
    `SELECT count(*)::int AS total FROM pg_stat_activity WHERE application_name = 'concordat-work' AND ${where}`,
  );
  return rows[0]?.total ?? 0;
}

const outcomeOf = async ({ branchId }: { branchId: string }): Promise<{ outcome: string; result: JsonValue }[]> =>
  (await database.query('SELECT outcome, result FROM concordat_branch WHERE branch_id = $1', [branchId])).rows;

describe('eight handlers that never settle', () => {
  it('are refused one after the other with the true reason, and the participant goes on', async () => {
    const late: (() => void)[] = [];
    const clients: PostgresContext['client'][] = [];
    foreign = ({ client }) => {
      clients.push(client);
      return new Promise((resolve) => late.push(() => resolve(null)));
    };
    const hanging = Array.from({ length: WORK_CONNECTIONS }, branch);
    const votes = hanging.map((one) => prepare(one, 'foreign', 1_000));
    await waitFor('all are at work', () => clients.length === WORK_CONNECTIONS);
    expect(runtime.metrics().oldestWorkMs).toBeGreaterThan(0);
    expect(runtime.metrics().overdue).toBe(0);
    const normal = prepare(branch(), 'take', 20_000);
    for (const vote of await Promise.all(votes)) {
      expect(vote).toMatchObject({ vote: 'no', error: { code: 'HANDLER_TIMEOUT' } });
    }
    expect(await normal).toMatchObject({ vote: 'yes' });
    for (const one of hanging) {
      await abort(one);
      expect(await outcomeOf(one)).toMatchObject([{ outcome: 'aborted', result: { code: 'HANDLER_TIMEOUT' } }]);
    }
    for (const settle of late) settle();
    await expect(clients[0]!.query('SELECT 1')).rejects.toThrow('its connection now serves others');
    expect(await sessions("state LIKE 'idle in transaction%'")).toBe(0);
    const { rows } = await database.query<{ quantity: number }>('SELECT DISTINCT quantity FROM item');
    expect(rows).toEqual([{ quantity: 10 }]);
    expect(runtime.metrics()).toMatchObject({ workRunning: 0, oldestWorkMs: 0, overdue: 0 });
  });
});

describe('a handler that waits for a statement without an end', () => {
  it('is refused, and its statement is ended at the server', async () => {
    foreign = async ({ client }) => {
      await client.query('SET LOCAL statement_timeout = 0');
      await client.query('SELECT pg_sleep(600)');
      return null;
    };
    expect(await prepare(branch(), 'foreign', 500)).toMatchObject({ error: { code: 'DATABASE_TIMEOUT' } });
    await waitFor('the server has ended it', async () => (await sessions("query LIKE '%pg_sleep%'")) === 0);
  });
});

/** Stops every process of the server, the one that makes new ones first. */
async function stopServer(): Promise<readonly number[]> {
  const { rows } = await database.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const processes = (): (readonly [pid: number, parent: number])[] =>
    execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number) as [number, number]);
  const parent = processes().find(([pid]) => pid === rows[0]?.pid)![1];
  process.kill(parent, 'SIGSTOP');
  const children = processes().flatMap(([pid, itsParent]) => (itsParent === parent ? [pid] : []));
  for (const pid of children) process.kill(pid, 'SIGSTOP');
  return [parent, ...children];
}

describe('a hook before anything is consumed that never settles', () => {
  it('is what readiness says, and in the end the reason why the participant never starts', async () => {
    let fatal: unknown;
    let whilePending: Promise<string> | undefined;
    const noProviders = { getProviders: () => [], getControllers: () => [] } as unknown as DiscoveryService;
    const transport = new ConcordatTransport(noProviders, new MetadataScanner(), {} as ExternalContextCreator);
    const participant = new ConcordatParticipant(
      {
        participant: PARTICIPANT,
        cluster: 'test',
        postgres: { connectionString: server.url },
        bus: (namespace) => new MemoryMessageBus(new MemoryBroker({ clock, partitions: 1 }), namespace),
        beforeConsuming: () => {
          whilePending = obstacleOf();
          return new Promise(() => undefined);
        },
        beforeConsumingTimeoutMs: 2_000,
        onFatal: (error) => {
          fatal = error;
          throw new Error('a hook that fails, too');
        },
        logger: silentLogger,
      },
      transport,
    );
    const obstacleOf = async (): Promise<string> => {
      const { ready, consuming, obstacle = '' } = await participant.health();
      expect([ready, consuming]).toEqual([false, false]);
      return obstacle;
    };
    try {
      participant.onApplicationBootstrap();
      expect(await obstacleOf()).toContain('the handlers are not registered yet');
      transport.listen(() => undefined);
      await waitFor('the hook is called', () => whilePending !== undefined);
      expect(await whilePending).toContain('has been running for');
      await waitFor('it is given up', () => fatal !== undefined);
      expect(fatal).toMatchObject({ code: 'BEFORE_CONSUMING_TIMEOUT', retryable: false });
      expect(await obstacleOf()).toContain('did not end within 2000 ms');
    } finally {
      await participant.beforeApplicationShutdown();
    }
  });
});

describe('a server that is stopped, not dead', () => {
  it('is noticed by what runs and by what begins, and nothing waits for it for ever', async () => {
    const begun = branch();
    let reached: () => void = () => undefined;
    const arrived = new Promise<void>((resolve) => (reached = resolve));
    let goOn: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (goOn = resolve));
    foreign = async () => {
      reached();
      await held;
      return null;
    };
    await send(begun, 'foreign', 20_000);
    await arrived;
    const pids = await stopServer();
    try {
      goOn(); // its PREPARE is not answered
      await expect(manager.ping()).rejects.toThrow('database');
      await expect(manager.commit(branch())).rejects.toThrow('database');
      const limit = { deadline: clock.now() + 500, timeoutMs: 500 };
      const work = { ...branch(), protocol: '2pc', ...limit, preparedByService: false } as const;
      await expect(manager.prepare(work, async () => [])).rejects.toThrow();
      await waitFor('the work in hand was given up', () => runtime.metrics().unknown > 0);
    } finally {
      for (const pid of pids) process.kill(pid, 'SIGCONT');
    }
    await waitFor('the database is back', () =>
      manager.ping().then(
        () => true,
        () => false,
      ),
    );
    // what became of the one that was not answered, only the database knows: it may be prepared, and hold its row
    await abort(begun);
    expect(await prepare(branch(), 'take', 20_000)).toMatchObject({ vote: 'yes' });
  }, 30_000);
});
