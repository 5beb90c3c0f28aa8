import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, describe, expect, it, jest } from '@jest/globals';
import { Client } from 'pg';
import { AppProcesses, freePort, type AppProcess } from '../../../test/support/app-processes.js';
import { waitFor } from '../../../test/support/wait-for.js';
import { DEVELOPMENT_PORTS } from '../../../test/support/development-ports.js';

jest.setTimeout(120_000);

const WAIT = { timeoutMs: 60_000 };
const PORT = DEVELOPMENT_PORTS.devDatabases;

const apps = new AppProcesses();
const folder = mkdtempSync(path.join(tmpdir(), 'concordat-dev-test-'));
chmodSync(folder, 0o755); // as any folder of a user: PostgreSQL does not run as root
const directory = path.join(folder, 'data');

async function start(databasesPort: number, ...words: string[]): Promise<AppProcess> {
  const databases = ['--databases', 'orders,inventory', '--databases-port', String(databasesPort)];
  const started = apps.run('cli', ['dev', '--port', String(PORT), ...databases, ...words]);
  const isReady = (): boolean => {
    if (started.child.exitCode !== null) throw new Error(`it has ended:\n${started.output()}`);
    return started.output().includes('Concordat is ready');
  };
  await waitFor('it is ready', isReady, WAIT);
  return started;
}

/** As the role of a database, or as the superuser in the database `postgres`. */
async function sql<Row extends object>(port: number, name: string, text: string): Promise<readonly Row[]> {
  const client = new Client({ connectionString: `postgres://${name}:${name}@127.0.0.1:${port}/${name}` });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

const isReachable = (port: number): Promise<boolean> =>
  sql(port, 'orders', 'SELECT 1').then(
    () => true,
    () => false,
  );

describe('concordat dev --databases', () => {
  afterEach(() => apps.endAll());
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('has a database and a role for each name, ready to prepare, and ends them with itself', async () => {
    const port = await freePort();
    const running = await start(port, '--directory', directory);
    expect(running.output()).toContain(`postgres://orders:orders@127.0.0.1:${port}/orders\n`);
    expect(running.output()).toContain(`postgres://inventory:inventory@127.0.0.1:${port}/inventory\n`);
    expect(await sql(port, 'inventory', 'SELECT current_user::text AS role')).toEqual([{ role: 'inventory' }]);
    expect(await sql(port, 'orders', 'SHOW max_prepared_transactions')).toEqual([{ max_prepared_transactions: '256' }]);
    await sql(port, 'orders', 'CREATE TABLE kept AS SELECT 7 AS number');
    expect(await apps.end(running)).toBe(0);
    expect(await isReachable(port)).toBe(false);
  });

  it('starts again with its data, also after kill -9, which ends PostgreSQL too', async () => {
    const port = await freePort();
    const killed = await start(port, '--directory', directory);
    await sql(port, 'orders', `BEGIN; CREATE TABLE late AS SELECT 8 AS number; PREPARE TRANSACTION 'in doubt'`);
    killed.child.kill('SIGKILL');
    await once(killed.child, 'exit');
    const running = await start(port, '--directory', directory); // at once: the former server is just ending
    expect(await sql(port, 'orders', 'SELECT number FROM kept')).toEqual([{ number: 7 }]);
    expect(await sql(port, 'orders', 'SELECT gid FROM pg_prepared_xacts WHERE database = current_database()')).toEqual([
      { gid: 'in doubt' },
    ]);
    running.child.kill('SIGKILL');
    await waitFor('PostgreSQL has ended with it', async () => !(await isReachable(port)), WAIT);
  });

  it('ends when PostgreSQL ends, and shows the end of its log', async () => {
    const port = await freePort();
    const running = await start(port, '--directory', directory);
    const ended = once(running.child, 'exit');
    const pid = `SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int AS pid`;
    const [server] = await sql<{ pid: number }>(port, 'postgres', pid);
    process.kill(server!.pid, 'SIGINT');
    expect(await ended).toEqual([1, null]);
    expect(running.output()).toContain('PostgreSQL has ended; the end of its log');
    expect(running.output()).toContain('database system is shut down');
  });

  it('refuses a port that is taken, and leaves nothing behind', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    const words = ['dev', '--ephemeral', '--port', String(PORT), '--databases', 'orders', '--databases-port'];
    const refused = apps.run('cli', [...words, String(port)]);
    expect(await once(refused.child, 'exit')).toEqual([1, null]);
    expect(refused.output()).toContain(`port ${port} is taken by another process`);
    expect(refused.output()).toContain('choose another port with --databases-port');
    other.close();
  });

  it('deletes ephemeral data', async () => {
    const port = await freePort();
    const running = await start(port, '--ephemeral');
    const [setting] = await sql<{ data_directory: string }>(port, 'postgres', 'SHOW data_directory');
    const data = setting!.data_directory;
    expect([data, existsSync(data)]).toEqual([expect.not.stringContaining(directory), true]);
    expect(await apps.end(running)).toBe(0);
    expect([existsSync(data), existsSync(path.dirname(data))]).toEqual([false, false]);
  });
});
