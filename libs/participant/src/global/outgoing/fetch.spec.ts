import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { FakeService, GlobalSystem } from '../testing/global-system.js';
import type { HttpCallee } from '../testing/http-callee.js';
import { startTwoServices } from '../testing/two-services.js';
import { joinFetch } from './fetch.js';

/** A call that nobody settles holds its method for so long, and for two seconds more. */
const TIMEOUT_MS = 60_000;

let system: GlobalSystem;
let inventory: FakeService;
let orders: FakeService;
let callee: HttpCallee;
let leave: () => void;

beforeEach(async () => {
  ({ system, orders, inventory, callee } = await startTwoServices());
  leave = joinFetch(orders.transactions);
});

afterEach(async () => {
  leave();
  await callee.stop();
});

const run = <T>(work: () => Promise<T>): Promise<T> => orders.transactions.run({ timeoutMs: TIMEOUT_MS }, work);
const outcomes = (): unknown[] => [...system.begun.values()].map(({ answer }) => answer?.outcome);

it('a call by fetch is over with its headers: nobody need read the body', async () => {
  await run(async () => {
    expect((await fetch(callee.url)).ok).toBe(true);
  });
  expect([inventory.words, outcomes()]).toEqual([['inventory'], ['committed']]);
});

it('a call by fetch waits until the coordinators know a transaction that begins late', async () => {
  system.beginsLate = true;
  system.ensure = () => Promise.reject(new Error('no leader'));
  await expect(run(() => fetch(callee.url))).rejects.toThrow('no leader');
  Reflect.deleteProperty(system, 'ensure');
  await run(() => fetch(callee.url));
  expect([inventory.words, system.earlyBegins, callee.requests.length]).toEqual([['inventory'], 1, 1]);
});

it.each<[string, RequestInit]>([
  ['a header that is none', { headers: { 'no header': 'x' } }],
  ['a value that is none', { headers: { x: 'one\ntwo' } }],
])('a call by fetch with %s was never sent, and the transaction goes on', async (_what, init) => {
  await run(async () => {
    await orders.transactions.client.query('add order');
    await expect(fetch(callee.url, init)).rejects.toThrow();
  });
  expect([orders.words, outcomes(), callee.requests]).toEqual([['order'], ['committed'], []]);
});

it.each<[string, (signal: AbortSignal) => [string | Request, RequestInit?]]>([
  ['its options', (signal) => [callee.url, { signal }]],
  ['its request', (signal) => [new Request(callee.url, { signal })]],
])('a call by fetch that is aborted by the signal of %s ends at once', async (_what, call) => {
  callee.instead = () => true;
  const controller = new AbortController();
  const doomed = run(async () => {
    const answer = fetch(...call(controller.signal)).catch(() => undefined);
    while (callee.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    controller.abort();
    await answer;
  });
  await expect(doomed).rejects.toMatchObject({ doom: { code: 'NOT_JOINED', by: callee.host } });
});

it('a redirect is an answer, and no proof', async () => {
  callee.instead = (_request, response) => {
    response.writeHead(307, { location: '/elsewhere' }).end();
    return true;
  };
  for (const redirect of ['follow', 'manual', 'error'] as const) {
    const doomed = run(async () => void (await fetch(callee.url, { redirect }).catch(() => undefined)));
    await expect(doomed).rejects.toMatchObject({ doom: { code: 'NOT_JOINED' } });
  }
  expect(callee.requests).toHaveLength(3);
});

it('a client that reports its call itself, and sends it by fetch, makes one call', async () => {
  await run(async () => {
    const call = orders.transactions.outgoing(callee.host)!;
    const { transaction } = orders.transactions.currentScope()!;
    const answer = await fetch(callee.url, { headers: call.headers });
    expect(transaction.joinedElsewhereCount).toBe(0);
    call.answered({ kind: 'success', valueOf: (name) => answer.headers.get(name) ?? undefined });
    expect(transaction.joinedElsewhereCount).toBe(1);
  });
  expect([inventory.words, outcomes()]).toEqual([['inventory'], ['committed']]);
});
