/** A file or a directory that shipped code makes. */
export interface FileRule {
  /** for people */
  readonly what: string;
  /** with which it is made; a list: it depends, as `why` says; undefined: nothing is made that has a mode */
  readonly mode: number | undefined;
  /** where the mode is not that of a secret (0600, 0700) */
  readonly why?: string;
}

const RAFT = 'libs/raft/src/storage/file-system.ts';

/** Each place in the sources that makes a file, and with which mode. `docs/security.md` has the table. */
export const FILE_RULES: Readonly<Record<string, FileRule>> = {
  [`${RAFT} mkdir`]: { what: 'data directory of a coordinator, with its log and snapshots', mode: 0o700 },
  [`${RAFT} open 2`]: { what: 'segments of the log, snapshots', mode: 0o600 },
  [`${RAFT} open 3`]: { what: 'the same, opened again', mode: undefined, why: 'the file is there' },
  [`${RAFT} writeFile`]: { what: 'small files of the data directory (identity, claim)', mode: 0o600 },
  'libs/raft/src/storage/directory-claim.ts mkdtemp': {
    what: 'directory with a short link to a data directory, while it is claimed',
    mode: undefined,
    why: 'Node.js makes it with 0700',
  },
  'libs/raft/src/storage/directory-claim.ts symlink': {
    what: 'the link in it',
    mode: undefined,
    why: 'what it leads to has its own',
  },
  'apps/coordinator/src/auth/audit-log.ts appendFileSync 1': { what: 'audit (`CONCORDAT_AUDIT_FILE`)', mode: 0o600 },
  'apps/coordinator/src/auth/audit-log.ts appendFileSync 2': { what: 'the same, a line', mode: 0o600 },
  'apps/cli/src/messages/key.ts writeFileSync': { what: 'signing key of `concordat key create`', mode: 0o600 },
  'apps/cli/src/dev.ts mkdtempSync': {
    what: 'data directory of `concordat dev --ephemeral`',
    mode: undefined,
    why: 'Node.js makes it with 0700',
  },
  'apps/cli/src/dev.ts chmodSync': {
    what: 'data directory of `concordat dev --ephemeral` with databases',
    mode: 0o755,
    why: 'the user of PostgreSQL must enter it; the data in it have 0700',
  },
  'apps/cli/src/dev-databases/index.ts mkdirSync': {
    what: 'directory of `concordat dev`',
    mode: 0o700,
    why: '0755 for root, whose PostgreSQL runs as another user and must enter it',
  },
  'apps/cli/src/dev-databases/data-directory.ts mkdirSync 1': {
    what: 'folder above the data of its PostgreSQL',
    mode: 0o755,
    why: 'the user of PostgreSQL must enter it; the data in it have 0700',
  },
  'apps/cli/src/dev-databases/data-directory.ts mkdirSync 2': { what: 'data of its PostgreSQL', mode: 0o700 },
  'apps/cli/src/dev-databases/data-directory.ts writeFileSync': {
    what: 'password of its superuser, while the cluster is made',
    mode: 0o600,
  },
  'apps/cli/src/dev-databases/postgres-server.ts openSync': { what: 'log of its PostgreSQL', mode: 0o600 },
  'libs/foundation/src/embedded-postgres.ts mkdirSync': {
    what: 'folder for a copy of its programs',
    mode: 0o755,
    why: 'everybody may run PostgreSQL',
  },
  'libs/foundation/src/embedded-postgres.ts cpSync': {
    what: 'the copy',
    mode: undefined,
    why: 'the modes of the programs',
  },
  'libs/foundation/src/embedded-postgres.ts symlinkSync': {
    what: 'links between its libraries',
    mode: undefined,
    why: 'what they lead to has its own',
  },
};

const SYSTEM = 'apps/lab/src/local-system';
const ENTERED = 'the user of PostgreSQL must enter it where root starts the system; what is in it has its own';

