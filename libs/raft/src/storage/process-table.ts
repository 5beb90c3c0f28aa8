import { readFileSync, readlinkSync } from 'node:fs';
import { hasErrorCode } from './file-system.js';

/** What a lock needs to know of the processes of this machine. */
export interface ProcessTable {
  readonly ownPid: number;
  /**
   * A text that tells a living process from all others that had or will have its number, as well as the system
   * allows (at least the number itself); undefined when no such process lives.
   */
  identify(pid: number): string | undefined;
  /** Whether it can tell of the process with that identity; not of one in another container. Default: of every one */
  sees?(identity: string): boolean;
}

/** Of processes that are dead: nobody has fetched the exit code yet, or it is about to vanish. */
const DEAD_STATES = ['Z', 'X', 'x'];

/** The boot, which has an id on Linux, and the container as far as numbers of processes go; undefined elsewhere. */
const place = ((): { readonly boot: string; readonly container: string } | undefined => {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return { boot, container: readlinkSync('/proc/self/ns/pid') };
  } catch {
    return undefined;
  }
})();

/**
 * Linux tells when a process started, counted from the boot, and whether it is dead. Without it a number that was
 * given out again (in a container it is nearly always 1), or that of a zombie, would keep a dead process's lock.
 */
function statusOf(pid: number): { readonly start: string; readonly isDead: boolean } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name before it may hold anything
    const [state = '', start] = [fields[0], fields[19]];
    return start === undefined ? undefined : { start, isDead: DEAD_STATES.includes(state) };
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
    const status = place && statusOf(pid);
    if (!status) return `${pid}@unknown start`;
    return status.isDead ? undefined : `${pid}@${place.boot}/${status.start}/${place.container}`;
  },
  sees: (identity) => {
    const [boot, , container] = identity.slice(identity.indexOf('@') + 1).split('/');
    return !place || boot !== place.boot || container === undefined || container === place.container;
  },
};
