import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { AppProcesses, freePort } from '../../../../test/support/app-processes.js';
import { startTestPostgres, type TestPostgres } from '../../../../test/support/postgres.js';
import { waitFor } from '../../../../test/support/wait-for.js';
import { DEVELOPMENT_PORTS } from '../../../../test/support/development-ports.js';

jest.setTimeout(120_000);

const apps = new AppProcesses();
const restPort = DEVELOPMENT_PORTS.doctor;
const coordinator = `http://127.0.0.1:${restPort}`;
let server: TestPostgres;

beforeAll(async () => {
  server = await startTestPostgres(['max_prepared_transactions=0']);
  await apps.startCoordinator(restPort);
});

afterAll(async () => {
  await apps.endAll();
  await server?.stop();
});

async function doctor(...words: string[]): Promise<{ code: number; output: string }> {
  const command = apps.run('cli', ['doctor', ...words]);
  const [code] = (await once(command.child, 'exit')) as [number];
  return { code, output: command.output() };
}

describe('concordat doctor', () => {
  it('finds a coordinator that is ready', async () => {
    const { code, output } = await doctor('--coordinator', coordinator, '--cluster', 'local');
    expect(output).toContain(`${coordinator}\n  ok       reachable: ${coordinator} is node 1 of the cluster "local"`);
    expect(output).toMatch(/\n5 checks: 0 failures, 0 warnings\n$/);
    expect(code).toBe(0);
  });

  it('finds a server that cannot prepare, says what to do, and prints no password', async () => {
    const { code, output } = await doctor('--database', server.url, '--coordinator', coordinator);
    expect(output).toMatch(/\n {2}failure {2}prepared-transactions: .*: set it in postgresql\.conf/);
    expect(output).toMatch(/\n {2}warning {2}migrations: .*: run npx concordat migrate/);
    expect(output).not.toContain('postgres:postgres');
    expect(code).toBe(2);
  });

  describe('the password of a database', () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'concordat-doctor-'));
    afterAll(() => rmSync(directory, { recursive: true }));

    const withoutPassword = (): { url: string; password: string } => {
      const url = new URL(server.url);
      const { password } = url;
      url.password = '';
      return { url: url.href, password };
    };
    const fileWith = (text: string): string => {
      const file = path.join(directory, String(text.length));
      writeFileSync(file, `${text}\n`, { mode: 0o600 });
      return file;
    };

    it.each<[string, (password: string) => { words?: string[]; environment?: NodeJS.ProcessEnv }]>([
      ['PGPASSWORD', (password) => ({ environment: { PGPASSWORD: password } })],
      ['a file', (password) => ({ words: ['--database-password-file', fileWith(password)] })],
    ])('is taken from %s, and nothing is warned of', async (_what, way) => {
      const { url, password } = withoutPassword();
      for (const [given, expected] of [
        [password, / {2}ok {7}server-version: /],
        ['another one', / {2}failure {2}connection: .* refuses user and password/],
      ] as const) {
        const { words = [], environment = {} } = way(given);
        const command = apps.run('cli', ['doctor', '--database', url, ...words], environment);
        await once(command.child, 'close');
        expect(command.output()).toMatch(expected);
        expect(command.output()).not.toContain('process list');
      }
    });

    it.each(['doctor', 'migrate'])('on the command line of %s is warned of, and hidden from then on', async (name) => {
      // nobody answers there: the command waits until it is ended
      const silent = createServer().listen(0, '127.0.0.1');
      await once(silent, 'listening');
      const { port } = silent.address() as AddressInfo;
      const command = apps.run('cli', [name, '--database', `postgres://u:secret-canary@127.0.0.1:${port}/d`]);
      try {
        await once(silent, 'connection');
        expect(command.output()).toMatch(
          /the password in --database was in the process list.*--database-password-file/s,
        );
        expect(execFileSync('ps', ['-o', 'args=', '-p', String(command.child.pid)], { encoding: 'utf8' })).toBe(
          `concordat ${name}\n`,
        );
      } finally {
        await apps.end(command);
        silent.close();
      }
      expect(command.output()).not.toContain('secret-canary');
    });
  });

  it('finds all well around a service at work', async () => {
    const fine = await startTestPostgres();
    try {
      const port = await freePort();
      apps.run('bank', [], {
        CONCORDAT_PARTICIPANT: 'bank-a',
        CONCORDAT_HTTP: `127.0.0.1:${port}`,
        CONCORDAT_LINK: 'direct',
        CONCORDAT_COORDINATORS: coordinator,
        DATABASE_URL: fine.url,
      });
      const isReady = (): Promise<boolean> =>
        fetch(`http://127.0.0.1:${port}/readyz`).then(
          ({ ok }) => ok,
          () => false,
        );
      await waitFor('the bank is ready', isReady, { timeoutMs: 60_000 });
      const { code, output } = await doctor(
        '--database',
        fine.url,
        '--database',
        fine.url,
        '--coordinator',
        coordinator,
      );
      expect(output).toContain('ok       owner: it belongs to the participant "bank-a" of the cluster "local"');
      expect(output).toContain('ok       shared: processes of one participant share one database and one role');
      // but for the role, which is the superuser of the test's server
      const warnings = output.match(/^ {2}warning {2}.*$/gm) ?? [];
      expect(warnings).toHaveLength(2);
      for (const warning of warnings) expect(warning).toContain('least-privilege: the role "postgres" is a superuser');
      expect(output).toMatch(/\n\d+ checks: 0 failures, 2 warnings\n$/);
      expect(code).toBe(1);
    } finally {
      await fine.stop();
    }
  });

  it('answers programs with one object', async () => {
    const { code, output } = await doctor('--json', '--coordinator', 'http://127.0.0.1:21382');
    const answer = JSON.parse(output) as { status: string; checks: { name: string; status: string; fix: string }[] };
    expect(answer).toMatchObject({ status: 'failure', checks: [{ name: 'reachable', fix: expect.any(String) }] });
    expect(code).toBe(2);
  });

  it('looks at the topics of a broker that is not there', async () => {
    const { code, output } = await doctor('--kafka', '127.0.0.1:21383', '--participant', 'orders');
    expect(output).toMatch(/failure {2}broker: the brokers cannot be asked: /);
    expect(code).toBe(2);
  });

  it('refuses a wrong command line with a sentence', async () => {
    const { code, output } = await doctor('--database', 'postgres//orders:secret@db/orders');
    expect([code, output]).toEqual([
      64,
      'concordat: --database must be a URL such as postgres://user@host:5432/database.\n',
    ]);
  });
});
