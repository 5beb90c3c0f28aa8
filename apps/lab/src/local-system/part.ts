import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { guarded } from '@concordat/foundation';
import { LabError } from '../lab-error.js';
import type { BankLetter, Link, PartName, PortNumbers } from './ports.js';
import { isAlive, signal as sendSignal } from './process-table.js';
import type { LocalSecurity } from './security/local-security.js';
import type { ProcessRecord, Role } from './system-file.js';
import { waitUntil } from './wait.js';

export interface LaunchCommand {
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
}

/** One process of the local system: how to prepare, start, check and end it. */
export interface Part {
  readonly name: PartName;
  readonly role: Role;
  readonly ports: PortNumbers;
  readonly logFile: string;
  readonly dataDir?: string;
  readonly databaseUrl?: string;
  /** variables beside those that the local system gives it */
  readonly environment?: Readonly<Record<string, string>>;
  readonly marker: string;
  readonly readyTimeoutMs: number;
  /** prepares everything the process needs; called before each restart, too */
  prepare(signal: AbortSignal): Promise<LaunchCommand>;
  /** whether it answers, ready or not; a part without this depends on no other part and is ready when it is alive */
  isLive?(): Promise<boolean>;
  isReady(): Promise<boolean>;
  /** why it is not ready, in its own words */
  lacks?(): Promise<readonly string[]>;
  /** what to do once it answers, before others may use it */
  complete?(): Promise<void>;
}

export interface SystemContext {
  readonly root: string;
  readonly directory: string;
  readonly clusterName: string;
  readonly topicPrefix: string;
  readonly link: Link;
  /** undefined: everything speaks plain text, and nobody is asked who he is */
  readonly security: LocalSecurity | undefined;
  readonly portOffset: number;
  /** for a cluster beside another system: what it does not have itself */
  readonly shared?: { readonly kafkaBrokers: string; databaseUrl(letter: BankLetter): string };
  readonly say: (text: string) => void;
  /** further variables for services started with this context */
  readonly environment?: Readonly<Record<string, string>>;
}

const LOG_TAIL_LINES = 12;

export function logTail(file: string): string {
  if (!existsSync(file)) return '';
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n').slice(-LOG_TAIL_LINES);
  return lines.map((line) => `    ${line}`).join('\n');
}

/** Starts the process of a part in a session of its own, so that it outlives this program and its terminal. */
async function launch(part: Part, command: LaunchCommand): Promise<ProcessRecord> {
  mkdirSync(path.dirname(part.logFile), { recursive: true, mode: 0o700 });
  const log = openSync(part.logFile, 'a', 0o600);
  try {
    const child = spawn(command.file, command.args, {
      detached: true,
      stdio: ['ignore', log, log],
      env: command.env ?? process.env,
      ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
      ...(command.uid === undefined ? {} : { uid: command.uid, gid: command.gid }),
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      const refuse = (cause: Error): void => {
        reject(new LabError(`${part.name} could not be started: ${cause.message}.`, { cause }));
      };
      child.once('error', guarded(refuse, reject));
    });
    child.unref();
    return {
      name: part.name,
      role: part.role,
      pid: child.pid ?? 0,
      ports: part.ports,
      ...(part.dataDir === undefined ? {} : { dataDir: part.dataDir }),
      ...(part.databaseUrl === undefined ? {} : { databaseUrl: part.databaseUrl }),
      ...(part.environment === undefined ? {} : { environment: part.environment }),
      logFile: part.logFile,
      marker: part.marker,
    };
  } finally {
    closeSync(log);
  }
}

/**
 * Prepares a part and starts its process.
 *
 * @param record called as soon as the process exists, so that it can be ended in any case; the process is killed when
 *   it throws
 */
export async function startPart(
  part: Part,
  record: (process: ProcessRecord) => void,
  signal: AbortSignal,
): Promise<ProcessRecord> {
  const command = await part.prepare(signal);
  signal.throwIfAborted();
  const started = await launch(part, command);
  try {
    record(started);
  } catch (error) {
    sendSignal(started.pid, 'SIGKILL'); // nobody else knows of it
    throw error;
  }
  return started;
}

/**
 * Waits until the process of a part answers, ready or not.
 *
 * @throws LabError with the end of its log when it dies or does not answer in time
 */
export async function untilLive(part: Part, pid: number, signal: AbortSignal): Promise<void> {
  const isLive = (): Promise<boolean> => part.isLive?.() ?? part.isReady();
  if (await untilAnswer(part, pid, isLive, part.readyTimeoutMs, signal)) return;
  throw failure(part, `did not answer within ${part.readyTimeoutMs / 1000} s`);
}

/**
 * Waits until a part is ready; false after the timeout.
 *
 * @throws LabError with the end of its log when it dies
 */
export async function untilReady(part: Part, pid: number, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
  if (!(await untilAnswer(part, pid, () => part.isReady(), timeoutMs, signal))) return false;
  await part.complete?.();
  return true;
}

async function untilAnswer(
  part: Part,
  pid: number,
  answers: () => Promise<boolean>,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  let died = false;
  const ended = await waitUntil(
    async () => {
      died = !isAlive(pid);
      return died || (await answers());
    },
    { timeoutMs, signal },
  );
  if (died) throw failure(part, 'ended while it started');
  return ended;
}

function failure(part: Part, what: string): LabError {
  return new LabError(`${part.name} ${what}; the end of its log (${part.logFile}):\n${logTail(part.logFile)}`);
}

/**
 * Starts a part and waits until it is ready.
 *
 * @param record called as soon as the process exists, so that it can be ended in any case
 * @param whenLive called when the process answers, for what must be done before it can be ready
 * @throws LabError with the end of its log when it dies or is not ready in time
 */
export async function bringUp(
  part: Part,
  record: (process: ProcessRecord) => void,
  signal: AbortSignal,
  whenLive?: () => Promise<void>,
): Promise<ProcessRecord> {
  const started = await startPart(part, record, signal);
  if (whenLive) {
    await untilLive(part, started.pid, signal);
    await whenLive();
  }
  if (await untilReady(part, started.pid, part.readyTimeoutMs, signal)) return started;
  throw failure(part, `was not ready within ${part.readyTimeoutMs / 1000} s`);
}
