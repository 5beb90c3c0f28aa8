import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';

/** One process of the local system, as `system.json` holds it. */
export interface SystemProcess {
  readonly name: string;
  readonly role: string;
  readonly pid: number;
  readonly ports: Readonly<Record<string, number>>;
  readonly databaseUrl?: string;
  readonly logFile?: string;
  /** a piece of its command line, by which it is told from another process with its id */
  readonly marker?: string;
}

/** What the participants of one system share. */
export interface ParticipantSurroundings {
  readonly directory: string;
  readonly portOffset: number;
  readonly clusterName: string;
  readonly kafkaBrokers: string;
  /** variables of all processes of the system */
  readonly environment: NodeJS.ProcessEnv;
  /** the roads to the coordinators */
  readonly link: string;
  /** REST addresses of the coordinators, separated by commas */
  readonly coordinators: string;
  /** the PostgreSQL servers, which take turns in getting a further database */
  readonly servers: readonly SystemProcess[];
}

/** bank-a to bank-p: one server is shared by six participants at most. */
export const MAXIMUM_PARTICIPANTS = 16;
/** Of each PostgreSQL server when more participants run than the local system has by itself. */
export const LIMITS_FOR_MORE = 'max_connections=400,max_prepared_transactions=1000';

const BANK = path.resolve(import.meta.dirname, '../../apps/bank/src/main.js');
const FIRST_HTTP_PORT = 8_110;
const READY_POLL_MS = 50;
const READY_TIMEOUT_MS = 60_000;
/** Processes that start at a time: more of them only wait for each other on a small machine. */
export const STARTS_AT_A_TIME = 4;

/** bank-a for 0, bank-b for 1, and so on. */
export function participantName(place: number): string {
  return `bank-${String.fromCharCode('a'.charCodeAt(0) + place)}`;
}

/**
 * Runs the participants from `from` (inclusive) to `to` (exclusive), each in a process and with a database of its own
 * like the three of the local system, so that every branch costs what a branch of a real participant costs.
 *
 * @param started told of each process as soon as it exists, so that it can be ended whatever happens next
 * @throws Error with the log file of one that does not get ready
 */
export async function startParticipants(
  from: number,
  to: number,
  surroundings: ParticipantSurroundings,
  started: (process: SystemProcess) => void,
): Promise<void> {
  if (surroundings.servers.length === 0) {
    throw new Error('more than three participants need the PostgreSQL servers of the local system itself');
  }
  for (let place = from; place < to; place += STARTS_AT_A_TIME) {
    const places = Array.from({ length: Math.min(STARTS_AT_A_TIME, to - place) }, (_, next) => place + next);
    await Promise.all(places.map((one) => startParticipant(one, surroundings, started)));
  }
}

async function startParticipant(
  place: number,
  surroundings: ParticipantSurroundings,
  started: (process: SystemProcess) => void,
): Promise<void> {
  const name = participantName(place);
  const server = surroundings.servers[place % surroundings.servers.length]!;
  const databaseUrl = await createDatabase(server.ports['postgres']!, name.replace('-', '_'));
  const http = FIRST_HTTP_PORT + place + surroundings.portOffset;
  const environment = {
    CONCORDAT_LINK: surroundings.link,
    CONCORDAT_COORDINATORS: surroundings.coordinators,
    KAFKA_BROKERS: surroundings.link === 'direct' ? '' : surroundings.kafkaBrokers,
    CONCORDAT_CLUSTER: surroundings.clusterName,
    CONCORDAT_PARTICIPANT: name,
    CONCORDAT_HTTP: `127.0.0.1:${http}`,
    DATABASE_URL: databaseUrl,
  };
  await startProcess(
    { name, role: 'participant', program: BANK, environment, http, databaseUrl },
    surroundings,
    started,
  );
}

/** A process beside those of the local system. */
export interface ProcessSpecification {
  readonly name: string;
  readonly role: string;
  readonly program: string;
  readonly environment: NodeJS.ProcessEnv;
  /** where `/readyz` says that it is ready */
  readonly http: number;
  readonly databaseUrl: string;
}

/**
 * Runs a process like those of the local system, with which it is ended; resolves when it is ready.
 *
 * @param started told of it as soon as it exists
 * @throws Error with the log file of one that does not get ready
 */
export async function startProcess(
  { name, role, program, environment, http, databaseUrl }: ProcessSpecification,
  surroundings: Pick<ParticipantSurroundings, 'directory' | 'environment'>,
  started: (process: SystemProcess) => void,
): Promise<void> {
  const logFile = path.join(surroundings.directory, 'logs', `${name}.log`);
  const log = openSync(logFile, 'a');
  const marker = `concordat-${name}`;
  const child = spawn(process.execPath, ['--enable-source-maps', `--title=${marker}`, program], {
    detached: true,
    stdio: ['ignore', log, log],
    env: {
      ...process.env,
      ...surroundings.environment,
      ...environment,
      NODE_ENV: process.env['NODE_ENV'] ?? 'production', // as the local system's own
    },
  });
  closeSync(log);
  child.unref();
  if (child.pid === undefined) throw new Error(`${name} could not be started`);
  started({ name, role, pid: child.pid, ports: { http }, databaseUrl, logFile, marker });
  await ready(`http://127.0.0.1:${http}/readyz`, `${name} (${logFile})`);
}

async function ready(url: string, what: string): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    const status = await fetch(url).then(
      (answer) => answer.status,
      () => undefined,
    );
    if (status === 200) return;
    if (performance.now() > deadline) throw new Error(`${what} was not ready within ${READY_TIMEOUT_MS / 1000} s`);
    await delay(READY_POLL_MS);
  }
}

/** A role and a database of this name, as the local system makes them for its own participants. */
export async function createDatabase(port: number, name: string): Promise<string> {
  const client = new pg.Client({ connectionString: `postgres://postgres:postgres@127.0.0.1:${port}/postgres` });
  await client.connect();
  try {
    await client.query(`create role ${name} login password '${name}'`);
    await client.query(`create database ${name} owner ${name}`);
  } finally {
    await client.end();
  }
  return `postgres://${name}:${name}@127.0.0.1:${port}/${name}`;
}
