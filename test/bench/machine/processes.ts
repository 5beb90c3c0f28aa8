import type { SystemProcess } from '../participants.js';
import {
  childrenByParent,
  cpuTicks,
  endedChildrenTicks,
  millisecondsOf,
  namesIn,
  readProc,
  statFields,
} from './proc-files.js';

/** What a process has used so far, or used for one transaction. */
export interface Usage {
  readonly cpuMs: number;
  /** how often one of its threads waited and was woken: voluntary context switches */
  readonly wakeUps: number;
  /** system calls that write to files and sockets; those of `send`, as PostgreSQL's, are not counted by the kernel */
  readonly writeCalls: number;
}

export const NO_USAGE: Usage = { cpuMs: 0, wakeUps: 0, writeCalls: 0 };

type Measured = Pick<SystemProcess, 'name' | 'pid' | 'role'>;

/** Meters the processes of a system, and the load itself, by name; zeros where /proc does not tell. */
export class ProcessMeter {
  private readonly start: ReadonlyMap<string, Usage>;

  constructor(private readonly system: { readonly processes: readonly Measured[] }) {
    this.start = this.read();
  }

  /** Used since the start, for one of so many transactions. */
  perTransfer(transfers: number): Record<string, Usage> {
    const result: Record<string, Usage> = {};
    for (const [name, usage] of this.read()) {
      const before = this.start.get(name) ?? NO_USAGE;
      const each = (field: keyof Usage): number => (usage[field] - before[field]) / transfers;
      result[name] = { cpuMs: each('cpuMs'), wakeUps: each('wakeUps'), writeCalls: each('writeCalls') };
    }
    return result;
  }

  private read(): Map<string, Usage> {
    return new Map([...pidsByName(this.system.processes)].map(([name, pids]) => [name, sum(pids.map(usageOf))]));
  }
}

/**
 * Memory of the processes of a system, and of the load, in MiB by name: resident memory. That of a PostgreSQL server is
 * the proportional share of all its processes, because each of them shows the shared buffers as its own.
 */
export function memoryMiB(processes: readonly Measured[]): Record<string, number> {
  const result: Record<string, number> = {};
  for (const [name, pids] of pidsByName(processes)) {
    const of = pids.length > 1 ? proportionalMiB : residentMiB;
    result[name] = pids.reduce((total, pid) => total + of(pid), 0);
  }
  return result;
}

/** Resident memory of a process in MiB; 0 when it cannot be read. */
export function residentMiB(pid: number): number {
  return kilobytes(`${pid}/status`, /VmRSS:\s+(\d+)/) / 1024;
}

/** The largest resident memory that a process ever had, in MiB; 0 when it cannot be read. */
export function peakResidentMiB(pid: number): number {
  return kilobytes(`${pid}/status`, /VmHWM:\s+(\d+)/) / 1024;
}

function proportionalMiB(pid: number): number {
  return kilobytes(`${pid}/smaps_rollup`, /^Pss:\s+(\d+)/m) / 1024;
}

function kilobytes(file: string, pattern: RegExp): number {
  return Number(pattern.exec(readProc(file))?.[1] ?? 0);
}

/** A PostgreSQL server is a process with one child per connection. */
function pidsByName(processes: readonly Measured[]): Map<string, number[]> {
  const children = childrenByParent();
  const all = [...processes, { name: 'load', pid: process.pid, role: 'load' }];
  return new Map(
    all.map(({ name, pid, role }) => [name, role === 'postgres' ? [pid, ...(children.get(pid) ?? [])] : [pid]]),
  );
}

/** With the CPU of its children that have ended: connections of PostgreSQL may end while something is measured. */
function usageOf(pid: number): Usage {
  const fields = statFields(pid);
  return {
    cpuMs: millisecondsOf(cpuTicks(fields) + endedChildrenTicks(fields)),
    wakeUps: namesIn(`${pid}/task`).reduce((total, thread) => total + wakeUpsOf(`${pid}/task/${thread}/status`), 0),
    writeCalls: Number(/syscw: (\d+)/.exec(readProc(`${pid}/io`))?.[1] ?? 0),
  };
}

function wakeUpsOf(status: string): number {
  return Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(readProc(status))?.[1] ?? 0);
}

function sum(usages: readonly Usage[]): Usage {
  const of = (field: keyof Usage): number => usages.reduce((total, usage) => total + usage[field], 0);
  return { cpuMs: of('cpuMs'), wakeUps: of('wakeUps'), writeCalls: of('writeCalls') };
}
