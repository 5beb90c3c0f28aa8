import { isClusterName } from '@concordat/commit-protocol';
import { isParticipantName } from '@concordat/messaging';
import { UsageError } from '../usage-error.js';

export interface MigrateOptions {
  /** URL of a role that owns the schema */
  readonly database: string;
  /** undefined: the password stands in PGPASSWORD, or in the URL */
  readonly passwordFile: string | undefined;
  readonly schema: string;
  /** role of the participant at work; undefined: nobody is granted anything */
  readonly grantTo: string | undefined;
  /** whose database it becomes; undefined: that of the first participant that starts */
  readonly owner: { readonly participant: string; readonly cluster: string } | undefined;
}

/** For `parseArgs`; the others are those of "doctor". */
export const MIGRATE_OPTIONS = {
  'grant-to': { type: 'string' },
} as const;

/** What "migrate" has in common with "doctor". */
export const MIGRATE_OPTION_NAMES = [
  'database',
  'database-password-file',
  'schema',
  'participant',
  'cluster',
  ...Object.keys(MIGRATE_OPTIONS),
];

interface Values {
  readonly database?: readonly string[] | undefined;
  readonly 'database-password-file'?: string | undefined;
  readonly schema?: string | undefined;
  readonly participant?: string | undefined;
  readonly cluster?: string | undefined;
  readonly 'grant-to'?: string | undefined;
}

export const MIGRATE_HELP = `concordat migrate [options]

Makes Concordat's tables in the database of a service, or migrates them, with a role that owns their schema. Then the
service can work with a role that owns nothing. All of it happens, or nothing; to repeat it is safe. Services that run
the former release go on.

  --database <url>       postgres://role@host:port/database; TLS as in libpq: ?sslmode=verify-full&sslrootcert=ca.pem.
                         Without its password, which others could read in the process list: that stands in PGPASSWORD
  --database-password-file <path>
                         a file of mode 0600 with the password instead
  --schema <name>        of the tables; it must exist (default public)
  --grant-to <role>      the role of the service at work: is granted what it needs, and no more
  --participant <name>   the service: the database becomes its own (default: that of the first one that starts on it)
  --cluster <name>       its cluster (default local)
  --help                 print this text

Exit code: 0 it is done, 1 it failed and nothing has changed, 64 the command line is wrong.
`;

/** @throws UsageError, which never contains a URL: it may hold a password */
export function parseMigrate(values: Values): MigrateOptions {
  const { participant, cluster, schema = 'public' } = values;
  const [database, ...others] = values.database ?? [];
  if (database === undefined || others.length > 0) {
    throw new UsageError('"migrate" needs --database, once; concordat migrate --help lists the options.');
  }
  if (!URL.canParse(database) || !/^postgres(ql)?:$/.test(new URL(database).protocol)) {
    throw new UsageError('--database must be a URL such as postgres://role@host:5432/database.');
  }
  if (participant !== undefined && !isParticipantName(participant)) {
    throw new UsageError('--participant must be lower-case letters, digits and hyphens, at most 63.');
  }
  if (cluster !== undefined && !isClusterName(cluster)) {
    throw new UsageError('--cluster must be lower-case letters, digits and hyphens, at most 63.');
  }
  if (cluster !== undefined && participant === undefined) {
    throw new UsageError('--cluster is that of --participant, which is missing.');
  }
  const grantTo = values['grant-to'];
  if (grantTo?.trim() === '') throw new UsageError('--grant-to must be the name of a role.');
  return {
    database,
    passwordFile: values['database-password-file'],
    schema,
    grantTo,
    owner: participant === undefined ? undefined : { participant, cluster: cluster ?? 'local' },
  };
}
