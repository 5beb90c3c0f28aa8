import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import axios, { AxiosHeaders, type AxiosInstance, type InternalAxiosRequestConfig } from 'axios';
import type { FakeService, GlobalSystem } from '../testing/global-system.js';
import { startHttpCallee, type HttpCallee } from '../testing/http-callee.js';
import { startTwoServices } from '../testing/two-services.js';
import { joinAxios } from './axios.js';

/** A call that nobody settles holds its method for so long, and for two seconds more. */
const TIMEOUT_MS = 60_000;

let system: GlobalSystem;
let inventory: FakeService;
let orders: FakeService;
let callee: HttpCallee;
let instance: AxiosInstance;
let leave: () => void;

beforeEach(async () => {
  ({ system, orders, inventory, callee } = await startTwoServices());
  instance = axios.create();
  leave = () => undefined;
});

afterEach(async () => {
  leave();
  await callee.stop();
});

const join = (): void => void (leave = joinAxios(instance, orders.transactions));
const run = <T>(work: () => Promise<T>): Promise<T> => orders.transactions.run({ timeoutMs: TIMEOUT_MS }, work);
const post = (data: unknown = { item: 'lamp' }, config = {}): Promise<unknown> =>
  instance.post(callee.url, data, config);
const outcomes = (): unknown[] => [...system.begun.values()].map(({ answer }) => answer?.outcome);

/** All parties have committed what they did, and nothing is open. */
async function expectCommitted(work: () => Promise<unknown>): Promise<void> {
  await run(async () => {
    await orders.transactions.client.query('add order');
    await work();
  });
  expect([orders.words, inventory.words, outcomes()]).toEqual([['order'], ['inventory'], ['committed']]);
}

describe('an axios instance', () => {
  it.each<[string, () => void]>([
    ['is as axios makes it', () => undefined],
    ['returns the body only', () => void instance.interceptors.response.use((answer) => answer.data as never)],
    ['returns nothing', () => void instance.interceptors.response.use(() => null as never)],
    ['changes requests', () => void instance.interceptors.request.use((config) => ({ ...config, timeout: 5_000 }))],
    ['has adapters by name', () => void (instance.defaults.adapter = ['xhr', 'http', 'fetch'])],
    ['has one adapter by name', () => void (instance.defaults.adapter = 'http')],
    ['has the adapter fetch', () => void (instance.defaults.adapter = 'fetch')],
    ['has an adapter of its own', () => void (instance.defaults.adapter = axios.getAdapter('http'))],
    [
      'gets its base URL from an interceptor',
      () =>
        void instance.interceptors.request.use((config) => ({
          ...config,
          url: '/reservations',
          baseURL: callee.url,
        })),
    ],
  ])('joins that %s', async (_what, prepare) => {
    prepare();
    join();
    await expectCommitted(post);
  });

  it.each([['http'], ['fetch'], [axios.getAdapter('fetch')]])(
    'joins with an adapter for one request (%p)',
    async (adapter) => {
      join();
      await expectCommitted(() => post({}, { adapter }));
    },
  );

  it('waits until the coordinators know a transaction that begins late', async () => {
    system.beginsLate = true;
    join();
    await expectCommitted(post);
    expect(system.earlyBegins).toBe(1);
  });

  it('joins also when its interceptors come later', async () => {
    join();
    instance.interceptors.response.use((answer) => answer.data as never);
    instance.interceptors.request.use(async (config) => config);
    await expectCommitted(post);
  });

  it('answers with what its caller has asked for, without the context', async () => {
    join();
    const seen: InternalAxiosRequestConfig[] = [];
    instance.interceptors.response.use((answer) => {
      seen.push(answer.config);
      return answer;
    });
    await run(async () => {
      const { data, status, config } = await instance.post<object>(callee.url, { a: 1 }, { adapter: 'http' });
      expect([data, status]).toEqual([{ done: true }, 200]);
      expect(config.headers).toBeInstanceOf(AxiosHeaders);
      expect(config.headers.get('concordat-transaction')).toBeUndefined();
      expect([config.maxRedirects, config.url]).toEqual([instance.defaults.maxRedirects, callee.url]);
    });
    expect(seen).toHaveLength(1);
    expect(callee.requests[0]).toMatchObject({ 'content-type': 'application/json', accept: expect.any(String) });
    expect(callee.requests[0]!['concordat-transaction']).toEqual(expect.any(String));
  });

  it('sends no default that its caller has taken out', async () => {
    join();
    await run(() => post({}, { headers: { accept: false, 'x-own': 'yes' } }));
    expect(callee.requests[0]).toMatchObject({ 'x-own': 'yes' });
    expect(callee.requests[0]).not.toHaveProperty('accept');
  });

  it('is left alone outside a transaction, and for other hosts', async () => {
    join();
    await post();
    const elsewhere = system.service('elsewhere');
    const other = await startHttpCallee(elsewhere);
    await run(() => instance.get(other.url));
    expect([callee.requests[0], other.requests[0]]).toEqual([
      expect.not.objectContaining({ 'concordat-transaction': expect.anything() }),
      expect.not.objectContaining({ 'concordat-transaction': expect.anything() }),
    ]);
    await other.stop();
  });

  it('is as before when the last participant has left it', async () => {
    join();
    leave();
    await run(() => post());
    expect(callee.requests[0]).not.toHaveProperty('concordat-transaction');
  });

  it('made by `new Axios()` joins with an adapter that is a function, and says so for a name', async () => {
    const own = new axios.Axios({ adapter: axios.getAdapter('http') });
    leave = joinAxios(own, orders.transactions);
    await expectCommitted(() => own.post(callee.url, '{}'));
    await run(async () => {
      await expect(own.post(callee.url, '{}', { adapter: 'http' })).rejects.toMatchObject({
        code: 'GLOBAL_CONFIGURATION',
      });
    });
  });
});

