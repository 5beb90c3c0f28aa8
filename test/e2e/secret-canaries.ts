import { statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import type { LocalSecurity } from '../../apps/lab/src/local-system/security/index.js';
import { AppProcesses, freePort, type AppProcess } from '../support/app-processes.js';
import { DIED_OF_AN_ERROR, dieOfAnError, mortal } from '../support/dying-process.js';
import type { LocalSystem, SystemFile } from '../support/local-system.js';
import { credit, debit } from '../support/rest.js';
import { waitFor } from '../support/wait-for.js';
import { processList, type SecretsInFiles } from './secrets-in-files.js';

export interface SystemWithSecrets {
  readonly link: 'direct' | 'kafka' | 'both';
  readonly system: LocalSystem;
  readonly state: SystemFile;
  readonly security: LocalSecurity;
  readonly secrets: SecretsInFiles;
  /** trusts the authority of the system */
  readonly ask: typeof globalThis.fetch;
}

const CANARY = 'canary-7f3a9c51e2';
const IDEMPOTENCY_KEY = `idempotency-key-${CANARY}`;
const FURTHER = `environment-${CANARY}`;
/** These hold secrets, so only their owner may read them. */
const KEEPERS = ['kafka/server.properties', 'system.json'] as const;

/** What every process of a secured system says, at work and in death: no secret is in it. */
export function describeCanaries(given: () => SystemWithSecrets): void {
  const apps = new AppProcesses();
  afterAll(() => apps.endAll());

  const urlOf = (name: string): string => {
    const { ports, role } = given().state.processes.find((one) => one.name === name)!;
    return `${role === 'coordinator' ? 'https' : 'http'}://127.0.0.1:${ports['http']}`;
  };
  const roleUrl = (): URL => new URL(given().state.processes.find(({ name }) => name === 'bank-a')!.databaseUrl!);

  /** The answers, with their headers, to whoever asks rightly or wrongly. */
  async function answersTo(requests: readonly (readonly [string, RequestInit])[]): Promise<string[]> {
    return await Promise.all(
      requests.map(async ([url, init]) => {
        const answer = await given().ask(url, init);
        return `${answer.status} ${JSON.stringify([...answer.headers])} ${await answer.text()}`;
      }),
    );
  }

  /** A second process of bank-a, whose secrets come in the other ways: a password in a file, one in the environment. */
  async function startBank(): Promise<AppProcess> {
    const { security, link, state, system } = given();
    const url = roleUrl();
    const passwordFile = path.join(security.directory, 'password-of-bank-a');
    writeFileSync(passwordFile, `${decodeURIComponent(url.password)}\n`, { mode: 0o600 });
    url.password = '';
    const port = await freePort();
    const bank = apps.run('bank', [], {
      ...security.serviceVariables('bank-a', link),
      ...(link !== 'direct' && {
        KAFKA_SASL_PASSWORD_FILE: '',
        KAFKA_SASL_PASSWORD: security.servers.password('bank-a'),
      }),
      ...mortal(FURTHER),
      CONCORDAT_PARTICIPANT: 'bank-a',
      CONCORDAT_CLUSTER: state.clusterName,
      CONCORDAT_HTTP: `127.0.0.1:${port}`,
      CONCORDAT_LINK: link,
      CONCORDAT_LOG_LEVEL: 'debug',
      CONCORDAT_COORDINATORS: [1, 2, 3].map((id) => urlOf(`coordinator-${id}`)).join(','),
      KAFKA_BROKERS: link === 'direct' ? '' : system.kafkaBrokers.join(','),
      DATABASE_URL: url.href,
      DATABASE_PASSWORD_FILE: passwordFile,
    });
    const isReady = async (): Promise<boolean> =>
      bank.child.exitCode !== null ||
      (await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined))?.ok === true;
    await waitFor('the bank is ready', isReady, { timeoutMs: 60_000 });
    expect([bank.child.exitCode, bank.output()]).toEqual([null, expect.any(String)]);
    return bank;
  }

  /** Runs a command to its end. @returns what it said, and the process list meanwhile */
  async function run(
    words: readonly string[],
    environment: NodeJS.ProcessEnv,
  ): Promise<{ said: string; seen: string }> {
    const command = apps.run('cli', words, {
      ...environment,
      NODE_EXTRA_CA_CERTS: given().security.certificates.caFile,
    });
    let seen = '';
    await waitFor('the command has ended', () => {
      seen += processList();
      return command.child.exitCode !== null;
    });
    expect(seen).toContain(words.join(' '));
    return { said: command.output(), seen };
  }

  it('shows its secrets in no log, answer, metric, list of processes, file of data, or crash', async () => {
    const { security, system, secrets, state } = given();
    secrets.collect(security.directory); // beside those that were replaced meanwhile
    const client = security.credentials.token('client');
    const jwt = await security.credentials.jwt({ subject: 'carla', roles: ['client'] });
    const ended = await security.credentials.jwt({ subject: 'carla', roles: ['client'], seconds: -60 });
    for (const token of [jwt, ended]) {
      secrets.add(token, 'a JWT');
      secrets.add(token.split('.')[2]!, 'the signature of a JWT');
    }
    secrets.add(FURTHER, 'the environment');
    const kinds = [
      'authority.key',
      'certificates',
      'context-key',
      'jwt-signing-key.json',
      'kafka',
      'postgres',
      'signing',
    ];
    expect(secrets.kinds).toEqual(expect.arrayContaining([...kinds, 'token-client', 'a JWT']));

    const bank = await startBank();
    const transfer = (token: string, amount: number): RequestInit => ({
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        'idempotency-key': IDEMPOTENCY_KEY,
      },
      body: JSON.stringify({ branches: [debit('acc-1', amount), credit('acc-2', amount)] }),
    });
    const [first, second] = [urlOf('coordinator-1'), urlOf('coordinator-2')];
    const bearer = (token: string): RequestInit => ({ headers: { authorization: `Bearer ${token}` } });
    const [worked] = await answersTo([[`${first}/v1/transactions/execute`, transfer(jwt, 1)]]);
    expect(worked).toContain('"outcome":"committed"');
    const metrics = state.processes.flatMap(({ name, role }): [string, RequestInit][] =>
      role === 'coordinator' || role === 'participant'
        ? [[`${urlOf(name)}/metrics`, role === 'coordinator' ? bearer(security.credentials.token('metrics')) : {}]]
        : [],
    );
    const answers = await answersTo([
      ...metrics,
      ...[first, second].flatMap((url): [string, RequestInit][] => [
        [`${url}/v1/transactions/execute`, transfer(jwt, 2)], // the key belongs to another request
        [`${url}/v1/transactions/execute`, transfer(ended, 1)],
        [`${url}/v1/transactions/execute`, transfer(jwt.slice(0, -4), 1)],
        [`${url}/v1/transactions/execute`, { ...transfer(client, 1), body: `{"branches": "${IDEMPOTENCY_KEY}` }],
        [`${url}/v1/transactions`, bearer(`${client}x`)],
        [`${url}/v1/cluster/members`, { method: 'POST', ...bearer(client) }],
        [`${url}/v1/in-doubt`, bearer(security.credentials.token('operator'))],
        [`${url}/readyz`, {}],
      ]),
    ]);
    expect(answers.filter((text) => text.includes('concordat_'))).toHaveLength(metrics.length);
    expect(answers.filter((text) => /^4\d\d /.test(text)).length).toBeGreaterThanOrEqual(12);
    const ofCommands = await commandsSaid();
    expect(await dieOfAnError(bank)).toBe(DIED_OF_AN_ERROR);
    expect(bank.output()).toMatch(/an uncaught error ends the process\n.*nobody catches this/);

    const shown = [bank.output(), ...answers, ...ofCommands, processList()].join('\n');
    expect(secrets.in(shown)).toEqual([]);
    // its sender alone is told which key that was
    const ofOthers = answers.filter((text) => !text.includes('IDEMPOTENCY_KEY_REUSED'));
    expect(ofOthers).toHaveLength(answers.length - 2);
    expect([bank.output(), ...ofOthers, ...ofCommands, processList()].join('\n')).not.toContain(IDEMPOTENCY_KEY);
    const keepers = KEEPERS.filter((name) => given().link !== 'direct' || !name.startsWith('kafka'));
    expect(secrets.filesBelow(system.directory, ['security'])).toEqual(keepers);
    for (const name of keepers)
      expect([name, statSync(path.join(system.directory, name)).mode & 0o077]).toEqual([name, 0]);
    secrets.add(IDEMPOTENCY_KEY, 'an idempotency key'); // the data have it, the logs have not
    expect(secrets.filesBelow(path.join(system.directory, 'logs'))).toEqual([]);
  });

  async function commandsSaid(): Promise<string[]> {
    const { security, link, state } = given();
    const url = roleUrl();
    const password = decodeURIComponent(url.password);
    url.password = '';
    const environment = {
      ...security.serviceVariables('bank-a', link),
      CONCORDAT_TOKEN: security.credentials.token('observer'),
    };
    const words = ['--database', url.href];
    const doctor = await run(
      ['doctor', ...words, '--cluster', state.clusterName, '--coordinator', urlOf('coordinator-1')],
      {
        ...environment,
        PGPASSWORD: password,
      },
    );
    expect(doctor.said).toMatch(/\n\d+ checks: 0 failures, \d+ warnings?\n$/);
    const passwordFile = path.join(security.directory, 'password-of-bank-a');
    const migrate = await run(['migrate', ...words, '--database-password-file', passwordFile], environment);
    expect(migrate.said).toMatch(/schema version \d+ already/);
    return [doctor, migrate].flatMap(({ said, seen }) => [said, seen]);
  }
}
