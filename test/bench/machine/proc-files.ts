import { readdirSync, readFileSync } from 'node:fs';

/** USER_HZ, the unit of times in /proc; the same on every Linux. */
const TICKS_PER_SECOND = 100;

export function millisecondsOf(ticks: number): number {
  return (ticks * 1000) / TICKS_PER_SECOND;
}

/** A file of /proc; an empty text when it is not there, because the process has ended or the system is no Linux. */
export function readProc(file: string): string {
  try {
    return readFileSync(`/proc/${file}`, 'utf8');
  } catch {
    return '';
  }
}

/** What stands in `/proc/<pid>/stat` behind the name of the command, from the state on (proc_pid_stat(5)). */
export function statFields(pid: number): string[] {
  const text = readProc(`${pid}/stat`);
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** CPU time of a process, user and system; 0 when it is not there. */
export function cpuTicks(fields: readonly string[]): number {
  return Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
}

/** CPU time of the children whose end the process has noticed. */
export function endedChildrenTicks(fields: readonly string[]): number {
  return Number(fields[13] ?? 0) + Number(fields[14] ?? 0);
}

/** Every process under its parent. */
export function childrenByParent(): Map<number, number[]> {
  const children = new Map<number, number[]>();
  for (const pid of namesIn('')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)) {
    const parent = Number(statFields(pid)[1]);
    const siblings = children.get(parent);
    if (siblings) siblings.push(pid);
    else children.set(parent, [pid]);
  }
  return children;
}

/** These processes, their children, their children's children and so on. */
export function withDescendants(roots: Iterable<number>, children = childrenByParent()): Set<number> {
  const found = new Set(roots);
  for (const pid of found) for (const child of children.get(pid) ?? []) found.add(child); // grows while it is walked
  return found;
}

/** Names in a directory of /proc. */
export function namesIn(directory: string): string[] {
  try {
    return readdirSync(`/proc/${directory}`);
  } catch {
    return [];
  }
}
