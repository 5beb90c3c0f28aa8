import { parseArgs } from 'node:util';
import { argumentProblem } from '@concordat/foundation';
import { LabError } from './lab-error.js';
import { LINKS, PART_NAMES, SHOP_SERVICES, type Link, type PartName } from './local-system/ports.js';

/** The directory of a local system, and the selected parts. */
export interface SystemOptions {
  /** data, logs and `system.json`; a path, relative to the repository unless absolute */
  readonly directory: string;
  /** added to every port, so that a second system can run beside the first */
  readonly portOffset: number;
  readonly only: readonly PartName[];
  /** whether everything speaks TLS and wants credentials; undefined: as the running system, or not */
  readonly isSecure: boolean | undefined;
  /** the roads between coordinators and banks; undefined: those of the running system, or Kafka */
  readonly link: Link | undefined;
}

export type Command =
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'start'; readonly detach: boolean; readonly fresh: boolean; readonly system: SystemOptions }
  | { readonly kind: 'stop'; readonly system: SystemOptions }
  | { readonly kind: 'list' }
  | { readonly kind: 'restart'; readonly names: readonly string[]; readonly system: SystemOptions }
  | {
      readonly kind: 'scenarios';
      readonly names: readonly string[];
      /** the crash points that `crash-everywhere` visits; undefined: all */
      readonly points: RegExp | undefined;
      readonly system: SystemOptions;
    };

/** The only scenario that takes `--points`. */
const CRASH_EVERYWHERE = 'crash-everywhere';

/** In the repository. */
export const DEFAULT_DIRECTORY = '.concordat';

const DIRECTORY = `
  --directory <path>   directory of data, logs and system.json (default ${DEFAULT_DIRECTORY})`;
const OPTIONS = `
  --port-offset <n>    number added to every port, for a second system on this machine (default 0)
  --link <road>        between coordinators and banks: ${LINKS.join(', ')} (default kafka); direct starts no Kafka
  --secure             TLS, signatures and credentials everywhere, with an authority of its own (see docs/security.md)
  --only <a,b,c>       start only these parts: ${inRows([...PART_NAMES, ...SHOP_SERVICES], 5).join(`,\n${' '.repeat(23)}`)}`;

const HELP_OPTION = `
  --help               print this text`;

export const HELP = {
  start: `npm start [-- options]

Starts Kafka, one PostgreSQL server per bank, three coordinators and three banks. Runs one transfer, then stays up
until Ctrl-C. The data stays in .concordat; the next start uses it.

  --shop               start the demo shop, too: ${SHOP_SERVICES.join(', ')}, three NestJS services (see docs/shop.md)
  --detach             return when the system is ready; "npm stop" stops it
  --fresh              delete the data of earlier runs first${DIRECTORY}${OPTIONS}${HELP_OPTION}

Without Java 17 and Maven, and without KAFKA_BROKERS or KAFKA_HOME, it runs on direct streams, as with --link direct.

KAFKA_BROKERS, DATABASE_URL_BANK_A (_B, _C): use this broker or server instead of starting one.
KAFKA_HOME: use this unpacked Kafka. KAFKA_PROPERTIES: lines added to the configuration of the local broker.
CONCORDAT_LAB_KAFKA_FORMAT: words for the first format of its storage, such as --add-scram with a user.
CONCORDAT_LAB_KAFKA_JAVA_OPTIONS: options of its JVM, instead of the quick compiler only (-XX:TieredStopAtLevel=1).
CONCORDAT_LAB_SIGNATURES: with --secure, how messages over Kafka are signed: ed25519 (default) or hmac-sha256.`,
  stop: `npm stop [-- options]

Stops the local system. The data stays.
${DIRECTORY}${HELP_OPTION}`,
  lab: `npm run lab -- list                 list the failure scenarios, and the links on which each runs
npm run lab -- <scenario …>         run scenarios; the exit code is 0 only if every invariant held
npm run lab -- all                  run all scenarios that make sense on the link, with a table at the end
npm run lab -- restart <name …>     restart parts that have died, such as coordinator-2 postgres-a

A scenario uses the running system, or starts one and stops it afterwards. intruder and rotate-certificates need a
secured system; unless one runs, they start one beside it, in <directory>-secure and on ports that are 600 higher.

  --points <regexp>    crash-everywhere visits only the crash points whose names match, such as undecided or "\\.acceptor-"
${DIRECTORY}${OPTIONS}${HELP_OPTION}`,
};

