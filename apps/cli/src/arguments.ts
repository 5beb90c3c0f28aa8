import { parseArgs } from 'node:util';

/** What the command line asks for. */
export type Command =
  { readonly kind: 'help'; readonly text: string } | { readonly kind: 'dev'; readonly options: DevOptions };

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
/** Room for the ports that lie 1,000 below and above. */
const PORTS = { lowest: 2_024, highest: 64_535 };

export const HELP = `concordat <command>

  concordat dev        a coordinator for development: one process, no Kafka, no other services

concordat dev [options]

  --port <n>           port of the REST interface (default ${DEFAULT_PORT}); the port for participants lies 1,000 below,
                       that for other coordinators 1,000 above
  --directory <path>   directory of its data (default ${DEFAULT_DIRECTORY}); the next start continues with them
  --ephemeral          keep no data: they are deleted when the process ends
  --log-level <level>  debug, info, warn or error (default warn)
  --help               print this text
`;

/** @throws UsageError */
export function parseCommand(argv: readonly string[]): Command {
  const { values, positionals } = parse(argv);
  const [command, ...rest] = positionals;
  if (values.help === true || command === undefined) return { kind: 'help', text: HELP };
  if (command !== 'dev') throw new UsageError(`There is no command "${command}"; there is: dev.`);
  if (rest.length > 0) throw new UsageError(`"dev" takes no further words, and there is "${rest.join(' ')}".`);
  if (values.ephemeral === true && values.directory !== undefined) {
    throw new UsageError('--ephemeral keeps no data and --directory says where; use one of them.');
  }
  const directory = values.ephemeral === true ? undefined : (values.directory ?? DEFAULT_DIRECTORY);
  return { kind: 'dev', options: { port: parsePort(values.port), directory, logLevel: values['log-level'] } };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        port: { type: 'string', default: String(DEFAULT_PORT) },
        directory: { type: 'string' },
        ephemeral: { type: 'boolean' },
        'log-level': { type: 'string', default: 'warn' },
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