/** The same of the local system, the lab, and `@concordat/testing`: not for production, so the document has them not. */
export const LAB_FILE_RULES: Readonly<Record<string, FileRule>> = {
  [`${SYSTEM}/supervisor.ts mkdirSync 1`]: { what: 'directory of the system', mode: undefined, why: ENTERED },
  [`${SYSTEM}/system-file.ts mkdirSync`]: { what: 'the same', mode: undefined, why: ENTERED },
  [`${SYSTEM}/system-file.ts writeFileSync`]: { what: 'what runs, with passwords of databases', mode: 0o600 },
  [`${SYSTEM}/file-lock.ts writeFileSync`]: { what: 'lock', mode: undefined, why: 'it has the id of a process only' },
  [`${SYSTEM}/file-lock.ts linkSync`]: { what: 'lock, taken', mode: undefined, why: 'that of the lock' },
  [`${SYSTEM}/supervisor.ts mkdirSync 2`]: { what: 'the same', mode: undefined, why: ENTERED },
  [`${SYSTEM}/supervisor.ts mkdirSync 3`]: { what: 'directory of logs', mode: 0o700 },
  [`${SYSTEM}/supervisor.ts openSync`]: { what: 'log of the supervisor', mode: 0o600 },
  [`${SYSTEM}/part.ts mkdirSync`]: { what: 'directory of logs', mode: 0o700 },
  [`${SYSTEM}/part.ts openSync`]: { what: 'log of a part', mode: 0o600 },
  [`${SYSTEM}/security/secret-files.ts mkdirSync`]: { what: 'directory of credentials', mode: 0o700 },
  [`${SYSTEM}/security/secret-files.ts writeFileSync`]: { what: 'credentials', mode: 0o600 },
  [`${SYSTEM}/services.ts mkdirSync`]: { what: 'data directory of a coordinator', mode: 0o700 },
  [`${SYSTEM}/kafka-programs.ts mkdirSync`]: { what: 'programs of Kafka', mode: undefined, why: 'they are public' },
  [`${SYSTEM}/kafka.ts mkdirSync`]: { what: 'data of the broker', mode: 0o700 },
  [`${SYSTEM}/kafka.ts writeFileSync`]: { what: 'settings of the broker, with passwords', mode: 0o600 },
  [`${SYSTEM}/postgres.ts mkdirSync 1`]: { what: 'data of PostgreSQL, while they are made', mode: 0o700 },
  [`${SYSTEM}/postgres.ts writeFileSync 1`]: { what: 'password of its superuser, while they are made', mode: 0o600 },
  [`${SYSTEM}/postgres.ts writeFileSync 2`]: { what: 'its certificates and keys', mode: 0o600 },
  [`${SYSTEM}/postgres.ts mkdirSync 2`]: { what: 'folder above its data', mode: 0o755, why: ENTERED },
  [`${SYSTEM}/standby.ts mkdirSync`]: { what: 'the same of a standby', mode: undefined, why: ENTERED },
  [`${SYSTEM}/standby.ts writeFileSync`]: { what: 'mark of a standby', mode: undefined, why: 'it is empty' },
  [`${SYSTEM}/standby.ts appendFileSync`]: { what: 'its settings', mode: undefined, why: 'the file is a copy' },
  'apps/lab/src/scenarios/clock-steps.ts writeFileSync': {
    what: 'a time for the clock of a node',
    mode: undefined,
    why: 'it is no secret',
  },
  'libs/testing/src/databases/embedded-server.ts mkdtempSync': {
    what: 'data of a PostgreSQL of tests',
    mode: undefined,
    why: 'Node.js makes it with 0700',
  },
  'libs/testing/src/databases/embedded-server.ts chmodSync': {
    what: 'the same, opened',
    mode: 0o755,
    why: 'the user of PostgreSQL must enter it where root runs the tests; the data in it have 0700',
  },
};

/** Functions of Node.js that make something on a disk, or open it to others. */
export const MAKING: ReadonlySet<string> = new Set(
  [
    'writeFile',
    'appendFile',
    'open',
    'mkdir',
    'mkdtemp',
    'copyFile',
    'cp',
    'symlink',
    'link',
    'chmod',
    'fchmod',
  ].flatMap((name) => [name, `${name}Sync`]),
).add('createWriteStream');
