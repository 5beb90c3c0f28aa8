import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { Pool } from 'pg';
import { SeededRandom, SystemClock } from '@concordat/foundation';
import type { DoneMessage, VoteMessage, WorkMessage } from '@concordat/commit-protocol';
import { REPLIES_TOPIC, prepareTopic } from '@concordat/messaging';
import { MemoryBroker, MemoryMessageBus } from '@concordat/messaging/testing';
import { startTestPostgres, type TestPostgres } from '../../../../test/support/postgres.js';
import { waitFor } from '../../../../test/support/wait-for.js';
import { PostgresResourceManager } from '../postgres/postgres-resource-manager.js';
import type { PostgresContext } from '../postgres/session/context.js';
import { BranchRefusedError } from './errors.js';
import { ParticipantRuntime } from './participant-runtime.js';

const PARTICIPANT = 'bank-a';
const clock = new SystemClock();

let server: TestPostgres;
let database: Pool;
let manager: PostgresResourceManager;
let runtime: ParticipantRuntime<PostgresContext>;
let coordinator: MemoryMessageBus;
/** what the handler does once it has written a row */
let conduct: () => unknown = () => null;
const heard: (VoteMessage | DoneMessage)[] = [];

beforeAll(async () => {
  server = await startTestPostgres(['max_prepared_transactions=6']);
  database = new Pool({ connectionString: server.url, max: 2 });
  database.on('error', () => undefined);
  await database.query('CREATE TABLE item (id serial)');
  manager = new PostgresResourceManager(
    { connectionString: server.url, cluster: 'test', participant: 'bank-a' },
    { clock },
  );
  await manager.start();
  const broker = new MemoryBroker({ clock, partitions: 1 });
  const bus = new MemoryMessageBus(broker, { cluster: 'test' });
  coordinator = new MemoryMessageBus(broker, { cluster: 'test' });
  await Promise.all([coordinator.start(), bus.start()]);
  await coordinator.subscribe({
    group: 'coordinator',
    topics: [REPLIES_TOPIC],
    onMessage: (message) => {
      if (message.type === 'vote' || message.type === 'done') heard.push(message);
    },
  });
  runtime = new ParticipantRuntime<PostgresContext>({
    participant: PARTICIPANT,
    resourceManager: manager,
    bus,
    handlers: {
      operations: () => ['write', 'read'],
      handle: async ({ operation }, { client }) => {
        await client.query(operation === 'write' ? 'INSERT INTO item DEFAULT VALUES' : 'SELECT FROM item');
        return conduct();
      },
    },
    clock,
    random: new SeededRandom(1),
    limits: { acknowledgementDelayMs: 1 },
  });
  await runtime.start();
}, 60_000);

afterAll(async () => {
  await runtime?.stop();
  await coordinator?.stop();
  await manager?.close();
  await database?.end();
  await server?.stop();
});

beforeEach(async () => {
  await database.query('TRUNCATE item');
});

type Way = 'prepare' | 'prepare in three phases' | 'commit-one-phase';

/** Sends work and gives what the participant answers; the same message again gets the answer from the database. */
async function answers(way: Way, operation: 'write' | 'read' = 'write'): Promise<(VoteMessage | DoneMessage)[]> {
  const branch = { transactionId: randomUUID(), branchId: randomUUID(), participant: PARTICIPANT };
  const work = { ...branch, operations: [{ operation, payload: null, keys: [] }], deadline: clock.now() + 20_000 };
  const acceptors = [{ branchId: branch.branchId, participant: PARTICIPANT }];
  const epoch = { term: 1, index: 1 };
  const messageOf = (attempt: number): WorkMessage => {
    if (way === 'commit-one-phase') return { ...work, type: way, attempt };
    if (way === 'prepare') return { ...work, type: 'prepare', protocol: '2pc', attempt, epoch };
    return { ...work, type: 'prepare', protocol: '3pc', attempt, epoch, acceptors };
  };
  heard.length = 0;
  for (const attempt of [0, 1]) {
    await coordinator.publish([{ topic: prepareTopic(PARTICIPANT), message: messageOf(attempt) }]);
    await waitFor(`answer ${attempt}`, () => heard.length > attempt || undefined);
  }
  return [...heard];
}

async function traces(): Promise<{ items: number; prepared: number }> {
  const { rows } = await database.query<{ items: number }>('SELECT count(*)::int AS items FROM item');
  return { items: rows[0]!.items, prepared: (await manager.listPrepared()).length };
}

const WAYS: Way[] = ['prepare', 'prepare in three phases', 'commit-one-phase'];

describe.each(WAYS)('%s, when a handler returns or throws what cannot be said', (way) => {
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  it.each<[string, unknown, string, string]>([
    ['NaN', [NaN], 'RESULT_NOT_JSON', 'the result of write has no JSON: [0] is NaN'],
    ['a BigInt', { balance: 1n }, 'RESULT_NOT_JSON', 'the result of write has no JSON: balance is a bigint'],
    ['a cycle', cycle, 'RESULT_NOT_JSON', 'the result of write has no JSON: self contains itself'],
    ['NUL', 'a\0', 'RESULT_NOT_JSON', 'the result of write has no JSON: the value contains NUL or a lone surrogate'],
    [
      'half a character',
      ['a\ud800'],
      'RESULT_NOT_JSON',
      'the result of write has no JSON: [0] contains NUL or a lone surrogate',
    ],
    [
      'too much',
      'x'.repeat(70_000),
      'RESULT_TOO_LARGE',
      'the handlers returned more than 65536 bytes of JSON, which is the limit',
    ],
  ])(
    'refuses the result %s with its reason, twice the same, and keeps no row',
    async (_name, result, code, message) => {
      conduct = () => result;
      for (const answer of await answers(way)) {
        expect(answer).toMatchObject(way === 'commit-one-phase' ? { end: 'aborted' } : { vote: 'no' });
        expect(answer.error).toEqual({ code, message });
      }
      expect(await traces()).toEqual({ items: 0, prepared: 0 });
    },
  );

  it.each<[string, string, string, string, string]>([
    ['a long message', 'LONG', `${'x'.repeat(2_047)}🦊`, 'LONG', `${'x'.repeat(2_047)}…`],
    ['NUL and half a character', 'ODD', 'a\0b\ud800', 'ODD', 'a\\u0000b\\ud800'],
    [
      'no code',
      '',
      'why',
      'INVALID_ERROR_CODE',
      'refused with a code that is not 1 to 64 visible ASCII characters (""): why',
    ],
  ])('passes on a refusal with %s', async (_name, code, message, saidCode, saidMessage) => {
    conduct = () => {
      throw new BranchRefusedError(code, message);
    };
    for (const answer of await answers(way)) expect(answer.error).toEqual({ code: saidCode, message: saidMessage });
    expect(await traces()).toEqual({ items: 0, prepared: 0 });
  });

  it('says of a handler that throws what is no error that it failed', async () => {
    conduct = () => {
      throw Object.create(null);
    };
    for (const answer of await answers(way)) expect(answer.error).toMatchObject({ code: 'HANDLER_FAILED' });
  });

  it('refuses the result of a handler that only read', async () => {
    conduct = () => Infinity;
    const [answer] = await answers(way, 'read');
    expect(answer).toMatchObject(way === 'commit-one-phase' ? { end: 'aborted' } : { vote: 'no' });
    expect(answer!.error).toMatchObject({ code: 'RESULT_NOT_JSON' });
  });
});
