import { parseArgs } from 'node:util';

/** What the command line asks for. */
export type Command =
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'server' }
  | { readonly kind: 'server-help' }
  | { readonly kind: 'dev'; readonly options: DevOptions };

export interface DevOptions {
  /** of the REST interface; the others follow from it */
  readonly port: number;
  /** of the data; undefined: they are gone when the process ends */
  readonly directory: string | undefined;
  readonly logLevel: string;
}

/** A command line that means nothing; `message` is the sentence to print. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const DEFAULT_PORT = 8081;
const DEFAULT_DIRECTORY = '.concordat-dev';
const DEFAULT_LOG_LEVEL = 'warn';
/** Room for the ports that lie 1,000 below and above. */
const PORTS = { lowest: 2_024, highest: 64_535 };

export const HELP = `concordat <command>

  concordat dev        a coordinator for development: one process, no Kafka, no other services
  concordat server     a coordinator of a group; its settings are environment variables, and --help lists them

concordat dev [options]

  --port <n>           port of the REST interface (default ${DEFAULT_PORT}); the port for participants lies 1,000 below,
                       that for other coordinators 1,000 above
  --directory <path>   directory of its data (default ${DEFAULT_DIRECTORY}); the next start continues with them
  --ephemeral          keep no data: they are deleted when the process ends
  --log-level <level>  debug, info, warn or error (default ${DEFAULT_LOG_LEVEL})
  --help               print this text
`;

/** @throws UsageError */
export function parseCommand(argv: readonly string[]): Command {
  const { values, positionals } = parse(argv);
  const [command, ...rest] = positionals;
  if (rest.length > 0) throw new UsageError(`"${command}" takes no further words, and there is "${rest.join(' ')}".`);
  if (command === 'server') return parseServer(values);
  if (values.help === true || command === undefined) return { kind: 'help', text: HELP };
  if (command !== 'dev') throw new UsageError(`There is no command "${command}"; there are: dev and server.`);
  return { kind: 'dev', options: parseDev(values) };
}

type Values = ReturnType<typeof parse>['values'];

function parseServer({ help, ...others }: Values): Command {
  const [option] = Object.keys(others);
  if (help === true) return { kind: 'server-help' };
  if (option === undefined) return { kind: 'server' };
  throw new UsageError(
    `"server" has no option --${option}; its settings are environment variables, and --help lists them.`,
  );
}

function parseDev(values: Values): DevOptions {
  if (values.ephemeral === true && values.directory !== undefined) {
    throw new UsageError('--ephemeral keeps no data and --directory says where; use one of them.');
  }
  const directory = values.ephemeral === true ? undefined : (values.directory ?? DEFAULT_DIRECTORY);
  return {
    port: values.port === undefined ? DEFAULT_PORT : parsePort(values.port),
    directory,
    logLevel: values['log-level'] ?? DEFAULT_LOG_LEVEL,
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        port: { type: 'string' },
        directory: { type: 'string' },
        ephemeral: { type: 'boolean' },
        'log-level': { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('. ')[0] : String(error);
    throw new UsageError(`${reason}; --help shows what there is.`, { cause: error });
  }
}

function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port >= PORTS.lowest && port <= PORTS.highest) return port;
  throw new UsageError(`--port is "${text}"; it must be a whole number from ${PORTS.lowest} to ${PORTS.highest}.`);
}
