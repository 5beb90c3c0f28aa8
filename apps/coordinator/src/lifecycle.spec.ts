import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { silentLogger } from '@concordat/foundation';
import { committed } from './http/testing/fake-engine.js';
import { createTestNode, type TestNode } from './http/testing/test-node.js';
import { Lifecycle } from './lifecycle.js';
import type { Settlement } from './transactions/transactions.api.js';

let node: TestNode;
let exits: number[];
let exited: Promise<number>;
let lifecycle: Lifecycle;
beforeEach(async () => {
  node = await createTestNode();
  exits = [];
  exited = new Promise((resolve) => {
    const exit = (code: number): void => {
      exits.push(code);
      resolve(code);
    };
    lifecycle = new Lifecycle(silentLogger, { exit });
  });
  lifecycle.started(node.app);
});
afterEach(() => node.app.close());

/** A request that is under way until a test settles it. */
async function startRequest(url: string): Promise<{ answer: Promise<Response>; finish: () => void }> {
  let finish = (): void => undefined;
  const reached = new Promise<void>((resolve) => {
    node.transactions.commit = () => {
      resolve();
      return new Promise<Settlement>((settle) => {
        finish = () => settle({ settled: true, transaction: committed });
      });
    };
  });
  const answer = fetch(`${url}/v1/transactions/${committed.id}/commit`, { method: 'POST' });
  await reached;
  return { answer, finish: () => finish() };
}

describe('stopping', () => {
  it('refuses what is new, finishes what runs, and exits with 0', async () => {
    const url = await node.listen();
    const { answer, finish } = await startRequest(url);
    lifecycle.stop('SIGTERM');

    const refused = await fetch(`${url}/v1/cluster`);
    expect([refused.status, refused.headers.get('connection')]).toEqual([503, 'close']);
    expect(await refused.json()).toMatchObject({ code: 'SHUTTING_DOWN' });
    const ready = await fetch(`${url}/readyz`);
    expect(await ready.json()).toMatchObject({ status: 'not-ready', reasons: ['the node is stopping'] });
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect(exits).toEqual([]);

    finish();
    expect((await answer).status).toBe(200);
    expect(await exited).toBe(0);
    await expect(fetch(`${url}/healthz`)).rejects.toThrow();
  });

  it('does not wait for event streams', async () => {
    const url = await node.listen();
    const stream = await fetch(`${url}/v1/events`);
    lifecycle.stop('SIGINT');
    expect(await exited).toBe(0);
    expect(await stream.text()).toContain('retry:');
  });

  it('exits at once when told a second time', async () => {
    const { answer, finish } = await startRequest(await node.listen());
    lifecycle.stop('SIGTERM');
    lifecycle.stop('SIGTERM');
    expect(exits).toEqual([0]);
    finish();
    await answer;
    await exited;
  });

  it('ends although a module hangs', async () => {
    jest.useFakeTimers();
    try {
      const get = node.app.get.bind(node.app);
      lifecycle.started({ get, close: () => new Promise(() => undefined) });
      lifecycle.stop('SIGTERM');
      await jest.advanceTimersByTimeAsync(8_999);
      expect(exits).toEqual([]);
      await jest.advanceTimersByTimeAsync(1);
      expect(exits).toEqual([0]);
    } finally {
      jest.useRealTimers();
    }
  });

  it('cuts off what does not finish', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask', 'performance'] });
    try {
      const { answer } = await startRequest(await node.listen());
      const cutOff = expect(answer).rejects.toThrow();
      lifecycle.stop('SIGTERM');
      await jest.advanceTimersByTimeAsync(4_000);
      expect(await exited).toBe(0);
      await cutOff;
    } finally {
      jest.useRealTimers();
    }
  });
});
