import {
  Client,
  InterceptingCall,
  Metadata,
  Server,
  ServerCredentials,
  credentials,
  status,
  type CallOptions,
  type ClientUnaryCall,
  type Interceptor,
  type ServiceError,
  type handleUnaryCall,
} from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { ExecutionContext } from '@nestjs/common';
import { join } from '@concordat/participant';
import { GlobalSystem, type FakeService } from '@concordat/participant/testing';
import { incomingOf } from '../global/incoming.js';
import { joiningInterceptor } from './joining-interceptor.js';

const PATH = '/shop.Inventory/Reserve';
const text = { serialize: (value: string) => Buffer.from(value), deserialize: (bytes: Buffer) => bytes.toString() };

let system: GlobalSystem;
let orders: FakeService;
let inventory: FakeService;
let server: Server;
let client: Client;
let destination: string;
let handler: () => Promise<string>;
let joins: boolean;

/** As Nest calls a handler: data, metadata, call. */
const serve: handleUnaryCall<string, string> = (call, callback) => {
  const parameters = [call.request, call.metadata, call];
  const context = { getType: () => 'rpc', getArgs: () => parameters } as unknown as ExecutionContext;
  const incoming = incomingOf(context, { own: ['inventory'], areComplete: true }, undefined as never);
  const answer = joins
    ? join(inventory.transactions, incoming.call, { propagation: 'MANDATORY' }, handler, (headers) =>
        incoming.answerWith(headers),
      )
    : handler();
  answer.then(
    (value) => callback(null, value),
    (error: Error) => callback({ code: status.UNKNOWN, details: error.message }),
  );
};

beforeEach(async () => {
  system = new GlobalSystem();
  inventory = system.service('inventory');
  server = new Server();
  const method = { path: PATH, requestStream: false, responseStream: false } as const;
  server.addService(
    {
      Reserve: {
        ...method,
        requestSerialize: text.serialize,
        requestDeserialize: text.deserialize,
        responseSerialize: text.serialize,
        responseDeserialize: text.deserialize,
      },
    },
    { Reserve: serve },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  destination = `127.0.0.1:${port}`;
  orders = system.service('orders', { propagateTo: [{ destination, audience: 'inventory' }] });
  client = new Client(destination, credentials.createInsecure(), {
    interceptors: [joiningInterceptor(orders.transactions, destination)],
  });
  joins = true;
  handler = async () => {
    await inventory.transactions.currentClient()?.query('add reservation');
    return 'reserved';
  };
});

afterEach(() => {
  client.close();
  server.forceShutdown();
});

function clientWith(...interceptors: Interceptor[]): void {
  client.close();
  const inside = interceptors.length > 1 ? [] : [joiningInterceptor(orders.transactions, destination)];
  client = new Client(destination, credentials.createInsecure(), { interceptors: [...interceptors, ...inside] });
}

function reserve(options: CallOptions = {}, then: (call: ClientUnaryCall) => void = () => undefined): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = client.makeUnaryRequest(
      PATH,
      text.serialize,
      text.deserialize,
      'lamp',
      new Metadata(),
      options,
      (error: ServiceError | null, value) => (error ? reject(error) : resolve(value!)),
    );
    then(call);
  });
}

const run = <T>(work: () => Promise<T>): Promise<T> => orders.transactions.run({ timeoutMs: 60_000 }, work);

describe('calls over gRPC', () => {
  it('join, and bring the proof back in their metadata', async () => {
    expect(await run(() => reserve())).toBe('reserved');
    expect(inventory.words).toEqual(['reservation']);
  });

  it('wait until the coordinators know a transaction that begins late', async () => {
    system.beginsLate = true;
    expect(await run(() => reserve())).toBe('reserved');
    expect([inventory.words, system.earlyBegins]).toEqual([['reservation'], 1]);
    system.ensure = () => Promise.reject(new Error('no leader'));
    const refused = run(() => reserve());
    await expect(refused).rejects.toMatchObject({ code: status.UNAVAILABLE, details: 'no leader' });
    expect(inventory.words).toEqual(['reservation']);
  });

  it('that fail and are caught leave the rest intact', async () => {
    handler = async () => {
      await inventory.transactions.currentClient()!.query('add undone');
      throw new Error('sold out');
    };
    await run(async () => {
      await orders.transactions.currentClient()!.query('add order');
      await expect(reserve()).rejects.toMatchObject({ details: 'sold out' });
    });
    expect([orders.words, inventory.words]).toEqual([['order'], []]);
  });

  it('without a proof fail, and doom the transaction', async () => {
    joins = false;
    const doomed = run(async () => {
      await expect(reserve()).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
    });
    await expect(doomed).rejects.toMatchObject({ doom: { code: 'NOT_JOINED' } });
  });

  it('that nobody answers doom the transaction', async () => {
    server.forceShutdown();
    const doomed = run(() => reserve().catch(() => undefined));
    await expect(doomed).rejects.toMatchObject({ doom: { code: 'NOT_JOINED' } });
  });

  it('that an interceptor around them never starts are none', async () => {
    const cached: Interceptor = (options, nextCall) =>
      new InterceptingCall(nextCall(options), {
        start: (_metadata, listener) => {
          listener.onReceiveMetadata(new Metadata());
          listener.onReceiveMessage('cached');
          listener.onReceiveStatus({ code: status.OK, details: '', metadata: new Metadata() });
        },
        sendMessage: () => undefined,
        halfClose: () => undefined,
      });
    clientWith(cached);
    await run(async () => {
      await orders.transactions.currentClient()!.query('add order');
      expect(await reserve()).toBe('cached');
    });
    expect([orders.words, inventory.words]).toEqual([['order'], []]);
  });

  it('that nobody sends, because an interceptor fails, are none', async () => {
    clientWith(() => {
      throw new Error('no token');
    });
    await run(async () => {
      await orders.transactions.currentClient()!.query('add order');
      await expect(reserve()).rejects.toThrow('no token');
    });
    expect(orders.words).toEqual(['order']);
  });

  it('that fail below doom the transaction, at once', async () => {
    const failing: Interceptor = (options, nextCall) =>
      new InterceptingCall(nextCall(options), {
        start: () => {
          throw new Error('no channel');
        },
      });
    clientWith(joiningInterceptor(orders.transactions, destination), failing);
    const doomed = run(() => reserve().catch(() => undefined));
    await expect(doomed).rejects.toMatchObject({ doom: { code: 'NOT_JOINED' } });
  });

  it.each<[string, (call: ClientUnaryCall) => void, CallOptions]>([
    ['cancelled', (call) => call.cancel(), {}],
    ['not answered in time', () => undefined, { deadline: Date.now() }],
  ])('that are %s doom the transaction, at once', async (_what, stop, options) => {
    handler = () => new Promise(() => undefined);
    const doomed = run(() => reserve(options, stop).catch(() => undefined));
    await expect(doomed).rejects.toMatchObject({ doom: { code: 'NOT_JOINED' } });
  });

  it('are as ever outside a transaction', async () => {
    joins = false;
    expect(await reserve()).toBe('reserved');
  });
});
