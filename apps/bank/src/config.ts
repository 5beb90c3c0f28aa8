import { LOG_LEVELS, isFailpointSpecification, parseAddress, type Address, type LogLevel } from '@concordat/foundation';
import {
  DEFAULT_PARTICIPANT_LIMITS,
  DEFAULT_TOPIC_PREFIX,
  PARTICIPANT_FAILPOINTS,
  TOPIC_PREFIX_RULE,
  isClusterName,
  isParticipantName,
  isTopicPrefix,
} from '@concordat/nestjs';
import { z } from 'zod';

/** The configuration of a bank: read, checked and frozen once, in `main`. */
export interface Config {
  readonly participant: string;
  readonly http: Address;
  readonly databaseUrl: string;
  readonly kafkaBrokers: readonly string[];
  readonly cluster: string;
  readonly topicPrefix: string;
  readonly logLevel: LogLevel;
  /** how long a three-phase branch waits for a coordinator before it decides with the others, in milliseconds */
  readonly terminationTimeoutMs: number;
  readonly failpoints: { readonly enabled: boolean; readonly armed: string };
}

export type ConfigResult =
  { readonly ok: true; readonly config: Config } | { readonly ok: false; readonly problems: readonly string[] };

/** With less than a message takes under load, branches would decide while a coordinator is answering. */
const SHORTEST_TIMEOUT_MS = 100;
const MAXIMUM_TIMEOUT_MS = 3_600_000;

function parsed<Value>(parse: (text: string) => Value | undefined): z.ZodType<Value, string> {
  return z.string().transform((text, context) => {
    const value = parse(text.trim());
    if (value !== undefined) return value;
    context.addIssue('not valid');
    return z.NEVER;
  });
}

function parseBrokers(text: string): string[] | undefined {
  const brokers = text.split(',').map((broker) => broker.trim());
  return brokers.every((broker) => parseAddress(broker)) ? brokers : undefined;
}

function parseDatabaseUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { protocol, hostname, pathname } = new URL(text);
  const complete = hostname !== '' && pathname.length > 1;
  return complete && (protocol === 'postgres:' || protocol === 'postgresql:') ? text : undefined;
}

function parseMilliseconds(text: string): number | undefined {
  const value = Number(text);
  const isWithin = value >= SHORTEST_TIMEOUT_MS && value <= MAXIMUM_TIMEOUT_MS;
  return /^\d+$/.test(text) && isWithin ? value : undefined;
}

function parseFailpoints(text: string): Config['failpoints'] | undefined {
  if (text === 'off') return { enabled: false, armed: '' };
  if (text === 'on') return { enabled: true, armed: '' };
  return isFailpointSpecification(PARTICIPANT_FAILPOINTS, text) ? { enabled: true, armed: text } : undefined;
}

/** Values that error messages must not contain. */
const SECRET = new Set(['DATABASE_URL']);

const VARIABLES = {
  CONCORDAT_PARTICIPANT: {
    default: undefined,
    expected: 'the name of this bank: lower-case letters, digits and hyphens, such as bank-a',
    schema: parsed((text) => (isParticipantName(text) ? text : undefined)),
  },
  CONCORDAT_HTTP: {
    default: undefined,
    expected: 'host:port, such as 127.0.0.1:8091',
    schema: parsed(parseAddress),
  },
  DATABASE_URL: {
    default: undefined,
    expected: 'postgres://user:password@host:port/database',
    schema: parsed(parseDatabaseUrl),
  },
  KAFKA_BROKERS: {
    default: undefined,
    expected: 'host:port, several separated by commas',
    schema: parsed(parseBrokers),
  },
  CONCORDAT_CLUSTER: {
    default: 'local',
    expected: 'at most 63 lower-case letters, digits and hyphens, not starting with a hyphen',
    schema: parsed((text) => (isClusterName(text) ? text : undefined)),
  },
  CONCORDAT_TOPIC_PREFIX: {
    default: DEFAULT_TOPIC_PREFIX,
    expected: TOPIC_PREFIX_RULE,
    schema: parsed((text) => (isTopicPrefix(text) ? text : undefined)),
  },
  CONCORDAT_LOG_LEVEL: {
    default: 'info',
    expected: `one of ${LOG_LEVELS.join(', ')}`,
    schema: parsed((text) => LOG_LEVELS.find((level) => level === text)),
  },
  CONCORDAT_TERMINATION_TIMEOUT_MS: {
    default: String(DEFAULT_PARTICIPANT_LIMITS.terminationTimeoutMs),
    expected: `milliseconds, ${SHORTEST_TIMEOUT_MS} to ${MAXIMUM_TIMEOUT_MS}`,
    schema: parsed(parseMilliseconds),
  },
  CONCORDAT_FAILPOINTS: {
    default: 'off',
    expected: `off, on, or name=kill|pause|delay:<ms>|error[@<nth time>] separated by commas; names: ${PARTICIPANT_FAILPOINTS.join(' ')}`,
    schema: parsed(parseFailpoints),
  },
} as const;

type VariableName = keyof typeof VARIABLES;
type Values = { [Name in VariableName]: z.output<(typeof VARIABLES)[Name]['schema']> };

/** Reads the environment. Reports all problems at once; an empty variable counts as not set. */
export function parseConfig(environment: Readonly<Record<string, string | undefined>>): ConfigResult {
  const problems: string[] = [];
  const values: Partial<Record<VariableName, unknown>> = {};
  for (const name of Object.keys(VARIABLES) as VariableName[]) {
    const { schema, expected, default: fallback } = VARIABLES[name];
    const given = environment[name]?.trim() ? environment[name] : undefined;
    const result = schema.safeParse(given ?? fallback);
    if (result.success) values[name] = result.data;
    else problems.push(`${name} ${describe(name, given)}; it must be ${expected}`);
  }
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, config: assemble(values as Values) };
}

function describe(name: VariableName, given: string | undefined): string {
  if (given === undefined) return 'is not set';
  return SECRET.has(name) ? 'is not valid' : `is "${given}"`;
}

function assemble(values: Values): Config {
  return Object.freeze({
    participant: values.CONCORDAT_PARTICIPANT,
    http: Object.freeze(values.CONCORDAT_HTTP),
    databaseUrl: values.DATABASE_URL,
    kafkaBrokers: Object.freeze(values.KAFKA_BROKERS),
    cluster: values.CONCORDAT_CLUSTER,
    topicPrefix: values.CONCORDAT_TOPIC_PREFIX,
    logLevel: values.CONCORDAT_LOG_LEVEL,
    terminationTimeoutMs: values.CONCORDAT_TERMINATION_TIMEOUT_MS,
    failpoints: Object.freeze(values.CONCORDAT_FAILPOINTS),
  });
}
