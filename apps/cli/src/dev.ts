import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { createServer } from 'node:net';
import path from 'node:path';
import { EXIT, formatProblems, guarded } from '@concordat/foundation';
import { parseConfig, runCoordinator } from '../../coordinator/src/service/index.js';
import type { DevOptions } from './arguments.js';

const HOST = '127.0.0.1';
/** A file system in memory, where there is one. */
const MEMORY = '/dev/shm';
const POLL_MS = 20;
/** A heartbeat each 50 ms is for machines that fail; alone, a node need not wait long to lead. */
const TICK_MS = '20';
/** Few enough for the usual limit of open files. */
const CONNECTIONS = '200';

/** Runs a coordinator alone, with direct streams, until a signal ends it. */
export async function dev({ port, directory, logLevel }: DevOptions): Promise<void> {
  const taken = await takenPort([port, port + 1_000, port - 1_000]);
  if (taken !== undefined) {
    const remedy = 'end it (perhaps another "concordat dev"), or choose other ports with --port';
    process.stderr.write(`concordat: port ${taken} is taken by another process; ${remedy}.\n`);
    process.exitCode = EXIT.failed;
    return;
  }
  const data = directory === undefined ? temporaryDirectory() : path.resolve(directory);
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
  const url = `http://${http}`;
  await runCoordinator(result.config, {
    onListening: () => void sayWhenReady(url, directory === undefined ? 'deleted at the end' : data),
    onExit: () => {
      if (directory === undefined) rmSync(data, { recursive: true, force: true });
    },
  });
}

/** The first of these ports that nobody can listen on. */
async function takenPort(ports: readonly number[]): Promise<number | undefined> {
  for (const port of ports) {
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve, reject) => {
      const settle = (free: boolean) => guarded(() => resolve(free), reject);
      const [guardedFree, guardedTaken] = [settle(true), settle(false)];
      server.once('error', guardedTaken);
      server.listen(port, HOST, guardedFree);
    });
    if (!isFree) return port;
    await new Promise((resolve) => server.close(resolve));
  }
  return undefined;
}

function temporaryDirectory(): string {
  return mkdtempSync(path.join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'concordat-dev-'));
}

async function sayWhenReady(url: string, data: string): Promise<void> {
  while (!(await isReady(url))) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  process.stdout.write(`Concordat is ready after ${process.uptime().toFixed(1)} s: one coordinator, without Kafka.

  REST            ${url}/v1/transactions
  documentation   ${url}/docs
  metrics         ${url}/metrics
  data            ${data}

Connect a NestJS service:

  ConcordatParticipantModule.forRoot({
    participant: 'orders',
    postgres: { connectionString: 'postgres://…' },
    bus: directBus({ coordinators: ['${url}'] }),
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
