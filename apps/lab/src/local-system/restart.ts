import { LabError } from '../lab-error.js';
import { partOf, portsReleased, requireFreePorts, requireRunning } from './local-system.js';
import { bringUp, startPart, untilLive, untilReady, type Part, type SystemContext } from './part.js';
import type { PartName } from './ports.js';
import { isRunning } from './process-table.js';
import type { ProcessRecord, SystemFile, SystemState } from './system-file.js';

/** How long a live part may take to become ready while others that it may need are down. */
const READY_GRACE_MS = 5_000;

/**
 * Restarts a dead part with its data; returns when it is ready.
 *
 * @throws LabError when it is alive, is unknown, or does not start
 */
export async function restartPart(
  context: SystemContext,
  file: SystemFile,
  name: string,
  signal: AbortSignal,
): Promise<ProcessRecord> {
  const state = requireRunning(file);
  const [record] = deadParts(state, [name]);
  const part = await preparedPart(context, state, record!.name, signal);
  return await bringUp(part, (started) => file.record(started), signal);
}

/**
 * Restarts dead parts with their data: servers first, then services, each group in parallel. Returns when all are
 * alive, and says which are not ready and why. If no other part is down, every one must become ready.
 *
 * @throws LabError when one is alive, is unknown, or does not start; nothing is started unless all can be
 */
export async function restartParts(
  context: SystemContext,
  file: SystemFile,
  names: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const state = requireRunning(file);
  const records = deadParts(state, names);
  const isServer = ({ role }: ProcessRecord): boolean => role === 'kafka' || role === 'postgres';
  const started: { readonly part: Part; readonly pid: number }[] = [];
  for (const group of [records.filter(isServer), records.filter((record) => !isServer(record))]) {
    const live = group.map(async ({ name }) => {
      const part = await preparedPart(context, state, name, signal);
      const { pid } = await startPart(part, (process) => file.record(process), signal);
      await untilLive(part, pid, signal);
      started.push({ part, pid });
    });
    throwFirst(await Promise.allSettled(live));
  }
  const reports = started.map(({ part, pid }) => reportOf(context, file, part, pid, signal));
  throwFirst(await Promise.allSettled(reports));
}

/** Waits for a live part, and describes its state. */
async function reportOf(
  context: SystemContext,
  file: SystemFile,
  part: Part,
  pid: number,
  signal: AbortSignal,
): Promise<void> {
  const down = (): readonly PartName[] => namesOfDead(requireRunning(file));
  const timeoutMs = down().length > 0 ? READY_GRACE_MS : part.readyTimeoutMs;
  if (await untilReady(part, pid, timeoutMs, signal)) {
    context.say(`${part.name} runs again (process ${pid})`);
    return;
  }
  const reasons = (await part.lacks?.()) ?? [];
  const why = reasons.length > 0 ? `: ${reasons.join('; ')}` : '';
  const missing = down();
  if (missing.length === 0) {
    throw new LabError(`${part.name} lives (process ${pid}) and was not ready within ${timeoutMs / 1000} s${why}.`);
  }
  context.say(
    `${part.name} lives again (process ${pid}) and is not ready yet${why}. ` +
      `Down: ${missing.join(', ')}; "npm run lab -- restart ${missing.join(' ')}" starts what is missing.`,
  );
}

/** The records of the parts to restart. @throws LabError unless each of them is known and dead */
export function deadParts(
  { processes }: Pick<SystemState, 'processes'>,
  names: readonly string[],
  runs: (record: ProcessRecord) => boolean = isRunning,
): readonly ProcessRecord[] {
  return [...new Set(names)].map((name) => {
    const record = processes.find((process) => process.name === name);
    if (!record) {
      const known = processes.map((process) => process.name).join(', ');
      throw new LabError(`There is no part "${name}" in the running system; there are ${known}.`);
    }
    if (runs(record)) {
      throw new LabError(`${name} is running (process ${record.pid}); only a part that has died is started again.`);
    }
    return record;
  });
}

/** Running parts with variables that a scenario has left behind, because it was cut short. */
export function changedParts(
  { processes }: Pick<SystemState, 'processes'>,
  runs: (record: ProcessRecord) => boolean = isRunning,
): readonly ProcessRecord[] {
  return processes.filter((record) => record.environment !== undefined && runs(record));
}

function namesOfDead({ processes }: SystemState): readonly PartName[] {
  return processes.filter((record) => !isRunning(record)).map(({ name }) => name);
}

async function preparedPart(
  context: SystemContext,
  { portOffset }: SystemState,
  name: PartName,
  signal: AbortSignal,
): Promise<Part> {
  await portsReleased(name, portOffset, signal);
  await requireFreePorts([name], portOffset);
  return partOf({ ...context, portOffset }, name);
}

function throwFirst(results: readonly PromiseSettledResult<void>[]): void {
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}
