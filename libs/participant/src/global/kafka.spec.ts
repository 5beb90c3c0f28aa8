import { beforeEach, describe, expect, it } from '@jest/globals';
import { GLOBAL_TEST_KEY, GlobalSystem, type FakeService } from '../testing/index.js';
import { ContextCodec } from './context-header.js';
import { derivedBranchId, joinedMarkerId } from './derived-branch-id.js';
import { GlobalConfigurationError } from './errors.js';
import { joinProducer, joiningEachMessage, type DeliveredMessage } from './kafka.js';
import { DestinationList } from './options.js';

const TOPIC = 'payments.requested';

interface SentRecord {
  readonly topic: string;
  readonly acks?: number;
  readonly messages: readonly { readonly value: string; readonly headers?: Record<string, string> }[];
}

/** A topic with two partitions; messages are handed to their consumers by `deliver`. */
class FakeBroker {
  readonly records: SentRecord[] = [];
  readonly waiting: DeliveredMessage[] = [];
  private readonly offsets = [40, 70];
  failsNext: Error | undefined;

  readonly producer = {
    send: async (record: SentRecord) => {
      if (this.failsNext) throw this.failsNext;
      this.records.push(record);
      return record.messages.map(({ value, headers = {} }) => {
        const partition = value.length % 2;
        const offset = String(this.offsets[partition]!++);
        const bytes = Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)]));
        this.waiting.push({ topic: record.topic, partition, message: { headers: bytes, offset } });
        const place = record.acks === 0 ? {} : { baseOffset: offset };
        return { topicName: record.topic, partition, errorCode: 0, ...place };
      });
    },
    sendBatch: async ({ topicMessages }: { topicMessages: SentRecord[] }) =>
      (await Promise.all(topicMessages.map((record) => this.producer.send(record)))).flat(),
  };

  /** Hands what waits to the consumer, one after the other, as a partition does. */
  async deliver(eachMessage: (message: DeliveredMessage) => Promise<void>): Promise<void> {
    for (const message of this.waiting.splice(0)) await eachMessage(message);
  }
}

let system: GlobalSystem;
let orders: FakeService;
let payments: FakeService;
let broker: FakeBroker;
let producer: { send(record: SentRecord): Promise<unknown>; sendBatch(batch: object): Promise<unknown> };

beforeEach(() => {
  system = new GlobalSystem();
  orders = system.service('orders', { propagateTo: [{ destination: TOPIC, consumers: ['payments'] }, 'inventory'] });
  payments = system.service('payments');
  broker = new FakeBroker();
  producer = broker.producer;
  joinProducer(broker.producer, orders.transactions);
});

const consume = (word = 'payment', error?: Error): ((message: DeliveredMessage) => Promise<void>) =>
  joiningEachMessage(payments.transactions, async ({ message }, transaction) => {
    await transaction?.client.query(`add ${word}-${message.offset}`);
    if (error) throw error;
  });
const send = (...values: string[]): Promise<unknown> =>
  producer.send({ topic: TOPIC, messages: values.map((value) => ({ value })) });
/** The consumer runs beside the sender, as soon as something waits. */
const consuming = async (work: Promise<unknown>, eachMessage = consume()): Promise<unknown> => {
  const over = work.then(
    () => true,
    () => true,
  );
  const turn = (): Promise<boolean> => new Promise((resolve) => setImmediate(() => resolve(false)));
  while (!(await Promise.race([over, turn()]))) await broker.deliver(eachMessage).catch(() => undefined);
  return work;
};

