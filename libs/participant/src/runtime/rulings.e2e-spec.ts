import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { Pool } from 'pg';
import { SeededRandom, SystemClock } from '@concordat/foundation';
import {
  formatGid,
  type BranchAddress,
  type Decision,
  type DoneMessage,
  type VoteMessage,
} from '@concordat/commit-protocol';
import { REPLIES_TOPIC, decideTopic, prepareTopic } from '@concordat/messaging';
import { MemoryBroker, MemoryMessageBus } from '@concordat/messaging/testing';
import { startTestPostgres, type TestPostgres } from '../../../../test/support/postgres.js';
import { waitFor } from '../../../../test/support/wait-for.js';
import { PostgresResourceManager } from '../postgres/postgres-resource-manager.js';
import type { PostgresContext } from '../postgres/session/context.js';
import { ParticipantRuntime } from './participant-runtime.js';

const PARTICIPANT = 'bank-a';
const clock = new SystemClock();

let server: TestPostgres;
let database: Pool;
let manager: PostgresResourceManager;
let coordinator: MemoryMessageBus;
let broker: MemoryBroker;
let heard: (VoteMessage | DoneMessage)[] = [];
const running: ParticipantRuntime<PostgresContext>[] = [];

beforeAll(async () => {
  server = await startTestPostgres(['max_prepared_transactions=6']);
  database = new Pool({ connectionString: server.url, max: 2 });
  database.on('error', () => undefined);
  await database.query('CREATE TABLE item (id text PRIMARY KEY, quantity int NOT NULL)');
  manager = new PostgresResourceManager(
    { connectionString: server.url, cluster: 'test', participant: 'bank-a' },
    { clock },
  );
  await manager.start();
}, 60_000);

afterAll(async () => {
  await manager?.close();
  await database?.end();
  await server?.stop();
});

beforeEach(async () => {
  await database.query("TRUNCATE item; INSERT INTO item VALUES ('i0', 10)");
  broker = new MemoryBroker({ clock, partitions: 1 });
  coordinator = new MemoryMessageBus(broker, { cluster: 'test' });
  await coordinator.start();
  heard = [];
  await coordinator.subscribe({
    group: 'coordinator',
    topics: [REPLIES_TOPIC],
    onMessage: (message) => {
      if (message.type === 'vote' || message.type === 'done') heard.push(message);
    },
  });
  await startProcess();
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((runtime) => runtime.stop()));
  await coordinator.stop();
  for (const { gid } of await manager.listPrepared()) await database.query(`ROLLBACK PREPARED '${gid}'`);
});

/** A process of the participant; one that comes later remembers nothing of what the one before did. */
async function startProcess(): Promise<void> {
  await Promise.all(running.splice(0).map((runtime) => runtime.stop()));
  const bus = new MemoryMessageBus(broker, { cluster: 'test' });
  await bus.start();
  const runtime = new ParticipantRuntime<PostgresContext>({
    participant: PARTICIPANT,
    resourceManager: manager,
    bus,
    handlers: {
      operations: () => ['take'],
      handle: async (_call, { client }) => {
        await client.query("UPDATE item SET quantity = quantity - 1 WHERE id = 'i0'");
        return null;
      },
    },
    clock,
    random: new SeededRandom(1),
    limits: { acknowledgementDelayMs: 1 },
  });
  running.push(runtime);
  await runtime.start();
}

/** A branch that has voted yes and waits for its decision. */
async function prepared(): Promise<BranchAddress> {
  const branch = { transactionId: randomUUID(), branchId: randomUUID(), participant: PARTICIPANT };
  const message = {
    ...branch,
    type: 'prepare',
    protocol: '2pc',
    operations: [{ operation: 'take', payload: null, keys: [] }],
    deadline: clock.now() + 20_000,
    attempt: 0,
    epoch: { term: 1, index: 1 },
  } as const;
  await coordinator.publish([{ topic: prepareTopic(PARTICIPANT), message }]);
  await waitFor('the branch has voted', () => heard.find(({ type }) => type === 'vote'));
  expect(heard).toMatchObject([{ vote: 'yes' }]);
  heard = [];
  return branch;
}

