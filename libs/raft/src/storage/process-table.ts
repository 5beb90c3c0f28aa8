import { readFileSync } from 'node:fs';
import { hasErrorCode } from './file-system.js';

/** What a lock needs to know of the processes of this machine. */
export interface ProcessTable {
  readonly ownPid: number;
  /**
   * A text that tells a living process from all others that had or will have its number, as well as the system
   * allows (at least the number itself); undefined when no such process lives.
   */
  identify(pid: number): string | undefined;
}

/**
 * Linux tells when a process started, counted from a boot that has an id. Without it a number that was given out
 * again (in a container it is nearly always 1) would keep a dead process's lock.
 */
function startOf(pid: number): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name before it may hold anything
    return fields[19] === undefined ? undefined : `${boot}/${fields[19]}`;
  } catch {
    return undefined;
  }
}

/** The processes of this machine. */
export const systemProcessTable: ProcessTable = {
  ownPid: process.pid,
  identify: (pid) => {
    try {
      process.kill(pid, 0); // signal 0 only asks
    } catch (error) {
      if (!hasErrorCode(error, 'EPERM')) return undefined; // EPERM: it lives, but is another user's
    }
    return `${pid}@${startOf(pid) ?? 'unknown start'}`;
  },
};
