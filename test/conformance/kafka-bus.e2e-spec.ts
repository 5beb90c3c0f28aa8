import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { silentLogger } from '@concordat/foundation';
import {
  DEAD_LETTER_TOPIC,
  decideTopic,
  KafkaMessageBus,
  type KafkaMessageBusOptions,
  type MessageBus,
} from '@concordat/messaging';
import { Kafka, logLevel, Partitioners } from 'kafkajs';
import { startKafka, type TestKafka } from '../support/kafka.js';
import { waitFor } from '../support/wait-for.js';
import { type DeadLetter, describeBrokerBus, SUITE } from './broker-suite.js';
import { numbered, numberOf } from './message-bus-suite.js';

jest.setTimeout(120_000);

describeBrokerBus('Kafka', async () => {
  const kafka = await startKafka();
  const client = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING });
  const producer = client.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  const letters: DeadLetter[] = [];
  const admin = client.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: SUITE.topic(DEAD_LETTER_TOPIC), numPartitions: 1 }] });
  await admin.disconnect();
  const reader = client.consumer({ groupId: 'dead-letter-reader', maxWaitTimeInMs: 100 });
  await reader.connect();
  await reader.subscribe({ topics: [SUITE.topic(DEAD_LETTER_TOPIC)], fromBeginning: true });
  await reader.run({
    eachMessage: async ({ message: { key, value, headers } }) => {
      const texts = Object.entries(headers ?? {}).map(([name, header]) => [name, String(header)]);
      letters.push({
        key: key?.toString(),
        value: value?.toString() ?? '',
        headers: Object.fromEntries(texts) as Record<string, string>,
      });
    },
  });
  return {
    createBus: (cluster = SUITE.cluster) => new KafkaMessageBus({ brokers: kafka.brokers, cluster }),
    publishRaw: async (topic, key, value) => {
      await producer.send({ topic, messages: [{ key, value }] });
    },
    deadLetters: async () => letters,
    stop: async () => {
      await reader.disconnect();
      await producer.disconnect();
      await kafka.stop();
    },
  };
});

describe('the Kafka bus and a broker that fails', () => {
  let kafka: TestKafka;
  const buses: MessageBus[] = [];

  beforeAll(async () => {
    kafka = await startKafka();
  });

  afterAll(async () => {
    await Promise.all(buses.map((bus) => bus.stop()));
    await kafka?.stop();
  });

  function createBus(options: Partial<KafkaMessageBusOptions> = {}): KafkaMessageBus {
    const bus = new KafkaMessageBus({ brokers: kafka.brokers, cluster: SUITE.cluster, ...options });
    buses.push(bus);
    return bus;
  }

  it('misses no acknowledged message when the broker is killed and restarted under load', async () => {
    const topic = decideTopic(`p-${randomUUID()}`);
    const bus = createBus();
    await bus.start();
    await bus.ensureTopics([topic]);
    const readers = (['committed', 'latest'] as const).map((start) => ({ start, seen: new Set<number>() }));
    for (const { start, seen } of readers) {
      await bus.subscribe({
        group: `group-${randomUUID()}`,
        topics: [topic],
        start,
        onMessage: (message) => void seen.add(numberOf(message)),
      });
    }
    const acknowledged = new Set<number>();
    let next = 0;
    const load = new AbortController();
    const publishers = Array.from({ length: 8 }, async () => {
      while (!load.signal.aborted) {
        const number = next++;
        await bus.publish([numbered(topic, number)]);
        acknowledged.add(number);
      }
    });
    const goesOn = (more: number): Promise<boolean> => {
      const goal = acknowledged.size + more;
      return waitFor(`${more} more are acknowledged`, () => acknowledged.size >= goal, { timeoutMs: 60_000 });
    };
    await goesOn(500);
    for (let round = 0; round < 2; round++) {
      await kafka.kill();
      await waitFor('the bus has noticed', () => !bus.isConnected());
      await kafka.restart();
      await goesOn(500);
    }
    load.abort();
    await Promise.all(publishers);
    for (const { start, seen } of readers) {
      await waitFor(`the ${start} reader has all`, () => acknowledged.size === seen.size, { timeoutMs: 60_000 });
    }
    expect(bus.isConnected()).toBe(true);
  });

  it('starts and subscribes while the broker is away, and heals when it comes', async () => {
    const topic = decideTopic(`p-${randomUUID()}`);
    await kafka.kill();
    const bus = createBus({ standingTimeoutMs: 200 });
    await bus.start();
    expect(bus.isConnected()).toBe(false);
    const seen: number[] = [];
    const published = bus.publish([numbered(topic, 1)]);
    await bus.subscribe({
      group: `group-${randomUUID()}`,
      topics: [topic],
      onMessage: (message) => void seen.push(numberOf(message)),
    });
    await kafka.restart();
    await published;
    await waitFor('the message has come', () => seen.length === 1, { timeoutMs: 60_000 });
  });

  it('drops what waits longer than the limit and what does not fit into the buffer', async () => {
    const topic = decideTopic(`p-${randomUUID()}`);
    const limits = { maximumMessages: 10, maximumAgeMs: 300 };
    const bus = createBus({ queueLimits: limits });
    await bus.start();
    await bus.ensureTopics([topic]);
    await bus.publish([numbered(topic, 0)]);
    await kafka.kill();
    const aged = bus.publish(Array.from({ length: 10 }, (_, number) => numbered(topic, number)));
    await expect(bus.publish([numbered(topic, 10)])).rejects.toMatchObject({ code: 'BUS_BUFFER_FULL' });
    await expect(aged).rejects.toMatchObject({ code: 'BUS_MESSAGE_EXPIRED' });
    await kafka.restart();
    await waitFor('messages go through again', () =>
      bus.publish([numbered(topic, 11)]).then(
        () => true,
        () => false,
      ),
    );
  });

  it('goes on when another process of the same name throws it out of the group', async () => {
    const topic = decideTopic(`p-${randomUUID()}`);
    const group = `group-${randomUUID()}`;
    const options = { clientId: `client-${randomUUID()}` };
    const first = createBus(options);
    const second = createBus(options); // the same name: it takes the first one for its dead predecessor
    const seen = new Set<number>();
    for (const bus of [first, second]) {
      await bus.start();
      await bus.ensureTopics([topic]);
      await bus.subscribe({
        group,
        topics: [topic],
        onMessage: (message) => void seen.add(numberOf(message)),
      });
    }
    for (let number = 0; number < 50; number++) await first.publish([numbered(topic, number)]);
    await waitFor('all have come', () => seen.size === 50, { timeoutMs: 60_000 });
    await second.stop();
    for (let number = 50; number < 100; number++) await first.publish([numbered(topic, number)]);
    await waitFor('all have come to the one that is left', () => seen.size === 100, { timeoutMs: 60_000 });
  });

  it('says nothing alarming when all is well', async () => {
    const complaints: string[] = [];
    const complain = (message: string): void => void complaints.push(message);
    const topic = decideTopic(`p-${randomUUID()}`);
    const bus = createBus({ logger: { ...silentLogger, warn: complain, error: complain } });
    await bus.start();
    await bus.ensureTopics([topic]);
    const seen: number[] = [];
    await bus.subscribe({
      group: `group-${randomUUID()}`,
      topics: [topic],
      onMessage: (message) => void seen.push(numberOf(message)),
    });
    await bus.publish([numbered(topic, 0)]);
    await waitFor('it has come', () => seen.length === 1);
    await bus.stop();
    expect(complaints).toEqual([]);
  });
});
