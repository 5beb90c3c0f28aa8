import { cpuTicks, endedChildrenTicks, readProc, statFields, withDescendants } from './proc-files.js';

/** CPU time so far, in ticks. */
export interface CpuReading {
  /** of all processors together: what ran, and what the host of a virtual machine took */
  readonly busy: number;
  /** of all processors together, idle time included; 0 where the system does not tell */
  readonly total: number;
  /** of the benchmark's own processes, also of those that have ended */
  readonly own: number;
}

/**
 * The share of the machine that others used between two readings: other programs, the kernel on behalf of nobody, and
 * the host of a virtual machine. From 0 to 1; undefined where the system does not tell.
 */
export function foreignShare(before: CpuReading, after: CpuReading): number | undefined {
  const total = after.total - before.total;
  if (total <= 0) return undefined;
  const foreign = after.busy - before.busy - (after.own - before.own);
  return Math.min(1, Math.max(0, foreign / total)); // the kernel rounds both sides, so a quiet machine is about 0
}

/** The first line of /proc/stat (proc_stat(5)); the time of guests is part of user time already. */
export function machineTicks(stat: string): Pick<CpuReading, 'busy' | 'total'> {
  const line = /^cpu +(.*)$/m.exec(stat)?.[1];
  if (line === undefined) return { busy: 0, total: 0 };
  const [user = 0, nice = 0, system = 0, idle = 0, ioWait = 0, interrupts = 0, softInterrupts = 0, stolen = 0] = line
    .split(' ')
    .map(Number);
  const busy = user + nice + system + interrupts + softInterrupts + stolen;
  return { busy, total: busy + idle + ioWait };
}

/** Reads now. @param roots the benchmark's own processes; their descendants count as own, too */
export function readCpu(roots: Iterable<number>): CpuReading {
  let own = 0;
  for (const pid of withDescendants(roots)) {
    const fields = statFields(pid);
    own += cpuTicks(fields) + endedChildrenTicks(fields);
  }
  return { ...machineTicks(readProc('stat')), own };
}
