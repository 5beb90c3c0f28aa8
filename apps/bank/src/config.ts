import {
  ADDRESS_LIST,
  CLIENT_TLS_VARIABLES,
  LISTENING_ADDRESS,
  LOG_LEVELS,
  checkClientTls,
  clientTlsPaths,
  deepFreeze,
  failpointVariable,
  isCoordinatorUrl,
  oneOf,
  readVariables,
  wholeNumber,
  type Address,
  type Environment,
  type FailpointSettings,
  type LogLevel,
  type TlsFilePaths,
  type Variable,
  type VariableProblem,
  type VariableValues,
} from '@concordat/foundation';
import {
  DEFAULT_PARTICIPANT_LIMITS,
  DEFAULT_TOPIC_PREFIX,
  KAFKA_VARIABLES,
  LINKS,
  PARTICIPANT_FAILPOINTS,
  TOPIC_PREFIX_RULE,
  isClusterName,
  isParticipantName,
  isTopicPrefix,
  SIGNATURE_VARIABLES,
  checkKafka,
  checkSignatures,
  kafkaSecurity,
  signatureSettings,
  type KafkaSecurity,
  type Link,
  type PostgresConnectionSettings,
  type SignatureSettings,
} from '@concordat/nestjs';
import { DATABASE_VARIABLES, checkDatabase, databaseSettings } from './database-variables.js';

/** The configuration of a bank: read, checked and frozen once, in `main`. */
export interface Config {
  readonly participant: string;
  readonly http: Address;
  readonly database: PostgresConnectionSettings;
  readonly link: Link;
  /** empty with the link `direct` */
  readonly kafkaBrokers: readonly string[];
  /** empty with the link `kafka` */
  readonly coordinators: readonly string[];
  /** its certificates for the coordinators; undefined: plain text */
  readonly tls: TlsFilePaths | undefined;
  /** TLS and SASL to the brokers; undefined: plain text, and it does not say who it is */
  readonly kafkaSecurity: KafkaSecurity | undefined;
  readonly cluster: string;
  readonly topicPrefix: string;
  /** of messages over Kafka; undefined: they are not signed */
  readonly signatures: SignatureSettings | undefined;
  readonly logLevel: LogLevel;
  /** how long a three-phase branch waits for a coordinator before it decides with the others, in milliseconds */
  readonly terminationTimeoutMs: number;
  readonly failpoints: FailpointSettings;
}

export type ConfigResult =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly problems: readonly VariableProblem[] };

/** With less than a message takes under load, branches would decide while a coordinator is answering. */
const SHORTEST_TIMEOUT_MS = 100;
const MAXIMUM_TIMEOUT_MS = 3_600_000;

function parseCoordinators(text: string): string[] | undefined {
  const urls = text.split(',').map((url) => url.trim());
  return urls.every(isCoordinatorUrl) ? urls : undefined;
}

function variable<Value>(description: Variable<Value>): Variable<Value> {
  return description;
}

/** Its environment variables. */
export const VARIABLES = {
  CONCORDAT_PARTICIPANT: variable({
    default: undefined,
    expected: 'the name of this bank: lower-case letters, digits and hyphens, such as bank-a',
    parse: (text) => (isParticipantName(text) ? text : undefined),
  }),
  CONCORDAT_HTTP: variable({ default: undefined, ...LISTENING_ADDRESS }),
  ...DATABASE_VARIABLES,
  CONCORDAT_LINK: variable({ default: 'kafka', ...oneOf(LINKS) }),
  KAFKA_BROKERS: variable({ default: null, ...ADDRESS_LIST }),
  CONCORDAT_COORDINATORS: variable({
    default: null,
    isSecret: true, // a wrong one may have a password
    expected: 'http://host:port or https://host:port of coordinators, separated by commas',
    parse: parseCoordinators,
  }),
  ...CLIENT_TLS_VARIABLES,
  CONCORDAT_CLUSTER: variable({
    default: 'local',
    expected: 'at most 63 lower-case letters, digits and hyphens, not starting with a hyphen',
    parse: (text) => (isClusterName(text) ? text : undefined),
  }),
  CONCORDAT_TOPIC_PREFIX: variable({
    default: DEFAULT_TOPIC_PREFIX,
    expected: TOPIC_PREFIX_RULE,
    parse: (text) => (isTopicPrefix(text) ? text : undefined),
  }),
  ...SIGNATURE_VARIABLES,
  ...KAFKA_VARIABLES,
  CONCORDAT_LOG_LEVEL: variable({ default: 'info', ...oneOf(LOG_LEVELS) }),
  CONCORDAT_TERMINATION_TIMEOUT_MS: variable({
    default: String(DEFAULT_PARTICIPANT_LIMITS.terminationTimeoutMs),
    ...wholeNumber(SHORTEST_TIMEOUT_MS, MAXIMUM_TIMEOUT_MS),
  }),
  CONCORDAT_FAILPOINTS: failpointVariable(PARTICIPANT_FAILPOINTS),
} as const;

type Values = VariableValues<typeof VARIABLES>;

/** Reads the environment. Reports all problems at once. */
export function parseConfig(environment: Environment): ConfigResult {
  const { values, problems } = readVariables(VARIABLES, environment);
  checkRoads(values, environment, problems);
  checkClientTls(values, environment, problems);
  checkKafka(values, environment, problems);
  checkDatabase(values, environment, problems);
  const { CONCORDAT_CLUSTER: cluster, CONCORDAT_LINK: link, CONCORDAT_PARTICIPANT: participant } = values;
  const sender = participant === undefined ? undefined : (`participant:${participant}` as const);
  checkSignatures(values, { cluster, link, sender }, environment, problems);
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, config: deepFreeze(assemble(values as Values)) };
}

/** The roads of the link need addresses. */
function checkRoads(values: Partial<Values>, environment: Environment, problems: VariableProblem[]): void {
  const { CONCORDAT_LINK: link } = values;
  const needed = { KAFKA_BROKERS: link !== 'direct', CONCORDAT_COORDINATORS: link !== 'kafka' };
  for (const variable of ['KAFKA_BROKERS', 'CONCORDAT_COORDINATORS'] as const) {
    if (!needed[variable] || environment[variable]?.trim()) continue;
    const expected = `${VARIABLES[variable].expected}, because CONCORDAT_LINK is ${link}`;
    problems.push({ variable, value: undefined, expected });
  }
}

function assemble(values: Values): Config {
  return {
    participant: values.CONCORDAT_PARTICIPANT,
    http: values.CONCORDAT_HTTP,
    database: databaseSettings(values),
    link: values.CONCORDAT_LINK,
    kafkaBrokers: values.KAFKA_BROKERS ?? [],
    coordinators: values.CONCORDAT_COORDINATORS ?? [],
    tls: clientTlsPaths(values),
    kafkaSecurity: kafkaSecurity(values),
    cluster: values.CONCORDAT_CLUSTER,
    topicPrefix: values.CONCORDAT_TOPIC_PREFIX,
    signatures: signatureSettings(values),
    logLevel: values.CONCORDAT_LOG_LEVEL,
    terminationTimeoutMs: values.CONCORDAT_TERMINATION_TIMEOUT_MS,
    failpoints: values.CONCORDAT_FAILPOINTS,
  };
}
