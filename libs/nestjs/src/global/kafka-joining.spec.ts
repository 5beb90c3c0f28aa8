import type { CallHandler, ExecutionContext } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { ClientKafka } from '@nestjs/microservices';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { defer, firstValueFrom, lastValueFrom, merge, of, throwError, timeout, type Observable } from 'rxjs';
import { ContextCodec, derivedBranchId } from '@concordat/participant';
import { GLOBAL_TEST_KEY, GlobalSystem, type FakeService } from '@concordat/participant/testing';
import { incomingOf } from './incoming.js';
import { JOIN_GLOBAL_TRANSACTION } from './metadata.js';
import { JoiningInterceptor } from './joining.interceptor.js';
import { waitFor } from '../../../../test/support/wait-for.js';
import { joinClientProxy } from './outgoing/client-proxy.js';
import { optionsOf } from './testing/services.js';

const TOPIC = 'payment';

let system: GlobalSystem;
let payments: FakeService;

beforeEach(() => {
  system = new GlobalSystem();
  payments = system.service('payments');
});

interface Message {
  readonly headers: Readonly<Record<string, unknown>>;
  readonly offset?: string;
  readonly reply?: boolean;
}

/** As Nest's server for Kafka calls a handler. */
function delivered({ headers, offset = '41', reply = true }: Message): ExecutionContext {
  const all = { ...(reply && { kafka_replyTopic: 'payment.reply', kafka_correlationId: '1' }), ...headers };
  const context = { getMessage: () => ({ headers: all, offset }), getTopic: () => TOPIC, getPartition: () => 2 };
  const handler = (): void => undefined;
  Reflect.defineMetadata(JOIN_GLOBAL_TRANSACTION, { propagation: 'MANDATORY' }, handler);
  return {
    getType: () => 'rpc',
    getArgs: () => ['data', context],
    getHandler: () => handler,
  } as unknown as ExecutionContext;
}

const names = { own: ['payments'], areComplete: false };
const begin = async (): Promise<{ id: string; header: string }> => {
  const { transactionId, deadline } = await system.begin({ protocol: '2pc', timeoutMs: 5_000 });
  const header = new ContextCodec(GLOBAL_TEST_KEY).encode({ transactionId, deadline, audience: TOPIC });
  return { id: transactionId, header };
};

const handle = (context: ExecutionContext, work: () => Promise<unknown>): Promise<unknown> => {
  const options = optionsOf('payments', system, payments);
  const interceptor = new JoiningInterceptor(payments.transactions, options, new HttpAdapterHost());
  const next: CallHandler = { handle: () => defer(work) };
  return lastValueFrom(interceptor.intercept(context, next)); // as Nest's server does: a stream without a value fails
};
const pay = async (): Promise<string> => {
  await payments.transactions.currentClient()!.query('add payment');
  return 'paid';
};

describe('a message of Kafka', () => {
  it('is read with its headers as bytes or text, its topic and its place', () => {
    for (const value of [Buffer.from('v1.x'), 'v1.x']) {
      const { call } = incomingOf(
        delivered({ headers: { 'concordat-transaction': value, 'concordat-invitation': value } }),
        names,
        undefined as never,
      );
      expect(call).toEqual({
        context: ['v1.x'],
        audiences: ['payments', TOPIC],
        delivery: { topic: TOPIC, partition: 2, offset: '41' },
        isEvent: false,
        trace: [],
        invitation: ['v1.x'],
      });
    }
    const event = incomingOf(delivered({ headers: {}, reply: false }), names, undefined as never);
    expect([event.call.isEvent, event.call.context]).toEqual([true, []]);
  });

  it('joins the branch of its place, and its reply has the proof in a header', async () => {
    const { id, header } = await begin();
    const reply = await handle(delivered({ headers: { 'concordat-transaction': header } }), pay);
    const branch = derivedBranchId(id, 'payments', { topic: TOPIC, partition: 2, offset: '41' });
    expect(reply).toEqual({ value: 'paid', headers: { 'concordat-branch': branch } });
  });

  it('keeps the headers and the key that its handler answers with', async () => {
    const { header } = await begin();
    const answer = async (): Promise<unknown> => ({ key: 'k', value: 'v', headers: { own: 'x' } });
    const reply = await handle(delivered({ headers: { 'concordat-transaction': header } }), answer);
    expect(reply).toEqual({ key: 'k', value: 'v', headers: { own: 'x', 'concordat-branch': 'none' } });
  });

  it('is answered as usual when it brought no transaction', async () => {
    await expect(handle(delivered({ headers: {} }), pay)).rejects.toMatchObject({ code: 'TRANSACTION_REQUIRED' });
  });

  it('that comes after the end of its transaction is acknowledged, if nobody waits for a reply', async () => {
    const { id, header } = await begin();
    await system.abort(id);
    const headers = { 'concordat-transaction': header };
    expect(await handle(delivered({ headers, reply: false }), pay)).toBeUndefined();
    expect(system.lines).toEqual([expect.stringContaining('offset 41 of payment, partition 2, is acknowledged')]);
    await expect(handle(delivered({ headers, offset: '42' }), pay)).rejects.toMatchObject({
      code: 'TRANSACTION_DECIDED',
    });
  });
});

