import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { guarded } from '@concordat/foundation';
import { DEFAULT_DIRECTORY, type SystemOptions } from '../arguments.js';
import { LabError } from '../lab-error.js';
import { Narration, table } from '../narration.js';
import { showTransfer, untilBanksAreKnown } from './demo-transfer.js';
import { EndOnSignals, EXIT_INTERRUPTED, warnOfListener } from './end-on-signals.js';
import { tryLock } from './file-lock.js';
import {
  contextOf,
  initialState,
  isSupervised,
  partNamesToStart,
  prepareSecurity,
  removeData,
  requireFreePorts,
  startParts,
  stopProcesses,
  SUPERVISOR_MARKER,
} from './local-system.js';
import { isRunning, signal as sendSignal } from './process-table.js';
import { isKafkaPossible } from './kafka-programs.js';
import type { SystemContext } from './part.js';
import { DEFAULT_LINK, httpUrl, PART_NAMES, type Link } from './ports.js';
import { shownUrl } from './postgres-server.js';
import { repositoryRoot } from './repository.js';
import { TOKEN_ROLES } from './security/credentials.js';
import type { LocalSecurity } from './security/local-security.js';
import { SystemFile, type SystemState } from './system-file.js';
import { waitUntil } from './wait.js';

const WATCH_INTERVAL_MS = 300;
const STOP_TIMEOUT_MS = 14_000;

/** One supervisor per directory: the lock file holds its pid. @throws LabError when another one is alive */
function takeLock(directory: string): () => void {
  mkdirSync(directory, { recursive: true });
  const taken = tryLock(
    path.join(directory, 'supervisor.lock'),
    (pid) => pid !== process.pid && isRunning({ pid, marker: SUPERVISOR_MARKER }),
  );
  if (typeof taken === 'function') return taken;
  throw new LabError(
    `A local system is already running in ${directory} (process ${taken}); end it with "${stopCommand(directory)}", or Ctrl-C where it runs.`,
  );
}

/** The link of a new system for which none was chosen: Kafka, where it can be had. */
export function linkOfThisMachine(say: (text: string) => void): Link {
  if (isKafkaPossible(repositoryRoot())) return DEFAULT_LINK;
  say('no Java 17 with Maven here: running without Kafka, on direct streams (npm start -- --help says more)');
  return 'direct';
}

/** Runs a local system in this process until it is told to end. */
export async function supervise(options: SystemOptions, fresh: boolean): Promise<void> {
  const narration = new Narration();
  const link = options.link ?? linkOfThisMachine((text) => narration.say(text));
  const context = contextOf({ ...options, link, isSecure: options.isSecure ?? false }, (text) => narration.say(text));
  const release = takeLock(context.directory);
  const { signal: ending } = new EndOnSignals();
  const file = new SystemFile(context.directory);
  try {
    await endLeftovers(file, narration);
    if (fresh) {
      narration.say('forgetting the data of earlier runs (--fresh)');
      removeData(context.directory);
    }
    const names = partNamesToStart(options.only, context.link);
    await requireFreePorts(names, options.portOffset);
    prepareSecurity(context);
    file.write(initialState(context));
    await startParts(context, names, file, ending);
    await untilBanksAreKnown(context, names, ending);
    file.update((state) => ({ ...state, ready: true }));
    narration.plain(['', ...overview(context, file.read()), ''].join('\n'));
    if (PART_NAMES.every((name) => options.only.includes(name))) await showTransfer(context, narration, ending);
    if (context.security) narration.plain(howToCall(context, context.security));
    const end = `"${stopCommand(context.directory)}"`;
    narration.say(`ready; ${process.send ? end : `Ctrl-C (or ${end})`} ends everything, the data stays`);
    process.send?.({ ready: true });
    await watch(file, context.directory, narration, ending);
  } catch (error) {
    if (!ending.aborted) throw error;
  } finally {
    await end(file, narration);
    release();
  }
}

async function end(file: SystemFile, narration: Narration): Promise<void> {
  const state = file.read();
  if (state?.supervisorPid !== process.pid) return;
  const processes = file.markEnding();
  if (processes.length > 0) narration.say('ending all processes …');
  await stopProcesses(processes);
  rmSync(file.path, { force: true });
  narration.say('all ended');
}

/** Ends what an earlier system left behind when it was killed together with its supervisor. */
async function endLeftovers(file: SystemFile, narration: Narration): Promise<void> {
  const left = file.markEnding().filter(isRunning);
  if (left.length > 0) {
    const names = left.map(({ name, pid }) => `${name} (${pid})`).join(', ');
    narration.say(`an earlier local system was killed and left processes behind; ending ${names} …`);
    await stopProcesses(left);
  }
  rmSync(file.path, { force: true });
}

/** What a person needs to call a secured system. */
function howToCall(context: SystemContext, { certificates, credentials }: LocalSecurity): string {
  const shown = (file: string): string => {
    const relative = path.relative(process.cwd(), file);
    return relative.startsWith('..') ? file : relative;
  };
  return [
    'REST wants TLS and a credential:',
    '',
    `  curl --cacert ${shown(certificates.caFile)} \\`,
    `    -H "Authorization: Bearer $(cat ${shown(credentials.pathOfToken('observer'))})" \\`,
    `    ${httpUrl(context, 'coordinator-1')}/v1/cluster`,
    '',
    `Further tokens beside it: ${Object.entries(TOKEN_ROLES)
      .map(([name, roles]) => `token-${name} (${roles.join(', ')})`)
      .join('; ')}.`,
    '',
  ].join('\n');
}

