import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { hasTestFailed, troubleInLogs } from './failure-logs.js';

/** `system.json`, as the contract describes it, with what the lab adds. */
export interface SystemFile {
  readonly clusterName: string;
  readonly startedAt: string;
  readonly kafkaBrokers: string;
  readonly processes: readonly SystemProcess[];
}

export interface SystemProcess {
  readonly name: string;
  readonly role: 'coordinator' | 'participant' | 'postgres' | 'kafka';
  readonly pid: number;
  readonly ports: Readonly<Record<string, number>>;
  readonly logFile?: string;
  readonly dataDir?: string;
  readonly databaseUrl?: string;
}

export interface LocalSystem {
  readonly kafkaBrokers: readonly string[];
  readonly directory: string;
  /** Reads `system.json` as it is now. */
  systemFile(): Promise<SystemFile>;
  /** Starts processes of the system that have died, as `npm run lab -- restart <name …>` does, and says what it says. */
  restart(...names: readonly string[]): Promise<string>;
  /**
   * Runs a failure scenario in it, as `npm run lab -- <name>` does, and returns the checks that it has made.
   *
   * @throws Error with what it said last, when a check did not hold
   */
  scenario(name: string): Promise<string[]>;
  /**
   * Ends all of its processes and removes its directory. May be called twice. When a test of the file has failed, it
   * shows first what the logs say of trouble.
   */
  stop(): Promise<void>;
}

export interface LocalSystemOptions {
  /** names of its parts, such as `kafka` or `postgres-a`; default: everything */
  readonly only?: readonly string[];
  /** the roads between coordinators and banks; default Kafka */
  readonly link?: 'kafka' | 'direct' | 'both';
  /** whether it has TLS, signatures and credentials everywhere; default false */
  readonly isSecure?: boolean;
  /** replaces the environment of the processes */
  readonly environment?: NodeJS.ProcessEnv;
  /** added to every port of the contract; default: one whose ports are free */
  readonly portOffset?: number;
}

const LAB = resolve(import.meta.dirname, '../../dist/apps/lab/src/main.js');
/** Every port of the contract; all of them must be free at an offset. */
const PORTS = [
  7081, 7082, 7083, 8081, 8082, 8083, 9081, 9082, 9083, 9092, 9093, 5433, 5434, 5435, 8091, 8092, 8093, 8094, 8095,
  8096,
];
/** All ports stay below 32,768, where the system begins to give ports to outgoing connections. */
const OFFSETS = { first: 10_000, last: 23_000, step: 100 };
/**
 * Several systems run beside each other on two cores. A leader that gets none of them for a third of a second is not
 * dead: elections wait twice as long as by default, so that they come when a test kills a leader.
 */
const PATIENT_ELECTIONS = { CONCORDAT_ELECTION_TICKS: '14' } as const;
const START_TIMEOUT_MS = 180_000;
const STOP_TIMEOUT_MS = 60_000;
const SCENARIO_TIMEOUT_MS = 240_000;

/**
 * Starts a local system of real processes by the lab's own command, in a temporary directory and on free
 * ports, for tests. It needs the build in `dist`, which `npm test` makes first. Whoever starts one stops it in
 * `afterAll`; a start that fails leaves nothing running.
 */
export async function startLocalSystem(options: LocalSystemOptions = {}): Promise<LocalSystem> {
  const environment = { ...PATIENT_ELECTIONS, ...(options.environment ?? process.env) };
  const directory = await mkdtemp(join(tmpdir(), 'concordat-test-'));
  const stop = async (): Promise<void> => {
    if (hasTestFailed() && existsSync(join(directory, 'logs'))) console.error(troubleInLogs(directory));
    await runLab(['stop', '--directory', directory], STOP_TIMEOUT_MS, environment);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const offset = String(options.portOffset ?? (await freePortOffset()));
    const only = options.only ? ['--only', options.only.join(',')] : [];
    const link = ['--link', options.link ?? 'kafka', ...(options.isSecure ? ['--secure'] : [])];
    const arguments_ = ['start', '--detach', '--directory', directory, '--port-offset', offset, ...link, ...only];
    await runLab(arguments_, START_TIMEOUT_MS, environment);
    const systemFile = async (): Promise<SystemFile> =>
      JSON.parse(await readFile(join(directory, 'system.json'), 'utf8')) as SystemFile;
    const { kafkaBrokers } = await systemFile();
    const lab = (words: readonly string[], timeoutMs: number): Promise<string> =>
      runLab(['lab', ...words, '--directory', directory, '--port-offset', offset], timeoutMs, environment);
    return {
      kafkaBrokers: kafkaBrokers.split(','),
      directory,
      systemFile,
      restart: (...names) => lab(['restart', ...names], START_TIMEOUT_MS),
      scenario: async (name) => {
        const output = await lab([name], SCENARIO_TIMEOUT_MS);
        return [...output.matchAll(/ holds {3}([^:]+): /g)].map(([, check]) => check!);
      },
      stop,
    };
  } catch (error) {
    await stop().catch(() => undefined);
    throw error;
  }
}

/** Runs the lab's command line to its end, and returns what it printed. @throws Error with that when it fails */
async function runLab(
  arguments_: readonly string[],
  timeoutMs: number,
  environment: NodeJS.ProcessEnv,
): Promise<string> {
  const child = spawn(process.execPath, ['--enable-source-maps', LAB, ...arguments_], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    env: environment,
  });
  const output = collectOutput(child);
  const code = await new Promise<number | string>((done, fail) => {
    child.once('error', fail);
    child.once('exit', (exitCode, signal) => done(exitCode ?? signal ?? 'unknown'));
  });
  child.stdout.destroy(); // a process left running by --detach may still hold the other end
  child.stderr.destroy();
  if (code !== 0) throw new Error(`the lab's "${arguments_.join(' ')}" ended with ${code}:\n${output()}`);
  return output();
}

function collectOutput({ stdout, stderr }: ChildProcess): () => string {
  let text = '';
  const append = (chunk: Buffer): void => void (text = (text + chunk.toString()).slice(-8_192));
  stdout?.on('data', append);
  stderr?.on('data', append);
  return () => text;
}

/** Looks for an offset at which none of the system's ports is in use. Several tests may look at once. */
async function freePortOffset(): Promise<number> {
  const slots = (OFFSETS.last - OFFSETS.first) / OFFSETS.step;
  const start = process.pid % slots;
  for (let tried = 0; tried < slots; tried++) {
    const offset = OFFSETS.first + ((start + tried) % slots) * OFFSETS.step;
    const taken = await Promise.all(PORTS.map((port) => isTaken(port + offset)));
    if (!taken.includes(true)) return offset;
  }
  throw new Error('no port offset is free for a local system');
}

/** Tries to listen, because a port may also be taken by an outgoing connection, which nobody could connect to. */
function isTaken(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', () => done(true));
    server.listen(port, '127.0.0.1', () => server.close(() => done(false)));
  });
}
