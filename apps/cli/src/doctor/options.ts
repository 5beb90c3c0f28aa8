import { ADDRESS_LIST } from '@concordat/foundation';
import { isClusterName } from '@concordat/commit-protocol';
import { isParticipantName, isTopicPrefix, TOPIC_PREFIX_RULE } from '@concordat/messaging';
import { UsageError } from '../usage-error.js';

export interface DoctorOptions {
  /** URLs, one for each process of a participant or for several participants */
  readonly databases: readonly string[];
  /** with the password for all of them; undefined: it stands in the URLs or in PGPASSWORD */
  readonly databasePasswordFile: string | undefined;
  /** REST URLs */
  readonly coordinators: readonly string[];
  /** `host:port`; empty: no topics are looked at */
  readonly kafkaBrokers: readonly string[];
  readonly kafkaTls: boolean;
  readonly topicPrefix: string | undefined;
  /** undefined: the one that the database belongs to */
  readonly participant: string | undefined;
  readonly cluster: string | undefined;
  /** of the tables in the databases */
  readonly schema: string;
  readonly json: boolean;
}

/** For `parseArgs`. */
export const DOCTOR_OPTIONS = {
  database: { type: 'string', multiple: true },
  'database-password-file': { type: 'string' },
  coordinator: { type: 'string', multiple: true },
  participant: { type: 'string' },
  cluster: { type: 'string' },
  schema: { type: 'string' },
  kafka: { type: 'string' },
  'kafka-tls': { type: 'boolean' },
  'topic-prefix': { type: 'string' },
  json: { type: 'boolean' },
} as const;

export interface DoctorValues {
  readonly database?: readonly string[] | undefined;
  readonly 'database-password-file'?: string | undefined;
  readonly coordinator?: readonly string[] | undefined;
  readonly participant?: string | undefined;
  readonly cluster?: string | undefined;
  readonly schema?: string | undefined;
  readonly kafka?: string | undefined;
  readonly 'kafka-tls'?: boolean | undefined;
  readonly 'topic-prefix'?: string | undefined;
  readonly json?: boolean | undefined;
}

export const DOCTOR_HELP = `concordat doctor [options]

Runs the checks of a service's start from a shell, and more. It changes nothing. Each line is ok, a warning (it works
now, and may stop) or a failure (it does not work), with what to do. No line contains a password.

  --database <url>       postgres://user@host:port/database of a service; may be given again, for each of its processes
                         or for other services. Without its password, which others could read in the process list: that
                         stands in PGPASSWORD. TLS as in libpq: ?sslmode=verify-full&sslrootcert=ca.pem
  --database-password-file <path>
                         a file of mode 0600 with the password instead
  --coordinator <url>    http://host:port of a coordinator; may be given again
  --kafka <brokers>      host:port of brokers, separated by commas: looks at the topics, and at the rights of the
                         participant there. TLS and SASL as a service has them, by the variables KAFKA_TLS, KAFKA_TLS_CA,
                         _CERT, _KEY, KAFKA_SASL_MECHANISM, _USERNAME, _PASSWORD and _PASSWORD_FILE
  --kafka-tls            the same as KAFKA_TLS=on
  --participant <name>   the service; default: the one that the database belongs to
  --cluster <name>       default: the one that the database belongs to, or that of the coordinator
  --schema <name>        of Concordat's tables (default public)
  --topic-prefix <text>  as CONCORDAT_TOPIC_PREFIX (default concordat)
  --json                 one JSON object instead of lines
  --help                 print this text

Exit code: 0 all is well, 1 there are warnings, 2 there are failures, 64 the command line is wrong.
`;

/** @throws UsageError, which never contains a URL: it may hold a password */
export function parseDoctor(values: DoctorValues): DoctorOptions {
  const { database: databases = [], coordinator: coordinators = [], participant, cluster, kafka } = values;
  if (databases.length === 0 && coordinators.length === 0 && kafka === undefined) {
    throw new UsageError('"doctor" needs something to look at: --database, --coordinator or --kafka; or --help.');
  }
  if (!databases.every((url) => isUrl(url, ['postgres:', 'postgresql:']))) {
    throw new UsageError('--database must be a URL such as postgres://user@host:5432/database.');
  }
  for (const url of coordinators) {
    if (!isUrl(url, ['http:', 'https:'])) throw new UsageError('--coordinator must be a URL such as http://host:8081.');
    if (new URL(url).username !== '') throw new UsageError('--coordinator must be a URL without user and password.');
  }
  if (participant !== undefined && !isParticipantName(participant)) {
    throw new UsageError('--participant must be lower-case letters, digits and hyphens, at most 63.');
  }
  if (cluster !== undefined && !isClusterName(cluster)) {
    throw new UsageError('--cluster must be lower-case letters, digits and hyphens, at most 63.');
  }
  const { 'topic-prefix': topicPrefix } = values;
  if (topicPrefix !== undefined && !isTopicPrefix(topicPrefix)) {
    throw new UsageError(`--topic-prefix must be ${TOPIC_PREFIX_RULE}.`);
  }
  const kafkaBrokers = kafka === undefined ? [] : ADDRESS_LIST.parse(kafka);
  if (!kafkaBrokers) throw new UsageError(`--kafka must be ${ADDRESS_LIST.expected}.`);
  const kafkaTls = values['kafka-tls'] === true;
  const { schema = 'public', json = false } = values;
  const databasePasswordFile = values['database-password-file'];
  return {
    databases,
    databasePasswordFile,
    coordinators,
    kafkaBrokers,
    kafkaTls,
    topicPrefix,
    participant,
    cluster,
    schema,
    json,
  };
}

function isUrl(text: string, protocols: readonly string[]): boolean {
  return URL.canParse(text) && protocols.includes(new URL(text).protocol);
}
