import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import path from 'node:path';
import { Client } from 'pg';
import { freePort, startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { waitFor } from '../support/wait-for.js';
import type { Plan } from '../support/sdk/planned-service.js';
import type { PlannedProcessOptions } from '../support/sdk/main.js';

const DIST = path.resolve(import.meta.dirname, '../../dist');

export interface Answered {
  readonly status: number;
  readonly body: { readonly code?: string; readonly message?: string };
}

export interface Observed {
  readonly words: readonly string[];
  readonly hooks: readonly string[];
  readonly prepared: number;
}

/** One service process. */
export class ServiceProcess {
  child: ChildProcess | undefined;
  output = '';

  constructor(
    readonly options: PlannedProcessOptions,
    readonly databaseUrl: string,
  ) {}

  get url(): string {
    return `http://127.0.0.1:${this.options.port}`;
  }

  get host(): string {
    return `127.0.0.1:${this.options.port}`;
  }

  async start(): Promise<void> {
    const main = path.join(DIST, 'test/support/sdk/main.js');
    const child = spawn(process.execPath, ['--enable-source-maps', main, JSON.stringify(this.options)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child = child;
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    try {
      await waitFor(`${this.options.participant} is ready`, () => this.isReady(), {
        timeoutMs: 60_000,
        intervalMs: 50,
      });
    } catch (cause) {
      throw new Error(`the service did not start:\n${this.output}`, { cause });
    }
  }

  async kill(): Promise<void> {
    const { child } = this;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  async hasEnded(): Promise<void> {
    const { child } = this;
    if (child && child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }

  async post(route: string, plan: Plan, headers: Record<string, string> = {}): Promise<Answered> {
    const response = await fetch(`${this.url}/${route}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ plan }),
    });
    const text = await response.text();
    return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Answered['body'] };
  }

  async observe(): Promise<Observed> {
    return (await (await fetch(`${this.url}/words`)).json()) as Observed;
  }

  private async isReady(): Promise<boolean> {
    try {
      const health = (await (await fetch(`${this.url}/health`)).json()) as { ready: boolean };
      return health.ready;
    } catch {
      return false;
    }
  }
}

/** One PostgreSQL server, `concordat dev`, and services as processes of their own. */
export class SdkSystem {
  readonly services: ServiceProcess[] = [];
  readonly coordinatorUrl: string;
  private coordinator: ChildProcess | undefined;
  private coordinatorOutput = '';

  private constructor(
    private readonly postgres: TestPostgres,
    private readonly restPort: number,
  ) {
    this.coordinatorUrl = `http://127.0.0.1:${restPort}`;
  }

  /** @param restPort with 1,000 below and above it, below the ports that the system gives to outgoing connections */
  static async start(restPort: number): Promise<SdkSystem> {
    const system = new SdkSystem(await startTestPostgres(), restPort);
    try {
      await system.startCoordinator();
      return system;
    } catch (error) {
      await system.stop();
      throw error;
    }
  }

  /** Not started yet. */
  async service(participant: string, options: Partial<PlannedProcessOptions> = {}): Promise<ServiceProcess> {
    const database = participant.replaceAll('-', '_');
    await this.sql(this.postgres.url, `CREATE DATABASE ${database}`);
    const databaseUrl = this.postgres.url.replace(/\/postgres$/, `/${database}`);
    const base = {
      participant,
      databaseUrl,
      coordinators: [this.coordinatorUrl],
      propagateTo: [],
      port: await freePort(),
    };
    const service = new ServiceProcess({ ...base, ...options }, databaseUrl);
    this.services.push(service);
    return service;
  }

  /** The words of a service and what its database holds prepared, also when the service is dead. */
  async wordsOf({ databaseUrl }: ServiceProcess): Promise<{ words: string[]; prepared: number }> {
    const words = await this.sql(databaseUrl, 'SELECT word FROM word ORDER BY word');
    const prepared = await this.sql(
      databaseUrl,
      'SELECT gid FROM pg_prepared_xacts WHERE database = current_database()',
    );
    return { words: words.map(({ word }) => String(word)), prepared: prepared.length };
  }

  /** Sessions of a service in the middle of a transaction. */
  async openSessions({ databaseUrl }: ServiceProcess): Promise<number> {
    const [row] = await this.sql(
      databaseUrl,
      `SELECT count(*)::int AS open FROM pg_stat_activity
        WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()`,
    );
    return Number(row!['open']);
  }

  async clear(): Promise<void> {
    for (const { databaseUrl } of this.services) await this.sql(databaseUrl, 'TRUNCATE word');
  }

  /** The newest transaction. */
  async lastTransaction(): Promise<{
    id: string;
    deadline: string;
    outcome: string | null;
    reason: string | null;
    detail?: string;
    branches: { participant: string }[];
  }> {
    const response = await fetch(`${this.coordinatorUrl}/v1/transactions?limit=1`);
    const { items } = (await response.json()) as { items: Awaited<ReturnType<SdkSystem['lastTransaction']>>[] };
    return items[0]!;
  }

  async stop(): Promise<void> {
    await Promise.all(this.services.map((service) => service.kill()));
    if (this.coordinator && this.coordinator.exitCode === null) {
      this.coordinator.kill('SIGKILL');
      await once(this.coordinator, 'exit');
    }
    await this.postgres.stop();
  }

  private async startCoordinator(): Promise<void> {
    const words = [path.join(DIST, 'apps/cli/src/main.js'), 'dev', '--ephemeral', '--port', String(this.restPort)];
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.coordinator = child;
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (this.coordinatorOutput += chunk.toString()));
    const isReady = (): boolean => this.coordinatorOutput.includes('Concordat is ready');
    try {
      await waitFor('the coordinator is ready', isReady, { timeoutMs: 60_000 });
    } catch (cause) {
      throw new Error(`the coordinator did not start:\n${this.coordinatorOutput}`, { cause });
    }
  }

  private async sql(url: string, text: string): Promise<Record<string, unknown>[]> {
    const client = new Client({ connectionString: url });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(text)).rows;
    } finally {
      await client.end();
    }
  }
}

/** A place where services report and wait; the test acts, and then lets them go on. */
export class Checkpoint {
  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async open(act: () => Promise<void>): Promise<Checkpoint> {
    const server = createServer(
      (_request, response) =>
        void act().then(
          () => response.end(),
          () => response.destroy(),
        ),
    );
    const port = await freePort();
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return new Checkpoint(server, `http://127.0.0.1:${port}/`);
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}
