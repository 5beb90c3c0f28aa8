import { spawnSync } from 'node:child_process';
import type { ServerAccount } from '@concordat/foundation';
import { DevDatabasesError } from './errors.js';

/** Exists on every Linux and macOS, and owns nothing. */
const NOBODY = 'nobody';

/** PostgreSQL refuses to run as root: then it runs as `nobody`. Undefined: the user of this process. */
export function serverAccount(): ServerAccount | undefined {
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
