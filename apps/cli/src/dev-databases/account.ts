import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { DevDatabasesError } from './errors.js';

/** The user that runs PostgreSQL. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** Exists on every Linux and macOS, and owns nothing. */
const NOBODY = 'nobody';

/** Root's place for files that another user must reach when the working directory is closed to it. */
export const ROOTS_FOLDER = '/var/lib/concordat';

/** PostgreSQL refuses to run as root: then it runs as `nobody`. Undefined: the user of this process. */
export function serverAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const [uid, gid] = [idOf('-u'), idOf('-g')];
  if (uid !== undefined && gid !== undefined) return { uid, gid };
  throw new DevDatabasesError(
    `PostgreSQL refuses to run as root, and there is no user "${NOBODY}" to run it; run concordat dev as another user`,
  );
}

function idOf(flag: string): number | undefined {
  const { status, stdout } = spawnSync('id', [flag, NOBODY], { encoding: 'utf8' });
  return status === 0 ? Number(stdout) : undefined;
}

/** Whether every user may enter the folder and all above it. */
export function isOpenToAll(folder: string): boolean {
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    if (existsSync(at) && (statSync(at).mode & 0o001) === 0) return false;
    if (at === path.dirname(at)) return true;
  }
}
