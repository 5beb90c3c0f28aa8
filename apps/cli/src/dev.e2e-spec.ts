import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { AppProcesses } from '../../../test/support/app-processes.js';
import { loadedPackages } from '../../../test/support/loaded-packages.js';
import { startLocalSystem, type LocalSystem } from '../../../test/support/local-system.js';
import { waitFor } from '../../../test/support/wait-for.js';
import { DEVELOPMENT_PORTS } from '../../../test/support/development-ports.js';

jest.setTimeout(120_000);

const apps = new AppProcesses();

/** Packages that other settings need and direct streams do not: a process that loads them starts later. */
const NOT_NEEDED = {
  coordinator: ['kafkajs', 'jose', '@nestjs/swagger', 'pg', 'typeorm'],
  bank: ['kafkajs', 'jose', '@grpc/grpc-js'],
} as const;

describe('concordat dev', () => {
  let databases: LocalSystem;
  const restPort = DEVELOPMENT_PORTS.dev;
  const url = `http://127.0.0.1:${restPort}`;
  const data = mkdtempSync(path.join(tmpdir(), 'concordat-dev-'));
  const loaded = mkdtempSync(path.join(tmpdir(), 'concordat-loaded-'));
  const loadedBy = (name: string) => ({ NODE_V8_COVERAGE: path.join(loaded, name) });

  beforeAll(async () => {
    databases = await startLocalSystem({ only: ['postgres-a', 'postgres-b'] });
  });

  afterAll(async () => {
    await apps.endAll();
    await databases?.stop();
    for (const folder of [loaded, data]) rmSync(folder, { recursive: true });
  });

  const transfer = (): Promise<Response> =>
    fetch(`${url}/v1/transactions/execute?wait=ended`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        branches: [
          { participant: 'bank-a', operation: 'debit', payload: { account: 'acc-1', amount: 30 } },
          { participant: 'bank-b', operation: 'credit', payload: { account: 'acc-2', amount: 30 } },
        ],
      }),
    });

  it('is all that services need: no broker, and nothing but its URL', async () => {
    const coordinator = await apps.startCoordinator(restPort, loadedBy('coordinator'));
    expect(coordinator.output()).toContain(`coordinators: ['${url}'],`);
    const ports = [
      await apps.startBank('a', url, databases, loadedBy('bank')),
      await apps.startBank('b', url, databases),
    ];
    const committed = (): Promise<boolean> => transfer().then(({ status }) => status === 200);
    await waitFor('the participants are known', committed, { timeoutMs: 30_000 });
    const [debited, credited] = await Promise.all(
      ['acc-1', 'acc-2'].map(async (account, index) => {
        const answer = await fetch(`http://127.0.0.1:${ports[index]}/accounts/${account}`);
        return ((await answer.json()) as { balance: number }).balance;
      }),
    );
    expect([debited, credited]).toEqual([970, 1_030]);

    const second = apps.run('cli', ['dev', '--ephemeral', '--port', String(restPort)]);
    expect(await once(second.child, 'exit')).toEqual([1, null]);
    expect(second.output()).toContain('taken by another process');

    expect(await apps.end(coordinator)).toBe(0);
    await apps.endAll();
    for (const [name, unneeded] of Object.entries(NOT_NEEDED)) {
      const packages = loadedPackages(path.join(loaded, name));
      expect([...packages]).toContain('fastify');
      expect([name, unneeded.filter((one) => packages.has(one))]).toEqual([name, []]);
    }
  });

  it('says nothing of a transfer that succeeds, and knows it after a restart', async () => {
    const options = ['--directory', path.join(data, 'coordinator'), '--log-level', 'info'];
    const coordinator = await apps.startCoordinator(restPort, {}, options);
    for (const letter of ['a', 'b'] as const) await apps.startBank(letter, url, databases);
    const committed = (): Promise<boolean> => transfer().then(({ status }) => status === 200);
    await waitFor('the participants are known', committed, { timeoutMs: 30_000 });
    const before = apps.lines();
    const views: unknown[] = [];
    for (let count = 0; count < 10; count++) views.push(await transfer().then((answer) => answer.json()));
    expect(apps.lines()).toEqual(before);
    const [{ id }] = views as [{ id: string }];

    expect(await apps.end(coordinator)).toBe(0);
    await apps.startCoordinator(restPort, {}, options);
    const again = await fetch(`${url}/v1/transactions/${id}`);
    expect([again.status, await again.json()]).toEqual([200, views[0]]);
    await apps.endAll();
  });
});
