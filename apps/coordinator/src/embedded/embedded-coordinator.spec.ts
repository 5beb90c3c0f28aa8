import { afterEach, describe, expect, it } from '@jest/globals';
import { CoordinatorDownError, EmbeddedCoordinator, EmbeddedConfigurationError } from './index.js';

const started: EmbeddedCoordinator[] = [];

async function start(...options: Parameters<typeof EmbeddedCoordinator.start>): Promise<EmbeddedCoordinator> {
  const coordinator = await EmbeddedCoordinator.start(...options);
  started.push(coordinator);
  return coordinator;
}

afterEach(async () => {
  await Promise.all(started.splice(0).map((coordinator) => coordinator.stop()));
});

async function begin(url: string): Promise<string> {
  const answer = await fetch(`${url}/v1/transactions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ timeoutMs: 60_000 }),
  });
  expect(answer.status).toBe(201);
  return ((await answer.json()) as { id: string }).id;
}

async function statusOf(url: string, id: string): Promise<unknown> {
  const answer = await fetch(`${url}/v1/transactions/${id}`);
  return ((await answer.json()) as { status?: unknown }).status;
}

describe('a coordinator inside a process', () => {
  it('answers like the service, and is ready when it has started', async () => {
    const { url, clusterName } = await start();
    expect(clusterName).toBe('local');
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    const cluster = (await (await fetch(`${url}/v1/cluster`)).json()) as Record<string, unknown>;
    expect(cluster).toMatchObject({ leaderId: 1, members: [{ nodeId: 1, httpUrl: url }] });
    expect(cluster['directAddress']).toMatch(/^127\.0\.0\.1:\d+$/);
    expect((await fetch(`${url}/openapi.json`)).status).toBe(200);
  });

  it('keeps its log and its URL over a crash, in which connections break', async () => {
    const coordinator = await start();
    const { url, term } = coordinator;
    const id = await begin(url);
    coordinator.crash();
    coordinator.crash(); // a second death of the same life
    await expect(fetch(`${url}/readyz`)).rejects.toThrow('fetch failed');
    expect(() => coordinator.manager).toThrow(CoordinatorDownError);
    await coordinator.recover();
    expect(coordinator.url).toBe(url);
    expect(coordinator.term).toBeGreaterThan(term);
    expect(await statusOf(url, id)).toBe('active');
  });

  it('leads in a later term after a fail-over, and keeps its connections', async () => {
    const coordinator = await start();
    const { url, term } = coordinator;
    const id = await begin(url);
    const events = await fetch(`${url}/v1/transactions/${id}/events`);
    const { manager } = coordinator;
    await coordinator.failOver();
    expect(coordinator.manager).toBe(manager);
    expect(coordinator.term).toBeGreaterThan(term);
    await fetch(`${url}/v1/transactions/${id}/abort`, { method: 'POST' });
    expect(await events.text()).toContain('"status":"aborted"'); // the same stream has seen the end
  });

  it('may run several times in one process, each with its own transactions', async () => {
    const [first, second] = await Promise.all([start(), start({ cluster: 'second' })]);
    const id = await begin(first.url);
    expect(await statusOf(first.url, id)).toBe('active');
    expect((await fetch(`${second.url}/v1/transactions/${id}`)).status).toBe(404);
  });

  it('refuses wrong variables, naming them', async () => {
    const environment = { CONCORDAT_IN_DOUBT_AFTER_MS: 'soon' };
    await expect(start({ environment })).rejects.toThrow(EmbeddedConfigurationError);
    await expect(start({ environment })).rejects.toThrow('CONCORDAT_IN_DOUBT_AFTER_MS');
  });

  it('leaves nothing behind', async () => {
    const resources = (): string[] => process.getActiveResourcesInfo().filter((name) => /TCP|Timeout/.test(name));
    const before = resources();
    const coordinator = await start();
    await begin(coordinator.url);
    coordinator.crash();
    await coordinator.recover();
    await coordinator.stop();
    await coordinator.stop();
    await expect(coordinator.recover()).rejects.toThrow('start a new one');
    const left = (): string[] => {
      const rest = [...before];
      return resources().filter((name) => {
        const at = rest.indexOf(name);
        if (at >= 0) rest.splice(at, 1);
        return at < 0;
      });
    };
    while (left().length > 0) await new Promise((resolve) => setImmediate(resolve)); // handles close a turn later
  });
});
