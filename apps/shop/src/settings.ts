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
  KAFKA_VARIABLES,
  LINKS,
  PARTICIPANT_FAILPOINTS,
  SIGNATURE_VARIABLES,
  checkKafka,
  checkSignatures,
  isClusterName,
  kafkaSecurity,
  signatureSettings,
  type KafkaSecurity,
  type Link,
  type SignatureSettings,
} from '@concordat/nestjs';

/** The environment of one service of the shop: read, checked and frozen once, in `main`. */
export interface Settings {
  readonly http: Address;
  readonly databaseUrl: string;
  readonly coordinators: readonly string[];
  readonly cluster: string;
  readonly link: Link;
  /** empty where there is no broker: then payments are called over HTTP, too */
  readonly kafkaBrokers: readonly string[];
  /** its certificates for the coordinators; undefined: plain text */
  readonly tls: TlsFilePaths | undefined;
  /** TLS and SASL to the brokers; undefined: plain text, and it does not say who it is */
  readonly kafkaSecurity: KafkaSecurity | undefined;
  /** of messages to and from coordinators over Kafka; undefined: they are not signed */
  readonly signatures: SignatureSettings | undefined;
  /** of the services that the orders call */
  readonly inventoryUrl: string;
  readonly paymentsUrl: string;
  readonly logLevel: LogLevel;
  readonly failpoints: FailpointSettings;
}

export type SettingsResult =
  | { readonly ok: true; readonly settings: Settings }
  | { readonly ok: false; readonly problems: readonly VariableProblem[] };

const HTTP_URL = { expected: 'http://host:port', parse: parseHttpUrl };
const DATABASE_PROTOCOLS: ReadonlySet<string> = new Set(['postgres:', 'postgresql:']);

/** Its environment variables. */
export const VARIABLES = {
  SHOP_HTTP: variable({ default: undefined, ...LISTENING_ADDRESS }),
  DATABASE_URL: variable({
    default: undefined,
    isSecret: true,
    expected: 'postgres://user:password@host:port/database',
    parse: (text) => (URL.canParse(text) && DATABASE_PROTOCOLS.has(new URL(text).protocol) ? text : undefined),
  }),
  CONCORDAT_COORDINATORS: variable({
    default: undefined,
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
  CONCORDAT_LINK: variable({ default: 'direct', ...oneOf(LINKS) }),
  KAFKA_BROKERS: variable({ default: null, ...ADDRESS_LIST }),
  ...KAFKA_VARIABLES,
  ...SIGNATURE_VARIABLES,
  SHOP_INVENTORY_URL: variable({ default: 'http://127.0.0.1:8095', ...HTTP_URL }),
  SHOP_PAYMENTS_URL: variable({ default: 'http://127.0.0.1:8096', ...HTTP_URL }),
  CONCORDAT_LOG_LEVEL: variable({ default: 'info', ...oneOf(LOG_LEVELS) }),
  CONCORDAT_FAILPOINTS: failpointVariable(PARTICIPANT_FAILPOINTS),
} as const;

type Values = VariableValues<typeof VARIABLES>;

function variable<Value>(description: Variable<Value>): Variable<Value> {
  return description;
}

function parseHttpUrl(text: string): string | undefined {
  return URL.canParse(text) && new URL(text).protocol === 'http:' ? text.replace(/\/$/, '') : undefined;
}

function parseCoordinators(text: string): string[] | undefined {
  const urls = text.split(',').map((url) => url.trim().replace(/\/$/, ''));
  return urls.every(isCoordinatorUrl) ? urls : undefined;
}

/** Reads the environment of one of the services. Reports all problems at once. */
export function parseSettings(participant: string, environment: Environment): SettingsResult {
  const { values, problems } = readVariables(VARIABLES, environment);
  if (values.CONCORDAT_LINK !== undefined && values.CONCORDAT_LINK !== 'direct' && !values.KAFKA_BROKERS) {
    const expected = `${VARIABLES.KAFKA_BROKERS.expected}, because CONCORDAT_LINK is ${values.CONCORDAT_LINK}`;
    problems.push({ variable: 'KAFKA_BROKERS', value: undefined, expected });
  }
  checkClientTls(values, environment, problems);
  checkKafka(values, environment, problems);
  const { CONCORDAT_CLUSTER: cluster, CONCORDAT_LINK: link } = values;
  checkSignatures(values, { cluster, link, sender: `participant:${participant}` }, environment, problems);
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, settings: deepFreeze(assemble(values as Values)) };
}

function assemble(values: Values): Settings {
  return {
    http: values.SHOP_HTTP,
    databaseUrl: values.DATABASE_URL,
    coordinators: values.CONCORDAT_COORDINATORS,
    cluster: values.CONCORDAT_CLUSTER,
    link: values.CONCORDAT_LINK,
    kafkaBrokers: values.KAFKA_BROKERS ?? [],
    tls: clientTlsPaths(values),
    kafkaSecurity: kafkaSecurity(values),
    signatures: signatureSettings(values),
    inventoryUrl: values.SHOP_INVENTORY_URL,
    paymentsUrl: values.SHOP_PAYMENTS_URL,
    logLevel: values.CONCORDAT_LOG_LEVEL,
    failpoints: values.CONCORDAT_FAILPOINTS,
  };
}
