import { parseArgs } from 'node:util';
import { argumentProblem } from '@concordat/foundation';
import { DEV_HELP, DEV_OPTIONS, parseDev, type DevOptions } from './dev-options.js';
import { DOCTOR_HELP, DOCTOR_OPTIONS, parseDoctor, type DoctorOptions } from './doctor/options.js';
import { KEY_HELP, KEY_OPTIONS, parseKey, type KeyOptions } from './messages/key-options.js';
import { ACL_OPTIONS, KAFKA_HELP, parseAcls, type AclOptions } from './messages/acl-options.js';
import {
  MIGRATE_HELP,
  MIGRATE_OPTION_NAMES,
  MIGRATE_OPTIONS,
  parseMigrate,
  type MigrateOptions,
} from './migrate/options.js';
import { parseToken, TOKEN_HELP, TOKEN_OPTIONS, type TokenOptions } from './token-options.js';
import { UsageError, withoutPasswords } from './usage-error.js';

/** What the command line asks for. */
export type Command =
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'version' }
  | { readonly kind: 'server' }
  | { readonly kind: 'server-help' }
  | { readonly kind: 'dev'; readonly options: DevOptions }
  | { readonly kind: 'doctor'; readonly options: DoctorOptions }
  | { readonly kind: 'migrate'; readonly options: MigrateOptions }
  | { readonly kind: 'token'; readonly options: TokenOptions }
  | { readonly kind: 'key'; readonly options: KeyOptions }
  | { readonly kind: 'acls'; readonly options: AclOptions };

export const HELP = `concordat <command> [options]

  concordat dev           a coordinator for development: one process, no Kafka, no other services
  concordat server        a coordinator of a group; its settings are environment variables
  concordat doctor        checks what a service needs: its database, the coordinators, the topics
  concordat migrate       makes Concordat's tables in the database of a service that may not do so itself
  concordat token create  makes an API token for the REST interface of coordinators
  concordat key create    makes a key that signs messages over Kafka
  concordat kafka acls    prints the rights that a role needs at the broker

concordat <command> --help lists the options of a command, or the settings of a server.
concordat --version prints the version.
`;

/** What the words of a command may be, and how it becomes what it asks for. */
interface Syntax {
  /** the second word, for a command of two */
  readonly second?: string;
  readonly options: readonly string[];
  readonly help: Command;
  readonly parse: (values: Values) => Command;
}

const COMMANDS: Readonly<Record<string, Syntax>> = {
  dev: {
    options: Object.keys(DEV_OPTIONS),
    help: { kind: 'help', text: DEV_HELP },
    parse: (values) => ({ kind: 'dev', options: parseDev(values) }),
  },
  server: { options: [], help: { kind: 'server-help' }, parse: () => ({ kind: 'server' }) },
  doctor: {
    options: Object.keys(DOCTOR_OPTIONS),
    help: { kind: 'help', text: DOCTOR_HELP },
    parse: (values) => ({ kind: 'doctor', options: parseDoctor(values) }),
  },
  migrate: {
    options: MIGRATE_OPTION_NAMES,
    help: { kind: 'help', text: MIGRATE_HELP },
    parse: (values) => ({ kind: 'migrate', options: parseMigrate(values) }),
  },
  token: {
    second: 'create',
    options: Object.keys(TOKEN_OPTIONS),
    help: { kind: 'help', text: TOKEN_HELP },
    parse: (values) => ({ kind: 'token', options: parseToken(values) }),
  },
  key: {
    second: 'create',
    options: Object.keys(KEY_OPTIONS),
    help: { kind: 'help', text: KEY_HELP },
    parse: (values) => ({ kind: 'key', options: parseKey(values) }),
  },
  kafka: {
    second: 'acls',
    options: Object.keys(ACL_OPTIONS),
    help: { kind: 'help', text: KAFKA_HELP },
    parse: (values) => ({ kind: 'acls', options: parseAcls(values) }),
  },
};

/** @throws UsageError */
export function parseCommand(argv: readonly string[]): Command {
  const { values, positionals } = parse(argv);
  const { help, version, ...given } = values;
  const [command, ...rest] = positionals;
  if (command === undefined || (command === 'help' && rest.length === 0)) {
    return version === true ? { kind: 'version' } : { kind: 'help', text: HELP };
  }
  if (command === 'help') return parseCommand([...rest, '--help']);
  const syntax = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined;
  if (!syntax) {
    const name = withoutPasswords(command);
    throw new UsageError(`there is no command "${name}"; there are: ${Object.keys(COMMANDS).join(', ')}.`);
  }
  const more = `concordat ${command} --help lists its ${command === 'server' ? 'settings, which are environment variables' : 'options'}`;
  if (syntax.second !== undefined) {
    if (rest[0] === syntax.second) rest.shift();
    else if (rest.length > 0 || help !== true) {
      throw new UsageError(`the only command of "${command}" is "concordat ${command} ${syntax.second}"; ${more}.`);
    }
  }
  if (rest.length > 0) {
    const words = withoutPasswords(rest.join(' '));
    throw new UsageError(`"${command}" takes no further words, and there is "${words}"; ${more}.`);
  }
  const foreign = Object.keys(given).find((option) => !syntax.options.includes(option));
  if (foreign !== undefined) throw new UsageError(`"${command}" has no option --${foreign}; ${more}.`);
  if (version === true) throw new UsageError(`"${command}" has no option --version; concordat --version prints it.`);
  return help === true ? syntax.help : syntax.parse(given);
}

type Values = Omit<ReturnType<typeof parse>['values'], 'help' | 'version'>;

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
        version: { type: 'boolean', short: 'v' },
      },
    });
  } catch (error) {
    throw new UsageError(`${withoutPasswords(argumentProblem(error))}; --help lists the options.`, { cause: error });
  }
}