/** Sends what was ruled or decided; how the branch says that it ended. */
async function tell(branch: BranchAddress, type: 'ruling' | 'decision', what: Decision): Promise<string> {
  heard = [];
  const message =
    type === 'ruling'
      ? ({ ...branch, type, ruling: what, attempt: 0 } as const)
      : ({ ...branch, type, decision: what, attempt: 0 } as const);
  await coordinator.publish([{ topic: decideTopic(PARTICIPANT), message }]);
  const answer = await waitFor('the branch has ended', () => heard.find((reply) => reply.type === 'done'));
  return answer.end;
}

async function stateOf({ branchId }: BranchAddress): Promise<unknown> {
  const quantity = await database.query<{ quantity: number }>('SELECT quantity FROM item');
  const ledger = await database.query<{ outcome: string }>(
    'SELECT outcome FROM concordat_branch WHERE branch_id = $1',
    [branchId],
  );
  const still = (await manager.listPrepared()).length;
  return { quantity: quantity.rows[0]?.quantity, ledger: ledger.rows[0]?.outcome, prepared: still };
}

async function endByHand({ transactionId, branchId }: BranchAddress, verb: 'COMMIT' | 'ROLLBACK'): Promise<void> {
  await database.query(`${verb} PREPARED '${formatGid('test', transactionId, branchId)}'`);
}

const ROLLED_BACK = { quantity: 10, ledger: 'aborted', prepared: 0 };
const COMMITTED = { quantity: 9, ledger: 'committed', prepared: 0 };

describe('an operator has a prepared branch ended against the decision', () => {
  it.each([
    ['abort', 'heuristic-rollback', ROLLED_BACK, 'commit'],
    ['commit', 'heuristic-commit', COMMITTED, 'abort'],
  ] as const)('to %s: %s, in the ledger too, whoever asks again', async (ruling, end, state, decision) => {
    const branch = await prepared();
    expect(await tell(branch, 'ruling', ruling)).toBe(end);
    expect(await stateOf(branch)).toEqual(state);
    expect(await tell(branch, 'decision', decision)).toBe(end);
    await startProcess();
    expect(await tell(branch, 'ruling', ruling)).toBe(end);
    await startProcess();
    expect(await tell(branch, 'decision', decision)).toBe(end);
    expect(await stateOf(branch)).toEqual(state);
    expect(running[0]?.metrics().alerts.CONFLICTING_DECISIONS).toBe(0);
  });

  it.each([
    ['commit', 'abort', 'committed', COMMITTED],
    ['abort', 'commit', 'aborted', ROLLED_BACK],
  ] as const)('too late: the decision to %s had been carried out', async (decision, ruling, end, state) => {
    const branch = await prepared();
    expect(await tell(branch, 'decision', decision)).toBe(end);
    expect(await tell(branch, 'ruling', ruling)).toBe(end);
    await startProcess();
    expect(await tell(branch, 'ruling', ruling)).toBe(end);
    expect(await stateOf(branch)).toEqual(state);
  });

  it('to commit, and somebody had rolled it back by hand: nothing is committed, and it says so', async () => {
    const branch = await prepared();
    await endByHand(branch, 'ROLLBACK');
    expect(await tell(branch, 'ruling', 'commit')).toBe('aborted');
    expect(await stateOf(branch)).toEqual({ quantity: 10, ledger: 'aborted', prepared: 0 });
  });

  it('to abort, and somebody had committed it by hand: it stays committed, and it says so', async () => {
    const branch = await prepared();
    await endByHand(branch, 'COMMIT');
    expect(await tell(branch, 'ruling', 'abort')).toBe('committed');
    expect(await stateOf(branch)).toEqual(COMMITTED);
  });
});
