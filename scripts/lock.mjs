import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 200;

/**
 * Tells a living process from others that had or will have its id: when it started, where the system says so. Undefined
 * when there is none, or only a zombie, which is dead.
 */
function identityOf(pid) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (error.code !== 'EPERM') return undefined; // EPERM: it lives, but is another user's
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : `${pid} ${fields[19]}`;
  } catch {
    return process.platform === 'linux' ? undefined : String(pid);
  }
}

function textOf(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined; // released in this moment
  }
}

/** Removes the lock of a dead process; one that was taken anew meanwhile is put back. */
function removeStale(file, seen) {
  const aside = `${file}.stale.${process.pid}`;
  try {
    renameSync(file, aside);
  } catch {
    return; // another process was quicker
  }
  try {
    if (textOf(aside) !== seen) linkSync(aside, file);
  } finally {
    rmSync(aside, { force: true });
  }
}

/**
 * Runs `work` while this process holds the lock file; another process that wants it waits. The file names its
 * holder, so a lock left behind by a killed process is taken over.
 */
export async function withLock(file, work, onWait) {
  mkdirSync(path.dirname(file), { recursive: true });
  const own = `${file}.${process.pid}`;
  writeFileSync(own, identityOf(process.pid) ?? String(process.pid));
  let told = false;
  try {
    for (;;) {
      try {
        linkSync(own, file); // fails if it exists: the file appears with its content, never empty
        break;
      } catch (error) {
        if (error.code !== 'EEXIST') throw error;
      }
      const seen = textOf(file);
      if (seen === undefined) continue;
      const holder = Number.parseInt(seen, 10);
      if (identityOf(holder) !== seen) {
        removeStale(file, seen);
        continue;
      }
      if (!told) onWait(holder);
      told = true;
      await delay(POLL_MS);
    }
  } finally {
    rmSync(own, { force: true });
  }
  const release = () => rmSync(file, { force: true });
  process.once('exit', release);
  try {
    return await work();
  } finally {
    process.off('exit', release);
    release();
  }
}
