import { readFileSync, readlinkSync } from 'node:fs';
import { hasErrorCode } from './file-system.js';

/** The processes of this machine, for locks. */
export interface ProcessTable {
  readonly ownPid: number;
  /**
   * Identifies a live process, as uniquely as the system allows (at least by its id, which may be reused); undefined
   * when it is not alive.
   */
  identify(pid: number): string | undefined;
  /** Whether it knows the process with that identity; not one in another container. Default: all */
  sees?(identity: string): boolean;
}

/** States of dead processes: the exit code is not fetched yet, or the process is about to disappear. */
const DEAD_STATES = ['Z', 'X', 'x'];

/** The boot, which has an id on Linux, and the container, which has its own process ids; undefined elsewhere. */
const place = ((): { readonly boot: string; readonly container: string } | undefined => {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return { boot, container: readlinkSync('/proc/self/ns/pid') };
  } catch {
    return undefined;
  }
})();

/**
 * Linux tells when a process started, counted from the boot, and whether it is dead. Otherwise a reused id (in a
 * container it is nearly always 1), or that of a zombie, would keep a dead process's lock.
 */
function statusOf(pid: number): { readonly start: string; readonly isDead: boolean } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name before it may contain anything
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
      process.kill(pid, 0); // signal 0 only tests
    } catch (error) {
      if (!hasErrorCode(error, 'EPERM')) return undefined; // EPERM: it is alive, but belongs to another user
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
