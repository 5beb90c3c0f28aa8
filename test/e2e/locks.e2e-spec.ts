import { request } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { startLocalSystem, type LocalSystem, type SystemProcess } from '../support/local-system.js';
import { call, type Answer } from '../support/rest.js';
import { waitFor } from '../support/wait-for.js';

jest.setTimeout(120_000);

interface LockBody {
  readonly name: string;
  readonly owner: string;
  readonly fencingToken: number;
  readonly code?: string;
  readonly holder?: { readonly owner: string };
  readonly items?: readonly { readonly name: string; readonly owner: string; readonly waiters: number | null }[];
}

/** A node that is paused never answers. */
const PATIENCE_MS = 2_000;
const COORDINATORS = ['coordinator-1', 'coordinator-2', 'coordinator-3'] as const;

async function attempt(
  method: string,
  url: string,
  body: object | undefined,
  signal: AbortSignal,
): Promise<Answer<LockBody>> {
  const response = await fetch(url, {
    method,
    signal,
    ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: (text === '' ? {} : JSON.parse(text)) as LockBody,
  };
}

describe('locks of three real coordinators', () => {
  let local: LocalSystem;
  const paused = new Set<number>();
  let turns = 0;

  beforeAll(async () => {
    local = await startLocalSystem({ only: COORDINATORS, link: 'direct' });
  });
  afterAll(async () => local?.stop());
  afterEach(() => {
    for (const pid of paused) process.kill(pid, 'SIGCONT');
    paused.clear();
  });

  async function coordinators(): Promise<SystemProcess[]> {
    return (await local.systemFile()).processes.filter(({ role }) => role === 'coordinator');
  }

  function urlOf({ ports }: SystemProcess): string {
    return `http://127.0.0.1:${ports['http']}`;
  }

  /** The one that leads and knows it, as soon as there is one. */
  async function leader(except?: number): Promise<SystemProcess> {
    return waitFor('a coordinator leads', async () => {
      for (const node of await coordinators()) {
        if (node.pid === except) continue;
        const url = `${urlOf(node)}/v1/cluster`;
        const { body } = await call<{ leaderId?: number; nodeId?: number }>('GET', url).catch(() => ({
          body: {} as never,
        }));
        if (body.nodeId !== undefined && body.leaderId === body.nodeId) return node;
      }
      return undefined;
    });
  }

  /** Asks one node after the other until one has an answer, as a client does; not for long one that hangs. */
  async function ask(
    method: 'GET' | 'PUT' | 'POST' | 'DELETE',
    path: string,
    body?: Readonly<Record<string, unknown>>,
    except?: number,
  ): Promise<Answer<LockBody>> {
    return waitFor(
      `${method} ${path} is answered`,
      async () => {
        const nodes = (await coordinators()).filter(({ pid }) => pid !== except);
        const url = `${urlOf(nodes[turns++ % nodes.length]!)}${path}`;
        const patience = AbortSignal.timeout(Number(body?.['waitMs'] ?? 0) + PATIENCE_MS);
        const answer = await attempt(method, url, body, patience).catch(() => undefined);
        return answer && answer.status !== 503 ? answer : undefined;
      },
      { timeoutMs: 60_000, intervalMs: 20 },
    );
  }

  const acquire = (name: string, owner: string, ttlMs: number, waitMs = 0, except?: number) =>
    ask('PUT', `/v1/locks/${name}`, { owner, ttlMs, waitMs }, except);
  const release = (name: string, owner: string, fencingToken: number, except?: number) =>
    ask('DELETE', `/v1/locks/${name}?owner=${owner}&fencingToken=${fencingToken}`, undefined, except);
  async function listed(name: string) {
    return (await ask('GET', '/v1/locks?limit=500')).body.items?.find((lock) => lock.name === name);
  }

  function pause({ pid }: SystemProcess): void {
    process.kill(pid, 'SIGSTOP');
    paused.add(pid);
  }

  function resume({ pid }: SystemProcess): void {
    process.kill(pid, 'SIGCONT');
    paused.delete(pid);
  }

  async function kill(nodes: readonly SystemProcess[]): Promise<void> {
    for (const { pid } of nodes) process.kill(pid, 'SIGKILL');
    await local.restart(...nodes.map(({ name }) => name));
  }

  it('are granted, refused, waited for in order, and shown, at any of them', async () => {
    const first = await acquire('order', 'a', 60_000);
    expect(first).toMatchObject({ status: 200, body: { name: 'order', owner: 'a' } });
    expect(await acquire('order', 'b', 60_000)).toMatchObject({
      status: 409,
      body: { code: 'LOCK_HELD', holder: { owner: 'a' } },
    });
    const waiting: Promise<Answer<LockBody>>[] = [];
    for (const owner of ['b', 'c', 'd']) {
      waiting.push(acquire('order', owner, 60_000, 60_000));
      await waitFor(`${owner} waits`, async () => (await listed('order'))?.waiters === waiting.length);
    }
    let { owner, fencingToken } = first.body;
    for (const next of waiting) {
      expect((await release('order', owner, fencingToken)).status).toBe(204);
      const { body } = await next;
      expect(body.fencingToken).toBeGreaterThan(fencingToken);
      ({ owner, fencingToken } = body);
    }
    expect([owner, (await listed('order'))?.waiters]).toEqual(['d', 0]);
    await release('order', owner, fencingToken);
  });

  it('are not granted to a client that has hung up, also where a follower had forwarded it', async () => {
    const { body } = await acquire('gone', 'a', 60_000);
    for (const node of await coordinators()) {
      const hung = request(`${urlOf(node)}/v1/locks/gone`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
      });
      hung.on('error', () => undefined);
      hung.end(JSON.stringify({ owner: node.name, ttlMs: 60_000, waitMs: 60_000 }));
      await waitFor('it waits', async () => (await listed('gone'))?.waiters === 1);
      hung.destroy();
      await waitFor('it has left the queue', async () => (await listed('gone'))?.waiters === 0);
    }
    await release('gone', 'a', body.fencingToken);
    expect(await acquire('gone', 'b', 100)).toMatchObject({ status: 200 });
  });

  it('outlive the leader: the lease goes on, who waited asks again, and tokens only grow', async () => {
    const held = await acquire('failover', 'a', 60_000);
    const short = await acquire('dead-holder', 'a', 1_500);
    const waiting = acquire('failover', 'b', 60_000, 60_000);
    await waitFor('b waits', async () => (await listed('failover'))?.waiters === 1);
    await kill([await leader()]);
    const { fencingToken } = held.body;
    const renewed = await ask('POST', '/v1/locks/failover/renew', { owner: 'a', fencingToken, ttlMs: 60_000 });
    expect(renewed).toMatchObject({ status: 200, body: { fencingToken } });
    await waitFor('b waits again', async () => (await listed('failover'))?.waiters === 1);
    await release('failover', 'a', fencingToken);
    expect((await waiting).body.fencingToken).toBeGreaterThan(fencingToken);
    const next = await acquire('dead-holder', 'b', 100, 10_000); // nobody renews it, and nobody gives it back
    expect(next.body.fencingToken).toBeGreaterThan(short.body.fencingToken);
  });

  it('outlive all coordinators at once: the holder still has its lock under its token', async () => {
    const { body } = await acquire('outage', 'a', 60_000);
    await kill(await coordinators());
    expect(await acquire('outage', 'b', 60_000)).toMatchObject({ status: 409, body: { holder: { owner: 'a' } } });
    expect(await acquire('outage', 'a', 60_000)).toMatchObject({ body: { fencingToken: body.fencingToken } });
    await release('outage', 'a', body.fencingToken);
    expect((await acquire('outage', 'b', 100)).body.fencingToken).toBeGreaterThan(body.fencingToken);
  });

  it('are not given twice by a leader that was paused, and its clients are not left waiting', async () => {
    const { body } = await acquire('paused', 'a', 1_000);
    const old = await leader();
    const hanging = call<LockBody>('PUT', `${urlOf(old)}/v1/locks/paused`, {
      owner: 'c',
      ttlMs: 60_000,
      waitMs: 50_000,
    });
    await waitFor('c waits', async () => (await listed('paused'))?.waiters === 1);
    pause(old);
    await leader(old.pid);
    const next = await acquire('paused', 'b', 60_000, 20_000, old.pid);
    expect(next.body.fencingToken).toBeGreaterThan(body.fencingToken);
    resume(old);
    expect((await hanging).status).toBe(503);
    const late = { owner: 'a', fencingToken: body.fencingToken, ttlMs: 1_000 };
    expect((await ask('POST', '/v1/locks/paused/renew', late)).body.code).toBe('LOCK_NOT_HELD');
    await release('paused', 'b', next.body.fencingToken);
  });

  it('guard a resource from holders that sleep, while leaders are killed and paused', async () => {
    const resource = { highest: 0, accepted: [] as number[], refused: 0 };
    const write = (token: number): void => {
      if (token < resource.highest) resource.refused++;
      else resource.accepted.push((resource.highest = token));
    };
    const valid = new Map<string, number>();
    const overlaps: string[] = [];
    const workday = new AbortController();
    const work = async (owner: string, sleeps: boolean): Promise<void> => {
      for (let task = 0; !workday.signal.aborted; task++) {
        const sentAt = performance.now();
        const ttlMs = 400;
        const { status, body } = await acquire('guard', owner, ttlMs, 1_000);
        if (status !== 200) continue;
        const until = sentAt + ttlMs;
        if (performance.now() < until) {
          for (const [other, end] of valid)
            if (other !== owner && end > performance.now()) overlaps.push(`${owner} ${other}`);
          valid.set(owner, until);
        }
        write(body.fencingToken);
        if (sleeps && task % 3 === 2) {
          // it sleeps until somebody else has the lock, and then writes again
          await waitFor('another has it', () => workday.signal.aborted || resource.highest > body.fencingToken, {
            timeoutMs: 60_000,
          });
          write(body.fencingToken);
          continue;
        }
        valid.delete(owner);
        await release('guard', owner, body.fencingToken);
      }
    };
    const end = async (): Promise<void> => {
      workday.abort();
      await Promise.all(workers);
    };
    const workers = ['w1', 'w2', 'w3', 'w4'].map((owner, place) => work(owner, place < 2)); // the others keep it moving
    const progress = async (): Promise<void> => {
      const before = resource.accepted.length;
      await waitFor('the work goes on', () => resource.accepted.length > before + 5, { timeoutMs: 30_000 });
    };
    try {
      await progress();
      await kill([await leader()]);
      await progress();
      const old = await leader();
      pause(old);
      await leader(old.pid);
      await progress();
      resume(old);
      await progress();
    } finally {
      await end();
    }
    expect(overlaps).toEqual([]);
    expect(resource.accepted).toEqual([...resource.accepted].sort((a, b) => a - b));
    expect(resource.refused).toBeGreaterThan(0);
  });
});