describe('a method whose call by axios fails before it is sent', () => {
  it.each<[string, () => void, unknown]>([
    [
      'in an interceptor of the request',
      () =>
        void instance.interceptors.request.use(() => {
          throw new Error('no token');
        }),
      {},
    ],
    [
      'in an asynchronous interceptor of the request',
      () => void instance.interceptors.request.use(() => Promise.reject(new Error('no token'))),
      {},
    ],
    ['because its data are no JSON', () => undefined, circular()],
    [
      'because it was cancelled',
      () => void instance.interceptors.request.use((config) => ({ ...config, signal: AbortSignal.abort() })),
      {},
    ],
  ])('ends at once, and may go on without: %s', async (_what, prepare, data) => {
    prepare();
    join();
    await run(async () => {
      await orders.transactions.client.query('add order');
      await expect(post(data)).rejects.toThrow();
    });
    expect([orders.words, outcomes(), callee.requests]).toEqual([['order'], ['committed'], []]);
  });
});

describe('a method whose call by axios fails', () => {
  it.each<[string, () => void]>([
    ['and whose interceptor makes another error of it', () => failWith(() => new Error('the stock is down'))],
    ['and whose interceptor makes undefined of it', () => failWith(() => undefined)],
    [
      'and whose interceptor makes a success of it',
      () => void instance.interceptors.response.use(undefined, () => ({ status: 200, data: {} })),
    ],
  ])('is aborted, and ends at once: the connection breaks %s', async (_what, prepare) => {
    prepare();
    join();
    callee.instead = ({ socket }) => {
      socket.destroy();
      return true;
    };
    const doomed = run(() => post().catch(() => undefined));
    await expect(doomed).rejects.toMatchObject({ doom: { code: 'NOT_JOINED', by: callee.host } });
  });

  it('is aborted when the callee proves nothing, whatever interceptors make of it', async () => {
    instance.interceptors.response.use((answer) => answer.data as never);
    failWith(() => new Error('something'));
    join();
    callee.joins = false;
    await expect(run(() => post().catch(() => undefined))).rejects.toMatchObject({ doom: { code: 'NOT_JOINED' } });
  });

  it('goes on when the callee has undone its work, and an interceptor makes another error of it', async () => {
    failWith(() => new Error('sold out'));
    join();
    callee.work = async () => {
      await inventory.transactions.client.query('add undone');
      throw new Error('none left');
    };
    await run(async () => {
      await orders.transactions.client.query('add order');
      await expect(post()).rejects.toThrow('sold out');
    });
    expect([orders.words, inventory.words, outcomes()]).toEqual([['order'], [], ['committed']]);
  });

  it('ends at once when its caller stops waiting', async () => {
    join();
    callee.instead = () => true;
    const controller = new AbortController();
    const doomed = run(async () => {
      const call = post({}, { signal: controller.signal }).catch(() => undefined);
      while (callee.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
      controller.abort();
      await call;
    });
    await expect(doomed).rejects.toMatchObject({ doom: { code: 'NOT_JOINED' } });
  });
});

describe('an interceptor that sends again', () => {
  /** As axios-retry does it: with the configuration of the request that failed. */
  const retrying = (): void => {
    let attempts = 1;
    instance.interceptors.response.use(undefined, (error: { config?: InternalAxiosRequestConfig }) => {
      if (!error.config || attempts++ > 1) throw error as Error;
      return instance(error.config);
    });
  };

  it.each(['before', 'after'])(
    'commits when the first attempt was undone and the second one joins (%s)',
    async (when) => {
      if (when === 'before') retrying();
      join();
      if (when === 'after') retrying();
      const { work } = callee;
      callee.work = async () => {
        if (callee.requests.length === 1) throw new Error('busy');
        return work();
      };
      await expectCommitted(post);
      const contexts = callee.requests.map((headers) => headers['concordat-transaction']);
      expect(contexts).toEqual([expect.any(String), expect.any(String)]);
    },
  );

  it('ends at once when the first attempt got lost: nobody knows what it did', async () => {
    retrying();
    join();
    callee.instead = ({ socket }) => {
      if (callee.requests.length === 1) socket.destroy();
      return callee.requests.length === 1;
    };
    await expect(run(() => post())).rejects.toMatchObject({ code: 'ROLLBACK_ONLY', doom: { code: 'NOT_JOINED' } });
    expect([orders.words, inventory.words]).toEqual([[], []]);
  });

  it('outside of the transaction, later, sends without it', async () => {
    join();
    let config: InternalAxiosRequestConfig | undefined;
    await run(async () => ({ config } = await instance.post(callee.url, {})));
    await instance(config!);
    expect(callee.requests[1]).not.toHaveProperty('concordat-transaction');
  });
});

function failWith(make: () => Error | undefined): void {
  instance.interceptors.response.use(undefined, () => {
    throw make() as Error;
  });
}

function circular(): object {
  const data: Record<string, unknown> = {};
  data['self'] = data;
  return data;
}
