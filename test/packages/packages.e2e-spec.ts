import { cpSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { EXIT } from '@concordat/foundation';
import { Client } from 'pg';
import { freePort, startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { waitFor } from '../support/wait-for.js';
import {
  InstalledApplication,
  optionalPeers,
  pack,
  portForDevelopment,
  publicModules,
  type ModuleFormat,
  type NestVersion,
  type RunningCommand,
} from './application.js';

jest.setTimeout(600_000);

/** The file that the guide of tracing has loaded first, with spans that are printed as it says. */
const GUIDE = readFileSync(path.resolve(import.meta.dirname, '../../docs/guides/tracing.md'), 'utf8');
const [, TRACING = ''] = /^```js tracing\.mjs\n([\s\S]*?)^```$/m.exec(GUIDE) ?? [];
const PRINTED_SPANS = { OTEL_TRACES_EXPORTER: 'console' };

const WAIT = { timeoutMs: 120_000, intervalMs: 50 };

let server: TestPostgres;

beforeAll(async () => {
  pack();
  server = await startTestPostgres();
});

afterAll(async () => {
  await server?.stop();
});

async function sql<Row extends object>(url: string, text: string): Promise<readonly Row[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

/** A database with ten pieces in stock. */
async function createDatabase(name: string): Promise<string> {
  await sql(server.url, `CREATE DATABASE "${name}"`);
  const url = server.url.replace(/[^/]+$/, name);
  await sql(url, 'CREATE TABLE stock AS SELECT 10 AS quantity');
  return url;
}

const stockIn = (url: string): Promise<number | undefined> =>
  sql<{ quantity: number }>(url, 'SELECT quantity FROM stock').then(([row]) => row?.quantity);

describe.each<NestVersion>([
  { nest: '11', typescript: '~5.9.3' },
  { nest: '12', typescript: '~6.0.3' },
])('a new application with Nest $nest', (version) => {
  let application: InstalledApplication;
  let coordinator: RunningCommand;
  let url: string;
  const commands: RunningCommand[] = [];

  beforeAll(async () => {
    application = InstalledApplication.install(version);
    application.save('tracing.mjs', TRACING);
    const port = await portForDevelopment();
    url = `http://127.0.0.1:${port}`;
    const words = ['--no-install', 'concordat', 'dev', '--ephemeral', '--port', String(port)];
    coordinator = application.start('npx', words);
    commands.push(coordinator);
  });

  afterAll(async () => {
    await Promise.all(commands.map((command) => command.stop()));
    application?.remove();
  });

  function execute(changes: Readonly<Record<string, number>>): Promise<Response> {
    const branches = Object.entries(changes).map(([participant, by]) => ({
      participant,
      operation: 'change',
      payload: { by },
    }));
    return post(`${url}/v1/transactions/execute?wait=ended`, { branches });
  }

  function post(address: string, body: unknown): Promise<Response> {
    const headers = { 'content-type': 'application/json' };
    return fetch(address, { method: 'POST', headers, body: JSON.stringify(body) });
  }

  it('is installed without a complaint', () => {
    expect(application.run('npm', ['ls'])).toMatchObject({ status: 0 });
  });

  it('has the commands', () => {
    const unconfigured = application.run('npx', ['--no-install', 'concordat', 'server']);
    expect(unconfigured).toMatchObject({
      status: EXIT.configuration,
      output: expect.stringContaining('CONCORDAT_NODE_ID'),
    });
    expect(application.run('npx', ['--no-install', 'concordat-wal', '--help']).output).toContain(
      'concordat-wal inspect',
    );
  });

  it.each([
    ['require', 'commonjs'],
    ['await import', 'module'],
  ])('loads every public module by %s, or says which optional peer is missing', (load, format) => {
    const text = `for (const name of ${JSON.stringify(publicModules())}) {
      try { ${load}(name); } catch (error) {
        if (!${JSON.stringify(optionalPeers())}.some((peer) => error.message.includes("'" + peer + "'"))) throw error;
      }
    }`;
    expect(application.run(process.execPath, [`--input-type=${format}`, '-e', text])).toMatchObject({ status: 0 });
  });

  it.each<[string, ModuleFormat]>([
    ['an ES module', 'module'],
    ['CommonJS', 'commonjs'],
  ])('runs a global transaction as %s', async (_, format) => {
    const program = application.build(format);
    const [orders, inventory] = [`orders-${format}`, `inventory-${format}`];
    const databases = await Promise.all([orders, inventory].map((name) => createDatabase(`${name}-${version.nest}`)));
    const ports = [await freePort(), await freePort()];
    const tcpPorts = [await freePort(), await freePort()];
    const words = [orders, inventory].map((name, index) =>
      [name, ports[index], tcpPorts[index], databases[index]].join('='),
    );
    await waitFor('the coordinator is ready', () => coordinator.hasPrinted('Concordat is ready'), WAIT);
    const traced = ['--import', './tracing.mjs', program, url, version.nest, ...words];
    const services = application.start(process.execPath, traced, PRINTED_SPANS);
    commands.push(services);
    await waitFor('the services have started', () => services.hasPrinted('started'), WAIT);

    const known = (): Promise<boolean> => execute({ [orders]: 0, [inventory]: 0 }).then(({ ok }) => ok);
    await waitFor('the participants are known', async () => services.isRunning() && (await known()), WAIT);
    const committed = await execute({ [orders]: 3, [inventory]: -3 });
    expect(committed).toMatchObject({ status: 200 });
    expect(await Promise.all(databases.map(stockIn))).toEqual([13, 7]);

    const refused = await execute({ [orders]: 8, [inventory]: -8 });
    expect([refused.status, await refused.json()]).toMatchObject([409, { participantCode: 'SOLD_OUT' }]);
    expect(await Promise.all(databases.map(stockIn))).toEqual([13, 7]);

    // the same by @GlobalTransaction() in one service and @JoinGlobalTransaction() in the other
    const [here, there] = ports.map((port) => `http://127.0.0.1:${port}`);
    let [mine, others] = [13, 7];
    for (const via of ['fetch', 'axios', 'tcp']) {
      expect(await post(`${here}/move`, { from: there, by: 2, via })).toMatchObject({ status: 201 });
      expect([via, ...(await Promise.all(databases.map(stockIn)))]).toEqual([via, (mine += 2), (others -= 2)]);
      expect(await post(`${here}/move`, { from: there, by: 6, via })).toMatchObject({ status: 409 });
    }
    expect(await post(`${here}/change`, { by: 1 })).toMatchObject({ status: 500 }); // MANDATORY, and no transaction
    expect(await Promise.all(databases.map(stockIn))).toEqual([mine, others]);
    expect(failuresIn(databases[0]!)).toEqual([]);
    for (const span of ['transaction', 'join', 'change']) {
      await waitFor(`the span of ${span}`, () => services.hasPrinted(`name: 'concordat ${span}'`), WAIT);
    }
    await services.stop();
  });

  /** What the installed doctor has against a database at work, and the coordinator. */
  function failuresIn(database: string): unknown[] {
    const place = new URL(database);
    const variables = { PGPASSWORD: place.password }; // others could read it among the words
    place.password = '';
    const words = ['--no-install', 'concordat', 'doctor', '--json', '--database', place.href, '--coordinator', url];
    const { stdout } = application.run('npx', words, variables); // npm itself may say something on stderr
    const { checks } = JSON.parse(stdout) as { checks: { name: string; status: string }[] };
    expect(checks.length).toBeGreaterThan(15);
    return checks.filter(({ status }) => status === 'failure');
  }

  it('is told when it loads two copies of a package', () => {
    const installed = path.join(application.folder, 'node_modules/@concordat/nestjs');
    cpSync(installed, path.join(application.folder, 'other/node_modules/@concordat/nestjs'), { recursive: true });
    const text = `require('@concordat/nestjs'); require('./other/node_modules/@concordat/nestjs/dist/index.js');`;
    const { status, output } = application.run(process.execPath, ['-e', text]);
    expect(status).toBe(1);
    expect(output).toContain('Two copies of @concordat/nestjs are loaded in this process');
  });
});
