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

/** Functions of Node.js that make something on a disk. */
export const MAKING: ReadonlySet<string> = new Set(
  ['writeFile', 'appendFile', 'open', 'mkdir', 'mkdtemp', 'copyFile', 'cp', 'symlink', 'link'].flatMap((name) => [
    name,
    `${name}Sync`,
  ]),
).add('createWriteStream');
