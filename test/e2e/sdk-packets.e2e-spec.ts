import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Kafka, logLevel } from 'kafkajs';
import { freePort } from '../support/postgres.js';
import { startKafka, type TestKafka } from '../support/kafka.js';
import { waitFor } from '../support/wait-for.js';
import { SdkSystem, type ServiceProcess } from './sdk-system.js';
import { DEVELOPMENT_PORTS } from '../support/development-ports.js';

jest.setTimeout(180_000);

let system: SdkSystem;
let kafka: TestKafka;
let orders: ServiceProcess;
let payments: ServiceProcess;
let tcp: string;

beforeAll(async () => {
  kafka = await startKafka();
  system = await SdkSystem.start(DEVELOPMENT_PORTS.sdkPackets);
  const { brokers } = kafka;
  const admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  await admin.createTopics({
    topics: ['planned', 'planned.reply', 'announced', 'produced'].map((topic) => ({ topic, numPartitions: 1 })),
  });
  await admin.disconnect();
  const tcpPort = await freePort();
  tcp = `127.0.0.1:${tcpPort}`;
  const audiences = [tcp, 'planned', 'announced'];
  const consumed = ['announced', 'produced'].map((destination) => ({ destination, consumers: ['payments'] }));
  const propagateTo = [tcp, 'planned', ...consumed];
  payments = await system.service('payments', { tcpPort, audiences, kafkaBrokers: brokers, consumes: 'produced' });
  orders = await system.service('orders', { propagateTo, tcp: [tcp], kafkaBrokers: brokers });
  await Promise.all([payments.start(), orders.start()]);
});

afterAll(async () => {
  await system?.stop();
  await kafka?.stop();
});

afterEach(() => system.clear());

async function words(): Promise<readonly (readonly string[])[]> {
  return Promise.all([orders, payments].map(async (service) => (await system.wordsOf(service)).words));
}

describe.each(['TCP', 'Kafka'] as const)('services that call each other over %s', (road) => {
  const send = (plan: readonly { readonly [step: string]: unknown }[]): never =>
    ({ send: road === 'TCP' ? tcp : 'kafka', pattern: 'planned', plan }) as never;

  it('commit together', async () => {
    const answer = await orders.post('begin', [{ add: 'order' }, send([{ add: 'payment' }])]);
    expect(answer).toEqual({ status: 201, body: {} });
    await waitFor('both see it', async () => (await words()).every(({ length }) => length === 1));
    expect(await words()).toEqual([['order'], ['payment']]);
  });

  it('abort together', async () => {
    const { status } = await orders.post('begin', [{ add: 'order' }, send([{ add: 'payment' }]), { fail: 'no' }]);
    expect(status).toBe(500);
    expect(await words()).toEqual([[], []]);
  });

  it('keep the rest when a failure is caught', async () => {
    const failing = send([{ add: 'payment' }, { fail: 'no funds' }]);
    const { status } = await orders.post('begin', [{ add: 'order' }, { attempt: [failing] }]);
    expect(status).toBe(201);
    expect(await words()).toEqual([['order'], []]);
  });
});

describe.each([
  ["Nest's emit", 'announced'],
  ['a producer of kafkajs', 'produced'],
] as const)('messages without a reply, by %s', (_what, announce) => {
  it('commit with their sender, which waits until they were handled', async () => {
    const steps = [{ add: 'order' }, { announce, plan: [{ add: 'payment' }] }, { announce, plan: [{ add: 'mail' }] }];
    expect(await orders.post('begin', steps)).toEqual({ status: 201, body: {} });
    expect(await words()).toEqual([['order'], ['mail', 'payment']]);
  });

  it('have no effect when their sender fails afterwards', async () => {
    const { status } = await orders.post('begin', [{ announce, plan: [{ add: 'payment' }] }, { fail: 'no' }]);
    expect(status).toBe(500);
    expect(await words()).toEqual([[], []]);
  });

  it('abort their sender when they cannot be handled', async () => {
    const failing = { announce, plan: [{ add: 'payment' }, { fail: 'no funds' }] };
    const { status, body } = await orders.post('begin', [{ add: 'order' }, failing]);
    expect([status, body.code]).toEqual([500, 'TRANSACTION_ABORTED']);
    expect(await words()).toEqual([[], []]);
  });
});
