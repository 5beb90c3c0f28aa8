import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { guarded, type ServerAccount } from '@concordat/foundation';
import { isInUse, SUPERUSER } from './data-directory.js';
import { DevDatabasesError } from './errors.js';
import type { Client, PostgresPrograms } from './postgres-programs.js';

export interface ServerOptions {
  readonly programs: PostgresPrograms;
  readonly account: ServerAccount | undefined;
  /** prepared for it */
  readonly dataDir: string;
  readonly logFile: string;
  readonly port: number;
  readonly settings: Readonly<Record<string, string | number>>;
  /** called when the server was ready, and ends although nobody has stopped it */
  readonly onLost: (error: DevDatabasesError) => void;
}

const HOST = '127.0.0.1';
const READY_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 10_000;
const POLL_MS = 20;
const LOG_LINES_SHOWN = 5;
/** Waits until this process has ended, however it ends, and ends the server then. */
const WATCH = 'cat > /dev/null; kill -INT "$1"';

/**
 * A PostgreSQL server as a child of this process. It never outlives it: a small process beside it holds the end of a
 * pipe, and ends the server when this process is gone, also after `kill -9`.
 *
 * `start()` → running → `stop()`, or it is lost.
 */
export class PostgresServer {
  private server: ChildProcess | undefined;
  private watch: ChildProcess | undefined;
  private isReady = false;
  private isStopping = false;

  constructor(private readonly options: ServerOptions) {}

  /** Resolves when the server can be used. @throws DevDatabasesError */
  async start(): Promise<void> {
    const { programs, account, dataDir, logFile, port, settings } = this.options;
    const all = { listen_addresses: HOST, unix_socket_directories: '', port, ...settings };
    const words = ['-D', dataDir, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
    const log = openSync(logFile, 'w', 0o600); // it has statements that failed
    // a group of its own: Ctrl-C is for this process, which ends the server in its order
    const apart = { cwd: '/', detached: true, ...account };
    const server = spawn(programs.postgres, words, { ...apart, stdio: ['ignore', log, log] });
    closeSync(log);
    this.server = server;
    const guardedEnd = guarded(
      () => this.ended(),
      () => undefined,
    );
    server.once('error', guardedEnd);
    server.once('exit', guardedEnd);
    if (server.pid !== undefined) {
      const watch = ['-c', WATCH, 'concordat-dev', String(server.pid)];
      this.watch = spawn('/bin/sh', watch, { ...apart, stdio: ['pipe', 'ignore', 'ignore'] });
      this.watch.once('error', () => undefined); // then it is missing only after a kill -9
    }
    await this.ready();
  }

  /** Runs statements as the superuser. */
  async withSuperuser<T>(work: (client: Client) => Promise<T>): Promise<T> {
    const { programs, port } = this.options;
    const client = new programs.Client({
      connectionString: `postgres://${SUPERUSER}:${SUPERUSER}@${HOST}:${port}/postgres`,
    });
    client.on('error', () => undefined); // the end of the server also ends an idle connection
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }

  /** Ends the server, and returns when it has ended. It blocks, so that it can be the last thing that a process does. */
  stop(): void {
    this.isStopping = true;
    if (!this.isRunning()) return;
    this.server?.kill('SIGINT'); // PostgreSQL's fast shutdown
    const pause = new Int32Array(new SharedArrayBuffer(4));
    for (let waitedMs = 0; isInUse(this.options.dataDir) && waitedMs < STOP_LIMIT_MS; waitedMs += POLL_MS) {
      Atomics.wait(pause, 0, 0, POLL_MS);
    }
    this.watch?.kill('SIGKILL');
  }

  private async ready(): Promise<void> {
    let last: unknown;
    for (let waitedMs = 0; waitedMs < READY_LIMIT_MS; waitedMs += POLL_MS) {
      if (!this.isRunning()) throw this.failure('did not start');
      try {
        await this.withSuperuser(() => Promise.resolve());
        this.isReady = true;
        return;
      } catch (error) {
        last = error;
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    throw this.failure(`was not ready after ${READY_LIMIT_MS / 1_000} s`, last);
  }

  private isRunning(): boolean {
    const { server } = this;
    return server?.pid !== undefined && server.exitCode === null && server.signalCode === null;
  }

  private ended(): void {
    // the number of a process that has ended may be given to another one
    this.watch?.kill('SIGKILL');
    if (this.isReady && !this.isStopping) this.options.onLost(this.failure('has ended'));
  }

  private failure(what: string, cause?: unknown): DevDatabasesError {
    const { logFile } = this.options;
    const lines = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-LOG_LINES_SHOWN);
    const sentence = `PostgreSQL ${what}; the end of its log ${path.relative(process.cwd(), logFile)} is:`;
    return new DevDatabasesError([sentence, ...lines].join('\n  '), { cause });
  }
}
