import { readdirSync, readFileSync } from 'node:fs';
import type { RunningSystem } from './system.js';

/** What a process has used so far. */
interface Usage {
  readonly cpuMs: number;
  readonly writeCalls: number;
}

const TICKS_PER_SECOND = 100; // USER_HZ, the same on every Linux

/** CPU time and write system calls of each part of the system, by name; empty where /proc does not tell. */
export class ProcessMeter {
  private readonly start = new Map<string, Usage>();

  constructor(private readonly system: Pick<RunningSystem, 'processes'>) {
    for (const [name, usage] of this.read()) this.start.set(name, usage);
  }

  /** Milliseconds of CPU and write calls since the start, per transfer, by kind of process. */
  perTransfer(transfers: number): Record<string, { cpuMs: number; writeCalls: number }> {
    const result: Record<string, { cpuMs: number; writeCalls: number }> = {};
    for (const [name, usage] of this.read()) {
      const before = this.start.get(name) ?? { cpuMs: 0, writeCalls: 0 };
      result[name] = {
        cpuMs: (usage.cpuMs - before.cpuMs) / transfers,
        writeCalls: (usage.writeCalls - before.writeCalls) / transfers,
      };
    }
    return result;
  }

  private read(): Map<string, Usage> {
    const usages = new Map<string, Usage>();
    const children = childrenByParent();
    for (const { name, pid, role } of [...this.system.processes, { name: 'load', pid: process.pid, role: 'load' }]) {
      const pids = role === 'postgres' ? [pid, ...(children.get(pid) ?? [])] : [pid];
      const all = pids.map(usageOf);
      usages.set(name, {
        cpuMs: all.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
        writeCalls: all.reduce((sum, { writeCalls }) => sum + writeCalls, 0),
      });
    }
    return usages;
  }
}

/** Resident memory of a process in MiB; 0 when it cannot be read. */
export function residentMiB(pid: number): number {
  const kilobytes = /VmRSS:\s+(\d+)/.exec(readText(`/proc/${pid}/status`))?.[1];
  return Number(kilobytes ?? 0) / 1024;
}

/** The largest resident memory that a process ever had, in MiB; 0 when it cannot be read. */
export function peakResidentMiB(pid: number): number {
  const kilobytes = /VmHWM:\s+(\d+)/.exec(readText(`/proc/${pid}/status`))?.[1];
  return Number(kilobytes ?? 0) / 1024;
}

function usageOf(pid: number): Usage {
  const fields = statFields(pid);
  const ticks = Number(fields[11] ?? 0) + Number(fields[12] ?? 0); // utime and stime
  const writeCalls = Number(/syscw: (\d+)/.exec(readText(`/proc/${pid}/io`))?.[1] ?? 0);
  return { cpuMs: (ticks * 1000) / TICKS_PER_SECOND, writeCalls };
}

/** The fields behind the name of the command, from the state on (proc(5)). */
function statFields(pid: number): string[] {
  const text = readText(`/proc/${pid}/stat`);
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

function childrenByParent(): Map<number, number[]> {
  const children = new Map<number, number[]>();
  let entries: string[];
  try {
    entries = readdirSync('/proc');
  } catch {
    return children;
  }
  for (const entry of entries) {
    if (!/^\d+$/.test(entry)) continue;
    const parent = Number(statFields(Number(entry))[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
  }
  return children;
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
