import { request as requestByHttp } from 'node:http';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import axios from 'axios';
import { Client, request as requestByUndici } from 'undici';
import type { FakeService, GlobalSystem } from '../testing/global-system.js';
import type { HttpCallee } from '../testing/http-callee.js';
import { startTwoServices } from '../testing/two-services.js';
import { joinAxios } from './axios.js';
import { joinFetch } from './fetch.js';
import { watchUnjoinedClients } from './unjoined-clients.js';

let system: GlobalSystem;
let orders: FakeService;
let callee: HttpCallee;
let leave: () => void;

beforeEach(async () => {
  ({ system, orders, callee } = await startTwoServices());
  leave = watchUnjoinedClients(orders.transactions);
});

afterEach(async () => {
  leave();
  await callee.stop();
});

type Headers = Readonly<Record<string, string>>;

async function byHttp(headers: Headers = {}): Promise<unknown> {
  const outgoing = requestByHttp(callee.url, { method: 'POST', headers });
  outgoing.end('{}');
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
  incoming.resume();
  return once(incoming, 'end');
}

async function byUndici(headers: Headers = {}): Promise<unknown> {
  const { body } = await requestByUndici(callee.url, { method: 'POST', headers });
  return body.text();
}

async function byUndiciClient(headers: Headers = {}): Promise<unknown> {
  const client = new Client(callee.url.slice(0, -1));
  const { body } = await client.request({ path: '/', method: 'GET', headers });
  await body.text();
  return client.close();
}

const byFetch = async (headers: Headers = {}): Promise<unknown> => (await fetch(callee.url, { headers })).text();
const byAxios = (headers: Headers = {}): Promise<unknown> => axios.create().post(callee.url, {}, { headers });

const CLIENTS: readonly [string, (headers?: Headers) => Promise<unknown>][] = [
  ['node:http', byHttp],
  ["undici's request", byUndici],
  ['a client of undici', byUndiciClient],
  ['a fetch that is not wrapped', byFetch],
  ['an axios instance of its own', byAxios],
];

it('says nothing of the calls to the coordinators', async () => {
  leave();
  orders.transactions.settings.propagateTo.audienceOf = () => undefined;
  Object.assign(orders.transactions.settings, { coordinatorHosts: new Set([callee.host]) });
  leave = watchUnjoinedClients(orders.transactions);
  const told = jest.spyOn(system.logger, 'info');
  await orders.transactions.run({}, () => byHttp());
  expect(told).not.toHaveBeenCalled();
});

describe.each(CLIENTS)('a request by %s, which has not joined,', (_name, send) => {
  it('dooms the transaction, also when the caller hides the error', async () => {
    const doomed = orders.transactions.run({}, async () => {
      await orders.transactions.client.query('add order');
      await send().catch(() => undefined);
    });
    await expect(doomed).rejects.toMatchObject({ doom: { code: 'NOT_JOINED', by: callee.host } });
    await expect(doomed).rejects.toThrow(/by a client that has not joined.*joinAxios/);
    expect(orders.words).toEqual([]);
  });

  it('is none of its business outside of one, also of one that is suspended', async () => {
    await send();
    await orders.transactions.run({}, () => orders.transactions.suspend(() => send()));
    expect([...system.begun.values()].map(({ answer }) => answer?.outcome)).toContain('committed');
  });

  it('leaves out a host that is not on the list, and says so once', async () => {
    orders.transactions.settings.propagateTo.audienceOf = () => undefined;
    const told = jest.spyOn(system.logger, 'info');
    await send();
    const id = await orders.transactions.run({}, async (transaction) => {
      await send();
      return transaction.id;
    });
    await orders.transactions.run({}, () => send());
    expect(told.mock.calls).toEqual([
      [expect.stringContaining(`a call to ${callee.host} does not take transaction ${id} along`)],
    ]);
  });

  it('is right when it carries the context and reports the answer', async () => {
    await orders.transactions.run({}, async () => {
      const call = orders.transactions.outgoing(callee.host)!;
      await send(call.headers);
      call.answered({ kind: 'success', valueOf: (name) => (name === 'concordat-branch' ? 'none' : undefined) });
    });
  });

  it('is not looked at any more when the participant has stopped', async () => {
    leave();
    await orders.transactions.run({}, () => send());
  });
});

it('requests of clients that join are right', async () => {
  const instance = axios.create();
  const undo = [joinAxios(instance, orders.transactions), joinFetch(orders.transactions)];
  await orders.transactions.run({}, async () => {
    await instance.post(callee.url, {});
    await instance.post(callee.url, {}, { adapter: 'fetch' });
    await fetch(callee.url);
  });
  for (const one of undo) one();
  expect(callee.requests).toHaveLength(3);
});

it('a request long after its method, by a timer that was started in it, is left alone', async () => {
  let late: () => Promise<unknown> = () => Promise.resolve();
  await orders.transactions.run({}, async () => {
    const scope = orders.transactions.currentScope()!;
    const doom = jest.spyOn(scope.transaction, 'doom');
    late = () => orders.transactions.runIn(scope, () => byHttp()).then(() => expect(doom).not.toHaveBeenCalled());
  });
  await late();
  expect(callee.requests).toHaveLength(1);
});
