/** Reads what others may not have read or changed; everything secret or trusted goes through it. */
const PRIVATE = 'libs/foundation/src/private-file.ts readFileSync';

/**
 * Each place in the sources that reads a file by itself, and why nothing there has to be checked first. A file with a
 * secret, or with what is trusted, is read by `readPrivateFile`, which looks at its mode.
 */
export const READING_RULES: Readonly<Record<string, string>> = {
  [PRIVATE]: 'it checks the mode',
  'apps/cli/src/dev-databases/data-directory.ts readFileSync 1': 'the version of PostgreSQL, in its own data',
  'apps/cli/src/dev-databases/data-directory.ts readFileSync 2': 'the id of its process, in its own data',
  'apps/cli/src/dev-databases/postgres-server.ts readFileSync': 'its log, to show the end of it',
  'apps/coordinator/src/debug-clock.ts readFileSync': 'CONCORDAT_CLOCK_FILE: for tests and demos only',
  'apps/coordinator/src/health-check.ts readFileSync 1': 'a certificate; it was checked with the configuration',
  'apps/coordinator/src/health-check.ts readFileSync 2': 'its key; it was checked with the configuration',
  'apps/coordinator/src/http/openapi.ts readFile': 'the page of the documentation, from its package',
  'libs/foundation/src/embedded-postgres.ts readFileSync 1': 'a list of links, from its package',
  'libs/foundation/src/embedded-postgres.ts readFileSync 2': 'the manifest of its package',
  'libs/foundation/src/open-files.ts readFileSync': 'limits of the process, from the kernel',
  'libs/participant/src/postgres/migrations/migrations.ts readFile': 'SQL, from this package',
  'libs/raft/src/storage/file-system.ts readFile': 'the data directory, which is made for its owner alone',
  'libs/raft/src/storage/process-table.ts readFileSync 1': 'the id of the boot, from the kernel',
  'libs/raft/src/storage/process-table.ts readFileSync 2': 'the start of a process, from the kernel',
};

/** Functions of Node.js that read a file. */
export const READING: ReadonlySet<string> = new Set(['readFile', 'readFileSync', 'createReadStream']);