function overview(context: SystemContext, state: SystemState | undefined): string[] {
  const rows = (state?.processes ?? []).map(({ name, pid, ports, databaseUrl, logFile }) => {
    const other = databaseUrl === undefined ? `127.0.0.1:${ports['broker']}` : shownUrl(databaseUrl);
    const address = ports['http'] === undefined ? other : httpUrl(context, name);
    return [name, address, String(pid), logFile];
  });
  rows.sort(([first = ''], [second = '']) => first.localeCompare(second));
  return table([['part', 'address', 'pid', 'log'], ...rows]);
}

/** Reports once that a process has died, and once that it is back. */
async function watch(file: SystemFile, directory: string, narration: Narration, ending: AbortSignal): Promise<void> {
  const dead = new Set<string>();
  while (!ending.aborted) {
    for (const record of file.read()?.processes ?? []) {
      const running = isRunning(record);
      if (!running && !record.leaving && !dead.has(record.name)) {
        dead.add(record.name);
        narration.say(
          `${record.name} (process ${record.pid}) has died; "${restartCommand(record.name, directory)}" starts it again`,
        );
      } else if (running && dead.delete(record.name)) {
        narration.say(`${record.name} runs again (process ${record.pid})`);
      }
    }
    await delay(WATCH_INTERVAL_MS, undefined, { signal: ending }).catch(() => undefined);
  }
}

/** Starts a supervisor in the background and returns when its system is ready. */
export async function superviseDetached(options: SystemOptions, fresh: boolean): Promise<void> {
  const { directory } = contextOf(options, () => undefined);
  const running = new SystemFile(directory).read();
  if (running && isSupervised(running)) {
    throw new LabError(
      `A local system is already running in ${directory} (process ${running.supervisorPid}); end it with "${stopCommand(directory)}".`,
    );
  }
  const logFile = path.join(directory, 'logs', 'supervisor.log');
  mkdirSync(directory, { recursive: true }); // by itself: the user of PostgreSQL may have to enter it
  mkdirSync(path.dirname(logFile), { recursive: true, mode: 0o700 });
  const log = openSync(logFile, 'w', 0o600);
  const link = options.link === undefined ? [] : ['--link', options.link];
  const args = ['start', '--directory', directory, '--port-offset', String(options.portOffset), ...link];
  const flags = [...(options.isSecure ? ['--secure'] : []), ...(fresh ? ['--fresh'] : [])];
  const main = path.resolve(import.meta.dirname, '..', 'main.js');
  const child = spawn(
    process.execPath,
    ['--enable-source-maps', main, ...args, '--only', options.only.join(','), ...flags],
    { detached: true, stdio: ['ignore', log, log, 'ipc'] },
  );
  closeSync(log);
  let settled: 'ready' | 'failed' | undefined;
  const settle = (how: 'ready' | 'failed') => guarded(() => void (settled ??= how), warnOfListener);
  const [guardedReady, guardedFailed] = [settle('ready'), settle('failed')];
  child.once('message', guardedReady);
  child.once('error', guardedFailed);
  child.once('exit', guardedFailed);
  const signals = new EndOnSignals();
  signals.signal.addEventListener(
    'abort',
    guarded(() => child.kill('SIGTERM'), warnOfListener),
  );
  let shown = 0;
  const show = (): void => {
    const text = readFileSync(logFile);
    process.stdout.write(text.subarray(shown));
    shown = text.length;
  };
  await waitUntil(
    () => {
      show();
      return settled !== undefined;
    },
    { timeoutMs: Number.POSITIVE_INFINITY, pollMs: 50 },
  );
  show();
  signals.release();
  if (child.connected) child.disconnect();
  child.unref();
  if (settled === 'failed') {
    process.exitCode = signals.signal.aborted ? EXIT_INTERRUPTED : 1; // the log, which was shown, has the reason
    return;
  }
  console.log(`running in the background (process ${child.pid}, log ${logFile})`);
}

function stopCommand(directory: string): string {
  return isDefault(directory) ? 'npm stop' : `npm stop -- --directory ${directory}`;
}

function restartCommand(name: string, directory: string): string {
  return `npm run lab -- restart ${name}${isDefault(directory) ? '' : ` --directory ${directory}`}`;
}

const isDefault = (directory: string): boolean => directory === path.resolve(repositoryRoot(), DEFAULT_DIRECTORY);

/** Ends the local system of a directory, supervised or left over. */
export async function stopSystem(options: SystemOptions): Promise<void> {
  const { directory } = contextOf(options, () => undefined);
  const file = new SystemFile(directory);
  const state = file.read();
  if (state && isSupervised(state)) {
    sendSignal(state.supervisorPid, 'SIGTERM');
    await waitUntil(() => !isSupervised(state), { timeoutMs: STOP_TIMEOUT_MS, pollMs: 50 });
  }
  await stopProcesses(file.markEnding()); // what a supervisor that was killed has left
  rmSync(file.path, { force: true });
  const stopped = state !== undefined && (isSupervised(state) || state.processes.length > 0);
  console.log(stopped ? 'The local system has ended; its data stays.' : 'No local system is running.');
}