/** Nest's client without a broker: what it would send is kept, and answered by the test. */
class BrokerlessClient extends ClientKafka {
  /** answers of the broker to events */
  places: unknown = [{ topicName: TOPIC, partition: 2, errorCode: 0, baseOffset: '41' }];
  readonly events: { topic: string; messages: { headers?: Record<string, unknown> }[] }[] = [];

  constructor() {
    super({});
    const send = async (record: never): Promise<unknown> => {
      this.events.push(record);
      if (this.places instanceof Error) throw this.places;
      return this.places;
    };
    Object.assign(this, { _producer: { send } });
  }

  readonly sent: { headers: Record<string, unknown> }[] = [];
  answer: Record<string, unknown> = {};
  /** nobody replies */
  isSilent = false;

  override async connect(): Promise<never> {
    return undefined as never;
  }

  protected override publish(
    packet: { pattern: unknown; data: unknown },
    callback: (reply: never) => void,
  ): () => void {
    void this.exchange(packet, callback);
    return () => undefined;
  }

  private async exchange({ data }: { data: unknown }, callback: (reply: never) => void): Promise<void> {
    const message = (await this.serializer.serialize(data as never, { pattern: TOPIC })) as {
      headers: Record<string, unknown>;
    };
    this.sent.push(message);
    if (this.isSilent) return;
    const headers = {
      kafka_correlationId: Buffer.from('1'),
      'kafka_nest-is-disposed': Buffer.alloc(1),
      ...this.answer,
    };
    const reply = await this.deserializer.deserialize({ value: 'paid', headers });
    callback(reply as never);
  }
}

