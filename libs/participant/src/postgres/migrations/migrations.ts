import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { escapeIdentifier } from 'pg';
import { errorMessage } from '@concordat/foundation';

/** A step of the ledger's schema. Released steps never change. */
export interface LedgerMigration {
  /** 1, 2, 3 …: the number in its file name */
  readonly version: number;
  /** with `:CONCORDAT_SCHEMA` for the quoted name of the schema; psql's `-v` can set it as well */
  readonly text: string;
}

const FILE = /^(\d{6})\.sql$/;

/**
 * Reads the migrations, `000001.sql` and so on, from the folder of this module.
 *
 * @throws Error when one is missing: the program was not built or packed completely
 */
export async function readMigrations(folder = import.meta.dirname): Promise<readonly LedgerMigration[]> {
  const files = (await readdir(folder)).filter((name) => FILE.test(name)).sort();
  if (files.length === 0) throw incomplete(folder, 'it holds no migrations');
  return Promise.all(
    files.map(async (name, index) => {
      const version = Number(FILE.exec(name)?.[1]);
      if (version !== index + 1) throw incomplete(folder, `migration ${index + 1} is missing`);
      return { version, text: await read(folder, name) };
    }),
  );
}

/** The statements of a migration, for the tables of one schema. */
export function migrationFor(schema: string, { text }: LedgerMigration): string {
  return text.replaceAll(':CONCORDAT_SCHEMA', () => escapeIdentifier(schema));
}

async function read(folder: string, name: string): Promise<string> {
  try {
    return await readFile(path.join(folder, name), 'utf8');
  } catch (cause) {
    throw incomplete(folder, `${name} cannot be read: ${errorMessage(cause)}`);
  }
}

function incomplete(folder: string, what: string): Error {
  return new Error(`the folder ${folder} of this program is incomplete: ${what}; install or build the program again`);
}
