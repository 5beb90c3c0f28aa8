import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { startLocalSystem, type LocalSystem } from '../../../test/support/local-system.js';
import { waitFor } from '../../../test/support/wait-for.js';

jest.setTimeout(120_000);

const DIST = path.resolve(import.meta.dirname, '../../../dist/apps');

interface Running {
  readonly child: ChildProcess;
  /** what it has printed so far, on both outputs */
  output(): string;
}

const running: Running[] = [];

function run(app: 'cli' | 'bank', words: readonly string[], environment: NodeJS.ProcessEnv = {}): Running {
  const main = path.join(DIST, app, 'src/main.js');
  const child = spawn(process.execPath, ['--enable-source-maps', main, ...words], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const started = { child, output: () => text };
  running.push(started);
  return started;
}

async function end({ child }: Running): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode;
  child.kill('SIGINT');
  const [code] = (await once(child, 'exit')) as [number | null];
  return code;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

describe('concordat dev', () => {
  let databases: LocalSystem;
  const restPort = 21_081;
  const url = `http://127.0.0.1:${restPort}`;

  beforeAll(async () => {
    databases = await startLocalSystem({ only: ['postgres-a', 'postgres-b'] });
  });

  afterAll(async () => {
    await Promise.all(running.map(end));
    await databases?.stop();
  });

  async function startBank(letter: 'a' | 'b'): Promise<number> {
    const { processes } = await databases.systemFile();
    const port = await freePort();
    run('bank', [], {
      CONCORDAT_PARTICIPANT: `bank-${letter}`,
      CONCORDAT_HTTP: `127.0.0.1:${port}`,
      CONCORDAT_LINK: 'direct',
      CONCORDAT_COORDINATORS: url,
      DATABASE_URL: processes.find(({ name }) => name === `postgres-${letter}`)!.databaseUrl!,
    });
    const ready = (): Promise<boolean> =>
      fetch(`http://127.0.0.1:${port}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      );
    await waitFor(`bank-${letter} is ready`, ready, { timeoutMs: 60_000 });
    return port;
  }

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
    const words = ['dev', '--ephemeral', '--port', String(restPort)];
    const coordinator = run('cli', words);
    await waitFor('it is ready', () => coordinator.output().includes('Concordat is ready'), { timeoutMs: 60_000 });
    expect(coordinator.output()).toContain(`bus: directBus({ coordinators: ['${url}'] })`);
    const ports = [await startBank('a'), await startBank('b')];
    const committed = (): Promise<boolean> => transfer().then(({ status }) => status === 200);
    await waitFor('the participants are known', committed, { timeoutMs: 30_000 });
    const [debited, credited] = await Promise.all(
      ['acc-1', 'acc-2'].map(async (account, index) => {
        const answer = await fetch(`http://127.0.0.1:${ports[index]}/accounts/${account}`);
        return ((await answer.json()) as { balance: number }).balance;
      }),
    );
    expect([debited, credited]).toEqual([970, 1_030]);

    const second = run('cli', words);
    expect(await once(second.child, 'exit')).toEqual([1, null]);
    expect(second.output()).toContain('taken by another process');

    expect(await end(coordinator)).toBe(0);
  });
});