const PARSE_OPTIONS = {
  directory: { type: 'string' },
  'port-offset': { type: 'string' },
  only: { type: 'string' },
  link: { type: 'string' },
  points: { type: 'string' },
  secure: { type: 'boolean' },
  shop: { type: 'boolean' },
  detach: { type: 'boolean' },
  fresh: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** Parses the command line. @throws LabError with the sentence to print */
export function parseCommand(argv: readonly string[]): Command {
  const { values, positionals } = parse(argv);
  const [command, ...rest] = positionals;
  if (command === undefined) return { kind: 'help', text: `${HELP.start}\n\n${HELP.stop}\n\n${HELP.lab}` };
  if (command !== 'start' && command !== 'stop' && command !== 'lab') {
    throw new LabError(`There is no command "${command}"; there are start, stop and lab.`);
  }
  if (values.help === true) return { kind: 'help', text: HELP[command] };
  if (command !== 'start' && (values.detach === true || values.fresh === true || values.shop === true)) {
    throw new LabError(`--detach, --fresh and --shop belong to "npm start", not to "${command}".`);
  }
  if (command === 'stop' && values.only !== undefined) {
    throw new LabError('"stop" ends the whole system of its --directory, and has no option --only.');
  }
  if (command !== 'lab' && values.points !== undefined) {
    throw new LabError(`--points belongs to "npm run lab -- ${CRASH_EVERYWHERE}", not to "${command}".`);
  }
  const system: SystemOptions = {
    directory: values.directory ?? DEFAULT_DIRECTORY,
    portOffset: parsePortOffset(values['port-offset']),
    only: parseOnly(values.only, values.shop === true),
    link: parseLink(values.link),
    isSecure: values.secure,
  };
  if (command === 'lab') return parseLab(rest, values.points, system);
  if (rest.length > 0) throw new LabError(`"${command}" takes no further arguments, but there is "${rest.join(' ')}".`);
  if (command === 'stop') return { kind: 'stop', system };
  return { kind: 'start', detach: values.detach === true, fresh: values.fresh === true, system };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: PARSE_OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new LabError(`${argumentProblem(error)}; --help lists the options.`, { cause: error });
  }
}

function parseLab(words: readonly string[], points: string | undefined, system: SystemOptions): Command {
  const [first, ...rest] = words;
  if (first === undefined) return { kind: 'help', text: HELP.lab };
  if (points !== undefined && !words.some((word) => word === CRASH_EVERYWHERE || word === 'all')) {
    throw new LabError(`--points belongs to "${CRASH_EVERYWHERE}", which "lab ${words.join(' ')}" does not run.`);
  }
  if (first === 'list') return { kind: 'list' };
  if (first !== 'restart') return { kind: 'scenarios', names: words, points: parsePoints(points), system };
  if (rest.length === 0)
    throw new LabError('"restart" takes the names of parts that have died, such as coordinator-2.');
  return { kind: 'restart', names: rest, system };
}

function parsePoints(text: string | undefined): RegExp | undefined {
  if (text === undefined) return undefined;
  try {
    return new RegExp(text, 'u');
  } catch (error) {
    throw new LabError(`--points is "${text}", which is not a regular expression.`, { cause: error });
  }
}

const MAXIMUM_PORT_OFFSET = 50_000;

function parsePortOffset(text: string | undefined): number {
  if (text === undefined) return 0;
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= MAXIMUM_PORT_OFFSET) return value;
  throw new LabError(`--port-offset is "${text}"; it must be a whole number from 0 to ${MAXIMUM_PORT_OFFSET}.`);
}

function parseLink(text: string | undefined): Link | undefined {
  if (text === undefined) return undefined;
  const link = LINKS.find((candidate) => candidate === text);
  if (link !== undefined) return link;
  throw new LabError(`--link is "${text}"; it must be one of ${LINKS.join(', ')}.`);
}

function parseOnly(text: string | undefined, withShop: boolean): readonly PartName[] {
  const names = text === undefined ? PART_NAMES : text.split(',').map((name) => parsePartName(name.trim()));
  return withShop ? [...new Set([...names, ...SHOP_SERVICES])] : names;
}

function parsePartName(text: string): PartName {
  const names = [...PART_NAMES, ...SHOP_SERVICES];
  const known = names.find((candidate) => candidate === text);
  if (known !== undefined) return known;
  throw new LabError(`--only names "${text}", which is not a part; there are ${names.join(', ')}.`);
}

function inRows(names: readonly string[], length: number): string[] {
  const first = names.slice(0, length).join(', ');
  return names.length > length ? [first, ...inRows(names.slice(length), length)] : [first];
}
