import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { guarded } from '@concordat/foundation';
import { LabError } from '../lab-error.js';
import type { BankLetter, PartName, PortNumbers } from './ports.js';
import { isAlive } from './process-table.js';
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

/** One process of the local system: how it is prepared, started, known to be ready, and asked to end. */
export interface Part {
  readonly name: PartName;
  readonly role: Role;
  readonly ports: PortNumbers;
  readonly logFile: string;
  readonly dataDir?: string;
  readonly databaseUrl?: string;
  readonly marker: string;
  readonly readyTimeoutMs: number;
  /** everything that must be there before the process starts; done again before each restart */
  prepare(signal: AbortSignal): Promise<LaunchCommand>;
  /** whether it answers, whatever it lacks; a part without it needs no other part and is ready when it lives */
  isLive?(): Promise<boolean>;
  isReady(): Promise<boolean>;
  /** what keeps it from being ready, in its own words */
  lacks?(): Promise<readonly string[]>;
  /** what is to be done once it answers, before others may use it */
  complete?(): Promise<void>;
}

/** What is shared by the parts of one system. */
export interface SystemContext {
  readonly root: string;
  readonly directory: string;
  readonly clusterName: string;
  readonly topicPrefix: string;
  readonly portOffset: number;
  /** of a cluster beside another system: what it has not got of its own */
  readonly shared?: { readonly kafkaBrokers: string; databaseUrl(letter: BankLetter): string };
  readonly say: (text: string) => void;
  /** variables for services that are started with this context, beside those that they always get */
  readonly environment?: Readonly<Record<string, string>>;
}

const LOG_TAIL_LINES = 12;

/** The last lines of a log file, indented. */
export function logTail(file: string): string {
  if (!existsSync(file)) return '';
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n').slice(-LOG_TAIL_LINES);
  return lines.map((line) => `    ${line}`).join('\n');
}

/** Starts the process of a part. It has a session of its own, so it outlives this program and its terminal. */
async function launch(part: Part, command: LaunchCommand): Promise<ProcessRecord> {
  mkdirSync(path.dirname(part.logFile), { recursive: true });
  const log = openSync(part.logFile, 'a');
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
      logFile: part.logFile,
      marker: part.marker,
    };
  } finally {
    closeSync(log);
  }
}

/**
 * Starts the process of a part, after what must be there before it.
 *
 * @param record told of the process as soon as it exists, so that it can be ended whatever happens next
 */
export async function startPart(
  part: Part,
  record: (process: ProcessRecord) => void,
  signal: AbortSignal,
): Promise<ProcessRecord> {
  const command = await part.prepare(signal);
  signal.throwIfAborted();
  const started = await launch(part, command);
  record(started);
  return started;
}

/**
 * Waits until the process of a part answers, whether or not it has everything that it needs.
 *
 * @throws LabError with the end of its log when it dies or does not answer in time
 */
export async function untilLive(part: Part, pid: number, signal: AbortSignal): Promise<void> {
  const isLive = (): Promise<boolean> => part.isLive?.() ?? part.isReady();
  if (await untilAnswer(part, pid, isLive, part.readyTimeoutMs, signal)) return;
  throw failure(part, `did not answer within ${part.readyTimeoutMs / 1000} s`);
}

/**
 * Waits until a part is ready; false when that takes longer.
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
 * Brings a part up and returns when it is ready.
 *
 * @param record told of the process as soon as it exists, so that it can be ended whatever happens next
 * @throws LabError with the end of its log when it dies or is not ready in time
 */
export async function bringUp(
  part: Part,
  record: (process: ProcessRecord) => void,
  signal: AbortSignal,
): Promise<ProcessRecord> {
  const started = await startPart(part, record, signal);
  if (await untilReady(part, started.pid, part.readyTimeoutMs, signal)) return started;
  throw failure(part, `was not ready within ${part.readyTimeoutMs / 1000} s`);
}
