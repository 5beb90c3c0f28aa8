import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { SeededRandom, SystemClock, SystemRandom, UuidV7Generator, type Failpoints } from '@concordat/foundation';
import { decideTopic, decodeMessage, prepareTopic } from '@concordat/messaging';
import { MemoryBroker, MemoryMessageBus } from '@concordat/messaging/testing';
import { ParticipantRuntime, PostgresResourceManager, type PostgresContext } from '@concordat/participant';
import { startTestPostgres, type TestPostgres } from '../../../../test/support/postgres.js';
import { waitFor } from '../../../../test/support/wait-for.js';
import {
  ballotAfterAbort,
  repeatedPrepare,
  strangeBallot,
  strangeRuling,
  unknownOld,
  type WireMessage,
} from './crash-everywhere-messages.js';
import { Wire } from './wire.js';

const BANK = 'bank-a';
const wire = Wire.of({ clusterName: 'test', topicPrefix: 'concordat' });
const clock = new SystemClock();
const ids = new UuidV7Generator(() => clock.now(), new SystemRandom());

/** The crash points that were passed, in order. */
const passed: string[] = [];
const failpoints: Failpoints = {
  hit: (name) => {
    passed.push(name);
    return undefined;
  },
};

let server: TestPostgres;
let manager: PostgresResourceManager;
let coordinator: MemoryMessageBus;
let bus: MemoryMessageBus;
let bank: ParticipantRuntime<PostgresContext>;

beforeAll(async () => {
  server = await startTestPostgres(['max_prepared_transactions=6']);
  const settings = { connectionString: server.url, cluster: wire.cluster, participant: BANK };
  manager = new PostgresResourceManager(settings, { clock, failpoints });
  await manager.start();
}, 60_000);

afterAll(async () => {
  await manager?.close();
  await server?.stop();
});

beforeEach(async () => {
  const broker = new MemoryBroker({ clock, partitions: 1 });
  coordinator = new MemoryMessageBus(broker, { cluster: wire.cluster });
  bus = new MemoryMessageBus(broker, { cluster: wire.cluster });
  await Promise.all([coordinator.start(), bus.start()]);
  const handlers = { operations: () => [], handle: () => Promise.reject(new Error('nothing is asked for')) };
  const random = new SeededRandom(1);
  bank = new ParticipantRuntime({
    participant: BANK,
    resourceManager: manager,
    bus,
    handlers,
    clock,
    random,
    failpoints,
  });
  await bank.start();
  passed.length = 0;
});

afterEach(async () => {
  await bank.stop();
  await Promise.all([coordinator.stop(), bus.stop()]);
});

/** By the bytes that the lab sends. */
async function send(messages: readonly WireMessage[]): Promise<void> {
  for (const fields of messages) {
    const message = decodeMessage(wire.cluster, wire.encode(fields));
    await coordinator.publish([
      { topic: message.type === 'prepare' ? prepareTopic(BANK) : decideTopic(BANK), message },
    ]);
  }
}

const statement = (name: string): readonly string[] =>
  ['before', 'after'].map((moment) => `participant.${name}.${moment}-statement`);
const handling = (type: string): readonly string[] =>
  ['received', 'handled'].map((moment) => `participant.${type}.${moment}`);

/** What a path sends, and the crash points for which it sends it. */
const MESSAGES: readonly (readonly [string, () => readonly WireMessage[], readonly string[]])[] = [
  [
    'a strange ballot',
    () => strangeBallot(ids.next(), BANK),
    [...statement('acceptor-lock'), ...statement('acceptor-refusal')],
  ],
  ['a ballot after an abort', () => ballotAfterAbort(ids.next(), BANK), statement('acceptor-release')],
  ['a repeated prepare', () => repeatedPrepare(ids.next(), BANK, 1), statement('acceptor-look-up')],
  [
    'a strange ruling',
    () => strangeRuling(ids.next(), BANK),
    [...handling('ruling'), ...statement('acceptor-decision')],
  ],
  ['a transaction that is unknown', () => unknownOld(ids.next(), BANK), handling('unknown-old')],
];

describe('a participant passes the crash points that', () => {
  it.each(MESSAGES)('%s is sent for', async (_what, messages, points) => {
    await send(messages());
    const missing = (): string[] => points.filter((point) => !passed.includes(point));
    await waitFor(`${points.join(', ')} were passed`, () => missing().length === 0);
    expect(missing()).toEqual([]);
  });
});