describe('a message to a topic with consumers', () => {
  it('joins: the commit waits until each message has been handled', async () => {
    const whole = orders.transactions.run({}, async (transaction) => {
      await transaction.client.query('add order');
      await send('a', 'bb', 'c');
    });
    await consuming(whole);
    expect(orders.words).toEqual(['order']);
    expect(payments.words).toEqual(['payment-40', 'payment-70', 'payment-71']);
    expect(broker.records.map(({ messages }) => messages.length)).toEqual([1, 1, 1]);
    const [id, { branches }] = [...system.begun][0]!;
    const markers = ['40', '70', '71'].map((offset) =>
      joinedMarkerId(id, 'payments', { topic: TOPIC, partition: offset === '40' ? 0 : 1, offset }),
    );
    const branchIds = branches.map(({ branchId }) => branchId);
    expect(branchIds).toEqual(expect.arrayContaining(markers));
  });

  it('is sent when the coordinators know its transaction, which may begin late', async () => {
    system.beginsLate = true;
    await consuming(orders.transactions.run({}, () => send('a', 'bb')));
    expect([payments.words.length, system.earlyBegins]).toEqual([2, 1]);
  });

  it('carries what it has of its own, beside the transaction', async () => {
    await consuming(
      orders.transactions.run({}, () =>
        producer.send({ topic: TOPIC, acks: 1, messages: [{ value: 'a', headers: { own: 'x' } }] }),
      ),
    );
    expect(broker.records[0]).toMatchObject({ acks: 1, messages: [{ value: 'a', headers: { own: 'x' } }] });
    expect(Object.keys(broker.records[0]!.messages[0]!.headers!)).toEqual([
      'own',
      'concordat-transaction',
      'concordat-invitation',
    ]);
  });

  it('joins from batches, each topic by its own rule', async () => {
    const batch = {
      acks: -1,
      topicMessages: [
        { topic: TOPIC, messages: [{ value: 'a' }] },
        { topic: 'another', messages: [{ value: 'b' }, { value: 'c' }] },
      ],
    };
    await consuming(orders.transactions.run({}, () => producer.sendBatch(batch)));
    expect(broker.records.map(({ topic, messages }) => [topic, messages.length])).toEqual([
      [TOPIC, 1],
      ['another', 2],
    ]);
    const carrying = broker.records.flatMap(({ messages }) => messages.map(({ headers }) => headers !== undefined));
    expect(carrying).toEqual([true, false, false]);
  });

  it('aborts the transaction when its consumer fails; the redelivery is acknowledged', async () => {
    const whole = orders.transactions.run({}, () => send('a'));
    await expect(consuming(whole, consume('x', new Error('no funds')))).rejects.toMatchObject({
      code: 'TRANSACTION_ABORTED',
    });
    expect(payments.words).toEqual([]);
    const [first] = broker.records;
    const headers = Object.fromEntries(
      Object.entries(first!.messages[0]!.headers!).map(([name, text]) => [name, Buffer.from(text)]),
    );
    await consume()({ topic: TOPIC, partition: 1, message: { headers, offset: '70' } });
    expect(system.lines).toEqual([
      expect.stringContaining('offset 70 of payments.requested, partition 1, is acknowledged'),
    ]);
    expect(payments.words).toEqual([]);
  });

  it('is handled once when its handler fails each time, and holds up nothing behind it', async () => {
    const whole = orders.transactions.run({ timeoutMs: 60_000 }, () => send('a'));
    await expect(consuming(whole, consume('x', new Error('no funds')))).rejects.toMatchObject({
      code: 'TRANSACTION_ABORTED',
    });
    const [first] = broker.records;
    const headers = Object.fromEntries(
      Object.entries(first!.messages[0]!.headers!).map(([name, text]) => [name, Buffer.from(text)]),
    );
    let runs = 0;
    const failing = joiningEachMessage(payments.transactions, async () => {
      runs++;
      throw new Error('no funds');
    });
    for (const offset of ['70', '71']) await failing({ topic: TOPIC, partition: 1, message: { headers, offset } });
    expect(runs).toBe(0);
    expect(system.lines).toEqual([
      expect.stringContaining('offset 70 of payments.requested, partition 1, is acknowledged'),
      expect.stringContaining('offset 71 of payments.requested, partition 1, is acknowledged'),
    ]);
  });

  it('aborts the transaction when nobody has handled it by the deadline, and says who', async () => {
    const whole = orders.transactions.run({ timeoutMs: 150 }, () => send('a'));
    await expect(whole).rejects.toMatchObject({
      code: 'ROLLBACK_ONLY',
      doom: { code: 'NOT_JOINED', by: 'payments', message: expect.stringContaining('offset 70, partition 1') },
    });
  });

  it('aborts the transaction when nobody knows whether it was sent, or where it lies', async () => {
    broker.failsNext = new Error('no broker');
    const lost = orders.transactions.run({}, () => send('a').catch(() => undefined));
    await expect(lost).rejects.toMatchObject({ doom: { code: 'NOT_JOINED', by: TOPIC } });
    broker.failsNext = undefined;
    const unplaced = orders.transactions.run({}, () =>
      producer.send({ topic: TOPIC, acks: 0, messages: [{ value: 'a' }] }),
    );
    await expect(unplaced).rejects.toMatchObject({
      doom: { code: 'NOT_JOINED', message: expect.stringContaining('send it with acks -1 or 1') },
    });
  });

  it('is not undone by a savepoint: a method that has sent it and fails dooms the transaction', async () => {
    const whole = orders.transactions.run({}, async () => {
      const inner = orders.transactions.run({}, async () => {
        await send('a');
        throw new Error('inner');
      });
      await inner.catch(() => undefined);
    });
    await expect(consuming(whole)).rejects.toMatchObject({ code: 'ROLLBACK_ONLY' });
    expect(payments.words).toEqual([]);
  });

  it('is sent without the transaction outside of one, and to other topics', async () => {
    await send('a');
    await orders.transactions.run({}, () => producer.send({ topic: 'inventory', messages: [{ value: 'b' }] }));
    expect(broker.records.map(({ messages }) => messages[0]!.headers)).toEqual([undefined, undefined]);
  });

  it('is as before when the producer has left', async () => {
    const own = new FakeBroker();
    const before = own.producer.send;
    const leave = [joinProducer(own.producer, orders.transactions), joinProducer(own.producer, payments.transactions)];
    leave[0]!();
    expect(own.producer.send).not.toBe(before);
    leave[1]!();
    expect(own.producer.send).toBe(before);
  });
});

