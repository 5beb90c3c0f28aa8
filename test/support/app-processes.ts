import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import type { LocalSystem } from './local-system.js';
import { waitFor } from './wait-for.js';

const DIST = path.resolve(import.meta.dirname, '../../dist/apps');

/** A running application of this repository. */
export interface AppProcess {
  readonly child: ChildProcess;
  /** what it has printed so far, on both outputs */
  output(): string;
}

/** Runs applications as built, each as a process, and ends them. */
export class AppProcesses {
  private readonly running: AppProcess[] = [];

  run(app: 'cli' | 'bank', words: readonly string[], environment: NodeJS.ProcessEnv = {}): AppProcess {
    const main = path.join(DIST, app, 'src/main.js');
    const child = spawn(process.execPath, ['--enable-source-maps', main, ...words], {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const started = { child, output: () => text };
    this.running.push(started);
    return started;
  }

  /** `concordat dev` on this port, by default keeping nothing. */
  async startCoordinator(
    port: number,
    environment: NodeJS.ProcessEnv = {},
    options: readonly string[] = ['--ephemeral'],
  ): Promise<AppProcess> {
    const coordinator = this.run('cli', ['dev', '--port', String(port), ...options], environment);
    await waitFor('it is ready', () => coordinator.output().includes('Concordat is ready'), { timeoutMs: 60_000 });
    return coordinator;
  }

  /** A bank with direct streams. @returns the port of its HTTP interface */
  async startBank(
    letter: 'a' | 'b',
    coordinatorUrl: string,
    databases: LocalSystem,
    environment: NodeJS.ProcessEnv = {},
  ): Promise<number> {
    const { processes } = await databases.systemFile();
    const port = await freePort();
    this.run('bank', [], {
      CONCORDAT_PARTICIPANT: `bank-${letter}`,
      CONCORDAT_HTTP: `127.0.0.1:${port}`,
      CONCORDAT_LINK: 'direct',
      CONCORDAT_COORDINATORS: coordinatorUrl,
      DATABASE_URL: processes.find(({ name }) => name === `postgres-${letter}`)!.databaseUrl!,
      ...environment,
    });
    const ready = (): Promise<boolean> =>
      fetch(`http://127.0.0.1:${port}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      );
    await waitFor(`bank-${letter} is ready`, ready, { timeoutMs: 60_000 });
    return port;
  }

  /** What all of them have printed so far, line by line. */
  lines(): string[] {
    return this.running.flatMap((item) =>
      item
        .output()
        .split('\n')
        .filter((line) => line !== ''),
    );
  }

  /** @returns its exit code */
  async end({ child }: AppProcess): Promise<number | null> {
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    child.kill('SIGINT');
    const [code] = (await once(child, 'exit')) as [number | null];
    return code;
  }

  async endAll(): Promise<void> {
    await Promise.all(this.running.map((item) => this.end(item)));
  }
}

/** A port on which nobody listens now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}