describe("Nest's client for Kafka", () => {
  let client: BrokerlessClient;
  let orders: FakeService;

  beforeEach(() => {
    const propagateTo = [TOPIC, { destination: 'requested', consumers: ['payments'] }];
    orders = system.service('orders', { propagateTo });
    client = new BrokerlessClient();
    joinClientProxy(client, orders.transactions);
  });

  const send = (): Promise<unknown> => firstValueFrom(client.send(TOPIC, { amount: 5 }));

  it('sends the context in a header, and takes the proof from the reply’s', async () => {
    client.answer = { 'concordat-branch': Buffer.from('none') };
    expect(await orders.transactions.run({}, send)).toBe('paid');
    expect(Object.keys(client.sent[0]!.headers)).toEqual(['concordat-transaction', 'concordat-invitation']);
  });

  it('fails when the reply has no proof', async () => {
    await expect(orders.transactions.run({}, send)).rejects.toMatchObject({ code: 'NOT_JOINED' });
  });

  it('passes the callee’s error on', async () => {
    client.answer = { 'kafka_nest-err': Buffer.from('no funds') };
    await orders.transactions.run({}, async () => {
      await expect(send()).rejects.toEqual(Buffer.from('no funds'));
    });
  });

  it('sends as ever outside a transaction, and to other topics', async () => {
    expect(await send()).toBe('paid');
    await orders.transactions.run({}, () => firstValueFrom(client.send('another', {})));
    expect(client.sent.map(({ headers }) => Object.keys(headers))).toEqual([[], []]);
  });

  it.each<[string, () => Observable<unknown>]>([
    ['a request', () => client.send(TOPIC, {})],
    ['an event', () => client.emit('requested', {})],
  ])('ends the call at once when it cannot even make %s', async (_what, make) => {
    const broken = new BrokerlessClient();
    const refuse = (): never => {
      throw new Error('made by hand');
    };
    broken.send = refuse;
    broken.emit = refuse;
    client = broken;
    joinClientProxy(client, orders.transactions);
    const doomed = orders.transactions.run({ timeoutMs: 60_000 }, async () => {
      await expect(lastValueFrom(defer(make))).rejects.toThrow('made by hand');
    });
    await expect(doomed).rejects.toMatchObject({ doom: { code: 'NOT_JOINED' } });
  });

  it.each<[string, (answers: Observable<unknown>) => Promise<unknown>]>([
    ['gives up', (answers) => lastValueFrom(answers.pipe(timeout(1)))],
    ['waits for something else as well', (answers) => firstValueFrom(merge(answers, of('else')))],
  ])('ends the call at once when its caller %s', async (_what, wait) => {
    client.isSilent = true;
    const doomed = orders.transactions.run({ timeoutMs: 60_000 }, async () => {
      await wait(client.send(TOPIC, {})).catch(() => undefined);
    });
    await expect(doomed).rejects.toMatchObject({ doom: { code: 'NOT_JOINED', by: TOPIC } });
  });

  it('dooms the transaction when the request fails before it is sent', async () => {
    client.connect = async () => firstValueFrom(throwError(() => new Error('no broker')));
    const doomed = orders.transactions.run({}, () => send().catch(() => undefined));
    await expect(doomed).rejects.toMatchObject({ doom: { code: 'NOT_JOINED' } });
  });

  const emit = (topic = 'requested'): Promise<unknown> => lastValueFrom(client.emit(topic, { amount: 5 }));

  it('sends nothing before the coordinators know a transaction that begins late', async () => {
    system.beginsLate = true;
    client.places = [{ topicName: 'requested', partition: 2, errorCode: 0, baseOffset: '41' }];
    let begin: (() => void) | undefined;
    system.ensure = () => new Promise((resolve) => (begin = resolve));
    const whole = orders.transactions.run({ timeoutMs: 300 }, () => emit());
    await waitFor('the begin is asked for', () => begin !== undefined);
    expect(client.events).toEqual([]);
    begin!();
    await waitFor('the event is out', () => client.events.length === 1);
    await expect(whole).rejects.toMatchObject({ doom: { code: 'NOT_JOINED' } }); // nobody consumes it
  });

  it('sends an event with the context, and commits when its consumer has joined', async () => {
    client.places = [{ topicName: 'requested', partition: 2, errorCode: 0, baseOffset: '41' }];
    const whole = orders.transactions.run({}, async () => {
      expect(await emit()).toBe(client.places);
    });
    await waitFor('the event is out', () => client.events.length === 1);
    const { headers } = client.events[0]!.messages[0]!;
    expect(Object.keys(headers!)).toEqual(['concordat-transaction', 'concordat-invitation']);
    const context = delivered({ headers: headers!, reply: false });
    Object.assign(context.getArgs<[unknown, object]>()[1], { getTopic: () => 'requested' });
    expect(await handle(context, pay)).toBe('paid');
    await whole;
    expect(payments.words).toEqual(['payment']);
  });

  it('sends events without where the consumers are not named, and outside a transaction', async () => {
    await emit();
    await orders.transactions.run({}, () => emit(TOPIC));
    expect(client.events.map(({ messages }) => Object.keys(messages[0]!.headers ?? {}))).toEqual([[], []]);
  });

  it.each([
    ['fails', new Error('no broker')],
    ['does not say where it lies', []],
  ])('dooms the transaction when the broker %s', async (_what, places) => {
    client.places = places;
    const doomed = orders.transactions.run({}, () => emit().catch(() => undefined));
    await expect(doomed).rejects.toMatchObject({ doom: { code: 'NOT_JOINED', by: 'requested' } });
  });
});
