import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { errorMessage, EXIT, formatProblems } from '@concordat/foundation';
import { parseConfig, runCoordinator } from '../../coordinator/src/service/index.js';
import type { DevDatabasesOptions, DevOptions } from './dev-options.js';
import { DevDatabases, DevDatabasesError } from './dev-databases/index.js';
import { takenPort } from './dev-ports.js';

const HOST = '127.0.0.1';
/** A file system in memory, where there is one. */
const MEMORY = '/dev/shm';
const POLL_MS = 20;
/** A heartbeat each 50 ms is for machines that fail; alone, a node need not wait long to lead. */
const TICK_MS = '20';
/** Few enough for the usual limit of open files. */
const CONNECTIONS = '200';

/** Runs a coordinator alone, with direct streams, until a signal ends it; and PostgreSQL beside it, if wanted. */
export async function dev({ port, directory, logLevel, databases: wanted }: DevOptions): Promise<void> {
  const taken = await takenPort(HOST, [port, port + 1_000, port - 1_000]);
  if (taken !== undefined) return refuse(portTaken(taken, '--port', 'other ports'));
  const isKept = directory !== undefined;
  const data = isKept ? path.resolve(directory) : temporaryDirectory(wanted);
  let databases: DevDatabases | undefined;
  try {
    databases = wanted && DevDatabases.find({ ...wanted, directory: data, isKept, onLost: fail });
  } catch (error) {
    return refuse(errorMessage(error));
  }
  const [http, raft] = [`${HOST}:${port}`, `${HOST}:${port + 1_000}`];
  const result = parseConfig({
    CONCORDAT_NODE_ID: '1',
    CONCORDAT_PEERS: `1=${raft}/${http}`,
    CONCORDAT_DATA_DIR: path.join(data, 'coordinator'),
    CONCORDAT_LINK: 'direct',
    CONCORDAT_DIRECT: `${HOST}:${port - 1_000}`,
    CONCORDAT_MAX_CONNECTIONS: CONNECTIONS,
    CONCORDAT_LOG_LEVEL: logLevel,
    CONCORDAT_TICK_MS: TICK_MS,
  });
  if (!result.ok) {
    process.stderr.write(`${formatProblems(result.problems)}\n`);
    process.exitCode = EXIT.configuration;
    return;
  }
  function cleanUp(): void {
    databases?.stop();
    if (!isKept) rmSync(data, { recursive: true, force: true });
  }
  function fail(error: unknown): void {
    refuse(errorMessage(error));
    cleanUp();
    process.exit();
  }
  const url = `http://${http}`;
  const becomeReady = async (): Promise<void> => {
    // not before: the coordinator has made sure that no other process has the directory
    if (wanted) await databases?.start(() => checkDatabasesPort(wanted));
    while (!(await isReady(url))) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    sayReady(url, isKept ? data : 'deleted at the end', databases?.urls ?? []);
  };
  await runCoordinator(result.config, {
    onListening: () => void becomeReady().catch(fail),
    onExit: cleanUp,
    endsOnHangUp: true,
  });
}

function refuse(sentence: string): void {
  process.stderr.write(`concordat: ${sentence.replace(/\.?$/, '.')}\n`);
  process.exitCode = EXIT.failed;
}

function portTaken(port: number, option: string, others: string): string {
  const remedy = `end it (perhaps another "concordat dev"), or choose ${others} with ${option}`;
  return `port ${port} is taken by another process; ${remedy}`;
}

/** @throws DevDatabasesError */
async function checkDatabasesPort({ port }: DevDatabasesOptions): Promise<void> {
  const taken = await takenPort(HOST, [port]);
  if (taken !== undefined) throw new DevDatabasesError(portTaken(taken, '--databases-port', 'another port'));
}

/** In memory, but not with databases: they may grow, and root's PostgreSQL runs as another user. */
function temporaryDirectory(databases: DevDatabasesOptions | undefined): string {
  const folder = !databases && existsSync(MEMORY) ? MEMORY : tmpdir();
  const directory = mkdtempSync(path.join(folder, 'concordat-dev-'));
  if (databases) chmodSync(directory, 0o755);
  return directory;
}

function sayReady(url: string, data: string, [database, ...others]: readonly string[]): void {
  const databases =
    database && ['  databases       ', [database, ...others].join(`\n${' '.repeat(18)}`), '\n'].join('');
  process.stdout.write(`Concordat is ready after ${process.uptime().toFixed(1)} s: one coordinator, without Kafka.

  REST            ${url}/v1/transactions
  documentation   ${url}/docs
  metrics         ${url}/metrics
  data            ${data}
${databases ?? ''}
Connect a NestJS service:

  ConcordatModule.forRoot({
    participant: 'orders',
    coordinators: ['${url}'],
    postgres: { connectionString: '${database ?? 'postgres://…'}' },
  })

Ctrl-C ends it.
`);
}

async function isReady(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/readyz`);
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}