it('a producer that has joined twice sends a message once, and waits for it once', async () => {
  joinProducer(broker.producer, orders.transactions);
  await consuming(orders.transactions.run({}, () => send('a')));
  expect(broker.records).toHaveLength(1);
  expect(payments.words).toEqual([expect.stringMatching(/^payment-/)]);
});

describe('a message that is delivered', () => {
  const begin = async (): Promise<{ id: string; message: (offset: string) => DeliveredMessage }> => {
    const { transactionId, deadline } = await system.begin({ protocol: '2pc', timeoutMs: 5_000 });
    const context = new ContextCodec(GLOBAL_TEST_KEY).encode({ transactionId, deadline, audience: TOPIC });
    const headers = { 'concordat-transaction': Buffer.from(context) };
    return { id: transactionId, message: (offset) => ({ topic: TOPIC, partition: 2, message: { headers, offset } }) };
  };

  it('again, while its transaction is open, is not worked on twice, and joins its own branch', async () => {
    const { id, message } = await begin();
    for (let time = 1; time <= 3; time++) await consume()(message('5'));
    const branch = derivedBranchId(id, 'payments', { topic: TOPIC, partition: 2, offset: '5' });
    expect(payments.sessions.map(({ branchId, words }) => [branchId, words])).toEqual([[branch, ['payment-5']]]);
    await consume()(message('6'));
    expect(payments.sessions.map(({ words }) => words)).toEqual([['payment-5', 'payment-6']]);
  });

  it.each(['committed', 'aborted'] as const)('after its transaction was %s is acknowledged', async (outcome) => {
    const { id, message } = await begin();
    await (outcome === 'committed' ? system.commit(id, 'decided', []) : system.abort(id));
    await consume()(message('5'));
    expect(system.lines).toEqual([expect.stringContaining('TRANSACTION_DECIDED')]);
    expect(payments.words).toEqual([]);
    // not at the deadline: what it had locked is free
    expect(await payments.sessions[0]!.ended).toBe('aborted');
  });

  it('while its sender gives up is acknowledged: a repeat would change nothing', async () => {
    const { id, message } = await begin();
    const handle = joiningEachMessage(payments.transactions, async (_message, transaction) => {
      await transaction!.client.query('add payment');
      await system.abort(id);
      transaction!.setRollbackOnly('the sender has given up');
    });
    await handle(message('5'));
    expect(system.lines).toEqual([
      expect.stringMatching(/is acknowledged without effect: transaction [0-9a-f-]{36} has ended/),
    ]);
    expect(payments.words).toEqual([]);
  });

  it('without a transaction begins one, or fails where one is needed', async () => {
    await consume()({ topic: TOPIC, partition: 0, message: { offset: '1' } });
    expect(payments.words).toEqual(['payment-1']);
    const mandatory = joiningEachMessage(payments.transactions, async () => undefined, { propagation: 'MANDATORY' });
    await expect(mandatory({ topic: TOPIC, partition: 0, message: { offset: '2' } })).rejects.toMatchObject({
      code: 'TRANSACTION_REQUIRED',
    });
  });

  it('may be handled outside of its transaction on purpose, which its sender learns, too', async () => {
    const { id, message } = await begin();
    const outside = joiningEachMessage(
      payments.transactions,
      async (_message, transaction) => expect(transaction).toBeUndefined(),
      { propagation: 'NOT_SUPPORTED' },
    );
    await outside(message('5'));
    const marker = joinedMarkerId(id, 'payments', { topic: TOPIC, partition: 2, offset: '5' });
    expect((await system.stateOf(id)).branches).toEqual([marker]);
  });

  it.each([
    ['forged', { 'concordat-transaction': 'v1.x' }],
    ['sent twice', { 'concordat-transaction': ['a', 'b'] }],
  ])('with a context that is %s is refused', async (_what, headers) => {
    await expect(consume()({ topic: TOPIC, partition: 0, message: { headers, offset: '1' } })).rejects.toMatchObject({
      code: 'INVALID_CONTEXT',
    });
  });
});

describe('the consumers of a destination', () => {
  it('are names of participants', () => {
    const wrong = () => new DestinationList([{ destination: TOPIC, consumers: ['Payments!'] }]);
    expect(wrong).toThrow(GlobalConfigurationError);
    expect(wrong).toThrow('the consumers of "payments.requested" have "Payments!"');
  });
});
