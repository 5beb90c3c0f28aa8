import { existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { errorMessage } from '@concordat/foundation';
import type { SystemOptions } from '../arguments.js';
import { LabError } from '../lab-error.js';
import { callWith } from '../rest.js';
import { kafkaPart } from './kafka.js';
import { bringUp, type Part, type SystemContext } from './part.js';
import {
  DEFAULT_LINK,
  GUEST_NAME,
  holderOfPort,
  isPortFree,
  PART_NAMES,
  portsOf,
  type BankLetter,
  type Link,
  type PartName,
} from './ports.js';
import { postgresDataDir, postgresPart } from './postgres.js';
import { isRunning, signal as sendSignal } from './process-table.js';
import { repositoryRoot } from './repository.js';
import { LocalSecurity, SECURITY_FOLDER } from './security/local-security.js';
import { bankPart, coordinatorPart, givenDatabaseUrl, kafkaBrokers, shopPart, type CoordinatorId } from './services.js';
import { SystemFile, type ProcessRecord, type SystemState } from './system-file.js';
import { waitUntil } from './wait.js';

const CLUSTER_NAME = 'local';
const TOPIC_PREFIX = 'concordat';
/** The services' time to end before the servers are ended; together with the servers' below 10 s. */
const SERVICES_GRACE_MS = 4000;
const SERVERS_GRACE_MS = 4500;
const KILL_GRACE_MS = 1000;
const PORT_RELEASE_MS = 5000;

/** The context of a system, from the options of the command line. */
export function contextOf(options: SystemOptions, say: (text: string) => void): SystemContext {
  const root = repositoryRoot();
  const directory = path.resolve(root, options.directory);
  const topicPrefix = process.env['CONCORDAT_TOPIC_PREFIX'] ?? TOPIC_PREFIX;
  const running = new SystemFile(directory).read();
  const { portOffset, link = running?.link ?? DEFAULT_LINK } = options;
  const isSecure = options.isSecure ?? running?.isSecure ?? false;
  const security = isSecure ? LocalSecurity.of(directory, CLUSTER_NAME) : undefined;
  if (security) callWith(() => security.access);
  return { root, directory, clusterName: CLUSTER_NAME, topicPrefix, link, security, portOffset, say };
}

export function partOf(context: SystemContext, name: PartName): Part {
  switch (name) {
    case 'kafka':
      return kafkaPart(context);
    case 'postgres-a':
    case 'postgres-b':
    case 'postgres-c':
      return postgresPart(context, letterOf(name));
    case 'bank-a':
    case 'bank-b':
    case 'bank-c':
      return bankPart(context, letterOf(name));
    case 'coordinator-1':
    case 'coordinator-2':
    case 'coordinator-3':
    case 'coordinator-4':
      return coordinatorPart(context, Number(name.slice(-1)) as CoordinatorId);
    case 'orders':
    case 'inventory':
    case 'payments':
      return shopPart(context, name);
  }
}

const letterOf = (name: string): BankLetter => name.slice(-1) as BankLetter;

/** The wanted parts without those that the link does not need or that a given service replaces. */
export function partNamesToStart(only: readonly PartName[], link: Link): PartName[] {
  return only.filter((name) => {
    if (name === 'kafka') return link !== 'direct' && (process.env['KAFKA_BROKERS'] ?? '') === '';
    return !name.startsWith('postgres') || givenDatabaseUrl(letterOf(name)) === undefined;
  });
}

/** @throws LabError with every taken port and its program */
export async function requireFreePorts(names: readonly PartName[], portOffset: number): Promise<void> {
  const taken: string[] = [];
  for (const name of names) {
    for (const port of Object.values(portsOf(name, portOffset))) {
      if (!(await isPortFree(port))) taken.push(`${port} (${name}) is used by ${holderOfPort(port)}`);
    }
  }
  if (taken.length === 0) return;
  throw new LabError(
    `Port ${taken.join('; port ')}. End that program, or start on other ports with "npm start -- --port-offset 1000".`,
  );
}

/** The children of a PostgreSQL server that was killed with -9 hold its port for a moment. */
export async function portsReleased(name: PartName, portOffset: number, signal: AbortSignal): Promise<void> {
  const ports = Object.values(portsOf(name, portOffset));
  const released = async (): Promise<boolean> => (await Promise.all(ports.map(isPortFree))).every(Boolean);
  await waitUntil(released, { timeoutMs: PORT_RELEASE_MS, pollMs: 20, signal });
}

/** Deletes the data of earlier runs, without the logs of this start and its lock. */
export function removeData(directory: string): void {
  for (const letter of ['a', 'b', 'c'] as const) {
    rmSync(postgresDataDir(directory, letter), { recursive: true, force: true });
  }
  if (!existsSync(directory)) return;
  const names: readonly string[] = [...PART_NAMES, GUEST_NAME, SECURITY_FOLDER];
  for (const name of readdirSync(directory)) {
    if (names.includes(name)) rmSync(path.join(directory, name), { recursive: true });
  }
}

/**
 * Makes what a secured system needs beside its data, or refuses data of the other kind: their members, brokers and
 * databases are known by other addresses and passwords.
 *
 * @throws LabError that says what to do
 */
export function prepareSecurity({ directory, security }: SystemContext): void {
  const hasData = PART_NAMES.some((name) => existsSync(path.join(directory, name)));
  if (security !== undefined && hasData && !LocalSecurity.isIn(directory)) {
    throw new LabError(
      `${directory} has the data of a system without TLS and credentials. Start it without --secure; or forget its ` +
        'data with "npm start -- --secure --fresh"; or use another directory: --directory .concordat-secure.',
    );
  }
  if (security === undefined && LocalSecurity.isIn(directory)) {
    throw new LabError(
      `${directory} has the data of a secured system. Start it with --secure; or forget its data with ` +
        '"npm start -- --fresh"; or use another directory: --directory .concordat-plain.',
    );
  }
  security?.ensure();
}

/** Starts servers first, then services, each group in parallel. The first failure ends the wait for the others. */
export async function startParts(
  context: SystemContext,
  names: readonly PartName[],
  file: SystemFile,
  signal: AbortSignal,
): Promise<void> {
  const isServer = (name: PartName): boolean => name === 'kafka' || name.startsWith('postgres');
  for (const group of [names.filter(isServer), names.filter((name) => !isServer(name))]) {
    const failed = new AbortController();
    const both = AbortSignal.any([signal, failed.signal]);
    const reasons: Error[] = []; // the first one is the cause; those of the others say only that their wait was ended
    await Promise.allSettled(
      group.map(async (name) => {
        try {
          const start = Date.now();
          context.say(`${name}: starting …`);
          await bringUp(partOf(context, name), (started) => file.record(started), both);
          context.say(`${name}: ready after ${((Date.now() - start) / 1000).toFixed(1)} s`);
        } catch (error) {
          reasons.push(error instanceof Error ? error : new LabError(`${name}: ${errorMessage(error)}`));
          failed.abort();
        }
      }),
    );
    signal.throwIfAborted();
    const [cause] = reasons;
    if (cause) throw cause;
  }
}

/** Ends every recorded process, services before servers, and kills those that do not end in time. Within 10 s. */
export async function stopProcesses(processes: readonly ProcessRecord[]): Promise<void> {
  const isService = ({ role }: ProcessRecord): boolean => role === 'coordinator' || role === 'participant';
  const running = processes.filter(isRunning);
  await stopGroup(running.filter(isService), SERVICES_GRACE_MS);
  await stopGroup(
    running.filter((process) => !isService(process)),
    SERVERS_GRACE_MS,
  );
}

async function stopGroup(group: readonly ProcessRecord[], graceMs: number): Promise<void> {
  for (const { pid, role } of group) {
    // SIGINT is PostgreSQL's fast shutdown; on SIGTERM it would wait for its clients to leave
    sendSignal(pid, role === 'postgres' ? 'SIGINT' : 'SIGTERM');
    sendSignal(pid, 'SIGCONT'); // a paused process can only end when it runs
  }
  const ended = await waitUntil(() => !group.some(isRunning), { timeoutMs: graceMs, pollMs: 50 });
  if (ended) return;
  for (const process of group.filter(isRunning)) sendSignal(process.pid, 'SIGKILL');
  await waitUntil(() => !group.some(isRunning), { timeoutMs: KILL_GRACE_MS, pollMs: 50 });
}

/** Part of the command line of this program: identifies the process of a recorded supervisor. */
export const SUPERVISOR_MARKER = 'apps/lab/src/main.js';

/** Whether the supervisor that wrote this state is running. */
export function isSupervised(state: SystemState): boolean {
  return isRunning({ pid: state.supervisorPid, marker: SUPERVISOR_MARKER });
}

/** The state of a running system. @throws LabError when none is running */
export function requireRunning(file: SystemFile): SystemState {
  const state = file.read();
  if (state && isSupervised(state)) return state;
  throw new LabError('No local system is running; start one with "npm start".');
}

/**
 * Starts the guest beside the running system; it is ready only when the group has added it.
 *
 * @param join adds it to the group; called when it answers, because a secured group looks who it is
 */
export async function startGuest(
  context: SystemContext,
  file: SystemFile,
  join: () => Promise<void>,
): Promise<ProcessRecord> {
  const { portOffset } = requireRunning(file);
  await requireFreePorts([GUEST_NAME], portOffset);
  const part = partOf({ ...context, portOffset }, GUEST_NAME);
  return await bringUp(part, (started) => file.record(started), new AbortController().signal, join);
}

/** Ends a part cleanly and removes it from the running system. Its data stay. */
export async function dismiss(file: SystemFile, name: PartName): Promise<void> {
  const record = requireRunning(file).processes.find((process) => process.name === name);
  if (!record) return;
  file.markLeaving(name);
  await stopProcesses([record]);
  file.forget(name);
}

export function initialState(context: SystemContext): SystemState {
  return {
    clusterName: context.clusterName,
    topicPrefix: context.topicPrefix,
    link: context.link,
    isSecure: context.security !== undefined,
    startedAt: new Date().toISOString(),
    supervisorPid: process.pid,
    portOffset: context.portOffset,
    kafkaBrokers: kafkaBrokers(context.portOffset),
    ready: false,
    processes: [],
  };
}
