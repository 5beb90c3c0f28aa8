import { isCoordinatorUrl, shownUrl, type TlsOption } from '@concordat/foundation';
import type { Token } from '@concordat/client';
import { GlobalConfigurationError, type Destination } from '../global/index.js';
import { bothBuses, directBus, kafkaBus, type BusFactory, type KafkaBusOptions } from './buses.js';
import type { ParticipantServiceOptions } from './options.js';
import type { DatabaseLibrary } from './database-library.js';
import { settingsOf, type DataSource, type Pool, type PostgresSource } from './postgres-source.js';

/** What a service says of itself to take part in global transactions, with or without a framework. */
export interface GlobalParticipantOptions extends Omit<
  ParticipantServiceOptions,
  'postgres' | 'bus' | 'coordinators' | 'link'
> {
  /** REST URLs of the coordinators, such as `http://127.0.0.1:8081`; more than one are used when one fails */
  readonly coordinators: readonly string[];
  /**
   * shows the coordinators who calls, where they ask: an API token or a JWT with the roles `client` and
   * `participant:<name>`, or a function that is asked for each request
   */
  readonly token?: Token;
  /**
   * the certificates of this service, where the coordinators speak TLS with an authority of their own: for REST and for
   * direct streams. `tlsFiles` reads them from files. Without a token, the own one must have the roles `client` and
   * `participant`
   */
  readonly tls?: TlsOption;
  /** the service's database: a TypeORM `DataSource`, a `pg.Pool`, or settings with `connectionString` or `connection` */
  readonly postgres: PostgresSource;
  /**
   * further pools and DataSources of the same database, whose work in a global transaction is to be part of it; and
   * libraries, of which the start checks that they use one of these
   */
  readonly joining?: readonly (Pool | DataSource | DatabaseLibrary)[];
  /**
   * who is given the context of a transaction, as addressed: `host[:port]`, a Kafka topic, a queue. Everybody on the
   * list must join: a call without a proof dooms the transaction. Default: nobody
   */
  readonly propagateTo?: readonly (string | Destination)[];
  /**
   * signs contexts, the same in all services. Of several, the first signs and all verify, so that a key can be replaced.
   * Default: `CONCORDAT_CONTEXT_KEY`, the file of `CONCORDAT_CONTEXT_KEY_FILE`, or a key for development
   */
  readonly contextKey?: string | readonly string[];
  /** instead of `contextKey`: a file of mode 0600 with one key a line, read again when it changes */
  readonly contextKeyFile?: string;
  /** the road to the coordinators, as their `CONCORDAT_LINK`; default `direct` */
  readonly link?: 'direct' | 'kafka' | 'both';
  /** needed with `link: 'kafka'` and `'both'` */
  readonly kafka?: KafkaBusOptions;
  /** what the end of a beginning method waits for; default `ended`: a read right after sees the changes everywhere */
  readonly waitFor?: 'decided' | 'ended';
  /**
   * whether transactions begin with the request to commit them, which saves a request: over direct streams without
   * credentials, in two phases and without metadata. Such a transaction does not survive a change of the leader in its
   * first 250 ms. The same in all services. Default false
   */
  readonly beginWithCommit?: boolean;
  /** how long after the deadline a requested commit is asked about, in milliseconds; default 30,000 */
  readonly outcomeLimitMs?: number;
  /** instead of the road that `link` names */
  readonly bus?: BusFactory;
}

/** What the participant itself needs of them. @throws GlobalConfigurationError */
export function serviceOptionsOf(options: GlobalParticipantOptions): ParticipantServiceOptions {
  const { link = 'direct', ...others } = options;
  const postgres = settingsOf(options.postgres);
  // a bus of the service's own may take any road
  return options.bus ? { ...others, postgres, bus: options.bus } : { ...others, postgres, link, bus: busOf(options) };
}

function busOf({ link = 'direct', coordinators, token, tls, kafka }: GlobalParticipantOptions): BusFactory {
  const direct = { coordinators, ...(token !== undefined && { token }), ...(tls && { tls }) };
  if (link === 'direct') return directBus(direct);
  if (!kafka) {
    throw new GlobalConfigurationError(
      `link is "${link}" and kafka is missing; give kafka: { brokers: ['host:9092'], clientId: '…' }, or use link: 'direct'`,
    );
  }
  return link === 'kafka' ? kafkaBus(kafka) : bothBuses({ ...kafka, ...direct });
}

const LINKS = ['direct', 'kafka', 'both'];
const COORDINATOR = 'http://127.0.0.1:8081';

const OPTION_NAMES: Readonly<Record<keyof GlobalParticipantOptions, true>> = {
  participant: true,
  coordinators: true,
  postgres: true,
  joining: true,
  propagateTo: true,
  cluster: true,
  link: true,
  kafka: true,
  bus: true,
  topicPrefix: true,
  instance: true,
  token: true,
  tls: true,
  contextKey: true,
  contextKeyFile: true,
  waitFor: true,
  beginWithCommit: true,
  outcomeLimitMs: true,
  payloadCodecs: true,
  limits: true,
  beforeConsuming: true,
  beforeConsumingTimeoutMs: true,
  onFatal: true,
  onAlert: true,
  logger: true,
  tracing: true,
  failpoints: true,
  clock: true,
  random: true,
};

/**
 * @param where begins the sentence
 * @param furtherNames of options that only the caller knows
 * @throws GlobalConfigurationError with a sentence that says what to set
 */
export function checkGlobalParticipantOptions(
  options: GlobalParticipantOptions,
  where: string,
  furtherNames: readonly string[] = [],
): void {
  const { participant, coordinators, link = 'direct', postgres } = options;
  const refuse = (sentence: string): never => {
    throw new GlobalConfigurationError(`${where}: ${sentence}`);
  };
  const names = [...Object.keys(OPTION_NAMES), ...furtherNames];
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown !== undefined) refuse(`there is no option "${unknown}"; use ${names.join(', ')}`);
  if (participant === undefined)
    refuse('participant is missing; give the service a name, such as participant: "orders"');
  if (typeof participant !== 'string' || !/^[a-z0-9][a-z0-9-]{0,62}$/.test(participant)) {
    refuse(`participant is "${participant}"; use a name of lower-case letters, digits and hyphens, at most 63`);
  }
  if (!Array.isArray(coordinators) || coordinators.length === 0) {
    const what = coordinators === undefined ? 'missing' : Array.isArray(coordinators) ? 'empty' : 'no list';
    refuse(`coordinators is ${what}; give the URL of at least one, such as ["${COORDINATOR}"] (npx concordat dev)`);
  }
  const wrong = coordinators.find((url) => !isCoordinatorUrl(url));
  if (wrong !== undefined) refuse(`coordinators has ${shownUrl(wrong)}; use URLs such as ${COORDINATOR}`);
  const tooLong = coordinators.find((url) => /\/v1(\/|$)/.test(new URL(url).pathname));
  if (tooLong !== undefined)
    refuse(`coordinators has "${tooLong}"; leave out what begins with /v1, as in ${COORDINATOR}`);
  if (!LINKS.includes(link)) refuse(`link is "${link}"; use direct, kafka or both`);
  if (typeof postgres !== 'object' || postgres === null) {
    refuse('postgres is missing; give a TypeORM DataSource, a pg.Pool, or { connectionString: "postgres://…" }');
  }
  if (link !== 'direct' && !options.kafka && !options.bus) {
    refuse(`link is "${link}" and kafka is missing; give kafka: { brokers: ['host:9092'], clientId: '…' }`);
  }
}
