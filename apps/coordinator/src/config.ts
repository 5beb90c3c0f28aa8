import { isIP } from 'node:net';
import { isClusterName, LIMITS } from '@concordat/commit-protocol';
import {
  ADDRESS_LIST,
  LISTENING_ADDRESS,
  LOG_LEVELS,
  deepFreeze,
  failpointVariable,
  formatAddress,
  oneOf,
  parseAddress,
  readVariables,
  wholeNumber,
  type Address,
  type Environment,
  type FailpointSettings,
  type LogFormat,
  type LogLevel,
  type VariableProblem,
  type VariableValues,
} from '@concordat/foundation';
import {
  checkKafka,
  checkSignatures,
  DEFAULT_TOPIC_PREFIX,
  isTopicPrefix,
  KAFKA_VARIABLES,
  kafkaSecurity,
  LINKS,
  SIGNATURE_VARIABLES,
  signatureSettings,
  TOPIC_PREFIX_RULE,
  type KafkaSecurity,
  type Link,
  type SignatureSettings,
} from '@concordat/messaging';
import { AUTH_VARIABLES, authSettings, checkAuth, type AuthSettings } from './auth-variables.js';
import { variable, type DescribedVariable } from './described-variable.js';
import { COORDINATOR_FAILPOINTS } from './failpoints/failpoints.js';
import {
  checkTls,
  raftTls,
  serverTls,
  TLS_VARIABLES,
  type PlainLinks,
  type RaftTls,
  type ServerTls,
} from './tls-variables.js';

export interface Peer {
  readonly nodeId: number;
  readonly raft: Address;
  readonly http: Address;
}

/** The configuration of a coordinator: read, checked and frozen once, in `main`. Times in milliseconds. */
export interface Config {
  readonly nodeId: number;
  readonly http: Address;
  readonly raft: Address;
  /**
   * The founding members by id, this node included; for a joining node, itself and the members it may ask. Unused once
   * the node has a log: the log holds the membership.
   */
  readonly peers: readonly Peer[];
  /** whether this node waits to be added to a running group */
  readonly join: boolean;
  /** whether it may take part in founding the group */
  readonly bootstrap: boolean;
  /** mutual TLS between the nodes; undefined: plain text */
  readonly raftTls: RaftTls | undefined;
  /** TLS of the REST interface and of the direct streams; undefined: plain text */
  readonly tls: ServerTls | undefined;
  readonly dataDirectory: string;
  readonly clusterName: string;
  readonly topicPrefix: string;
  /** the roads to the participants */
  readonly link: Link;
  /** empty with the link `direct` */
  readonly kafkaBrokers: readonly string[];
  /** TLS and SASL to the brokers; undefined: plain text, and nobody says who he is */
  readonly kafkaSecurity: KafkaSecurity | undefined;
  /** where participants connect directly; port 0: one that the system chooses */
  readonly direct: Address;
  /** where participants are told to connect; undefined: to the address on which it listens */
  readonly directAdvertised: Address | undefined;
  /** of messages over Kafka; undefined: they are not signed */
  readonly signatures: SignatureSettings | undefined;
  readonly retentionMs: number;
  /** maximum number of ended transactions kept */
  readonly retentionCount: number;
  readonly retentionIntervalMs: number;
  readonly inDoubtAfterMs: number;
  /** maximum bytes of ended transactions kept */
  readonly retentionBytes: number;
  readonly maximumOpen: number;
  readonly maximumOpenBytes: number;
  readonly maximumBranches: number;
  /** maximum number of REST connections; undefined: as many as the limit on open files allows */
  readonly maximumConnections: number | undefined;
  /** within this time a REST request must have arrived completely */
  readonly requestTimeoutMs: number;
  /** the credentials that the REST interface takes; undefined: nobody is asked who it is */
  readonly auth: AuthSettings | undefined;
  /** whether `CONCORDAT_AUTH=none` says aloud that nobody is asked */
  readonly isOpen: true | undefined;
  /** whether it is said aloud that other nodes and participants in plain text are believed */
  readonly plainLinks: PlainLinks;
  /** requests per second of one address, where nobody is asked who it is; undefined: any number */
  readonly rateLimit: number | undefined;
  /** a file for the audit; undefined: the log only */
  readonly auditFile: string | undefined;
  readonly failpoints: FailpointSettings;
  /** a file with the offset of this node's clock; undefined: the machine's clock */
  readonly clockFile: string | undefined;
  readonly logFormat: LogFormat;
  readonly logLevel: LogLevel;
  readonly tickMs: number;
  readonly electionTicks: number;
}

export const CONFIG = Symbol('CONFIG');

export type ConfigResult =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly problems: readonly VariableProblem[] };

function parsePeers(text: string): Peer[] | undefined {
  const peers: Peer[] = [];
  for (const entry of text.split(',')) {
    const [, id, raftText, httpText] = /^\s*([1-9]\d{0,8})=([^/]+)\/([^/]+?)\s*$/.exec(entry) ?? [];
    const raft = parseAddress(raftText ?? '');
    const http = parseAddress(httpText ?? '');
    if (!raft || !http) return undefined;
    peers.push({ nodeId: Number(id), raft, http });
  }
  const unique = new Set(peers.map(({ nodeId }) => nodeId)).size === peers.length;
  return unique ? peers.sort((left, right) => left.nodeId - right.nodeId) : undefined;
}

function parseBoolean(text: string): boolean | undefined {
  return text === 'true' ? true : text === 'false' ? false : undefined;
}

/** An address to connect to: not every address of a machine, and not a port that the system chooses. */
function parseReachableAddress(text: string): Address | undefined {
  const address = parseAddress(text);
  return address && address.port > 0 && address.host !== '0.0.0.0' && address.host !== '::' ? address : undefined;
}

/** Every variable of a coordinator. `main --help` and the README's table are printed from it. */
export const VARIABLES = {
  CONCORDAT_NODE_ID: variable({
    meaning: 'id of this node, unique in the group and kept for ever',
    default: undefined,
    ...wholeNumber(1, 999_999_999),
  }),
  CONCORDAT_PEERS: variable({
    meaning:
      'the founding members, this node included, with their addresses for peers and for clients; read while the data directory is empty',
    default: undefined,
    expected: 'id=rafthost:port/httphost:port for each member, separated by commas, each id once',
    parse: parsePeers,
  }),
  CONCORDAT_JOIN: variable({
    meaning:
      'this node joins a running group: it waits until POST /v1/cluster/members adds it; CONCORDAT_PEERS names this node and the members it may ask; read while the data directory is empty',
    default: 'false',
    expected: 'true or false; with true, CONCORDAT_PEERS names this node and at least one other',
    parse: parseBoolean,
  }),
  CONCORDAT_BOOTSTRAP: variable({
    meaning:
      'whether this node may found the group: every node of CONCORDAT_PEERS must be up, with an empty data directory and the same list; false: it waits for an existing group, even if all nodes have lost their directories',
    default: 'true',
    expected: 'true or false',
    parse: parseBoolean,
  }),
  CONCORDAT_HTTP: variable({
    meaning: 'address on which the REST interface listens; default: its address in CONCORDAT_PEERS',
    default: null,
    ...LISTENING_ADDRESS,
  }),
  CONCORDAT_RAFT: variable({
    meaning: 'address on which the node listens for its peers (gRPC); default: its address in CONCORDAT_PEERS',
    default: null,
    ...LISTENING_ADDRESS,
  }),
  ...TLS_VARIABLES,
  CONCORDAT_DATA_DIR: variable({
    meaning: 'directory of the log and the snapshots; made if missing, used by one process only',
    default: undefined,
    expected: 'a path',
    parse: (text) => (text === '' || text.includes('\0') ? undefined : text),
  }),
  CONCORDAT_CLUSTER: variable({
    meaning:
      'name of the cluster in topics, groups, messages and gids; clusters that share a broker or a database server ' +
      'need different ones, and the participants must use the same',
    default: 'local',
    expected: 'at most 63 lower-case letters, digits and hyphens, not starting with a hyphen',
    parse: (text) => (isClusterName(text) ? text : undefined),
  }),
  CONCORDAT_TOPIC_PREFIX: variable({
    meaning: 'prefix of the names of topics and consumer groups; the participants must use the same',
    default: DEFAULT_TOPIC_PREFIX,
    expected: TOPIC_PREFIX_RULE,
    parse: (text) => (isTopicPrefix(text) ? text : undefined),
  }),
  CONCORDAT_LINK: variable({
    meaning:
      'links to the participants: Kafka, direct streams without a broker, or both: an open stream, otherwise Kafka; the participants must use the same',
    default: 'kafka',
    ...oneOf(LINKS),
  }),
  CONCORDAT_DIRECT: variable({
    meaning:
      'where it listens for direct streams of participants, which ask GET /v1/cluster for it; default: a free port of the host of CONCORDAT_HTTP',
    default: null,
    ...LISTENING_ADDRESS,
  }),
  CONCORDAT_DIRECT_ADVERTISED: variable({
    meaning:
      'the address for direct streams that participants are told, where it differs: behind NAT, in a container, behind a proxy; default: the one on which it listens',
    default: null,
    expected: 'host:port that participants can reach, with a port above 0 and not 0.0.0.0 or [::]',
    parse: parseReachableAddress,
  }),
  KAFKA_BROKERS: variable({
    meaning: 'Kafka brokers for the first connection; required unless CONCORDAT_LINK is direct',
    default: null,
    ...ADDRESS_LIST,
  }),
  ...SIGNATURE_VARIABLES,
  ...KAFKA_VARIABLES,
  CONCORDAT_RETENTION_MS: variable({
    meaning: 'how long ended transactions and idempotency keys are kept',
    unit: 'ms',
    default: '86400000',
    ...wholeNumber(1_000, 31_536_000_000),
  }),
  CONCORDAT_RETENTION_COUNT: variable({
    meaning:
      'maximum number of ended transactions kept; the oldest are dropped early, but never within 60 s of their end',
    default: '1000000',
    ...wholeNumber(10_000, 100_000_000),
  }),
  CONCORDAT_RETENTION_BYTES: variable({
    meaning: 'maximum size of ended transactions kept, compressed; the oldest are dropped early, as with the count',
    unit: 'bytes',
    default: '1073741824',
    ...wholeNumber(16_777_216, 1_099_511_627_776),
  }),
  CONCORDAT_RETENTION_INTERVAL_MS: variable({
    meaning: 'how often a leader drops transactions older than the retention',
    unit: 'ms',
    default: '60000',
    ...wholeNumber(100, 3_600_000),
  }),
  CONCORDAT_IN_DOUBT_AFTER_MS: variable({
    meaning: 'a branch that voted yes and has no end after this time is listed as in doubt',
    unit: 'ms',
    default: '5000',
    ...wholeNumber(0, 86_400_000),
  }),
  CONCORDAT_MAX_OPEN: variable({
    meaning: 'maximum number of open transactions; beyond it, new ones are refused with OVERLOADED',
    default: '200000',
    ...wholeNumber(1_000, 1_000_000),
  }),
  CONCORDAT_MAX_OPEN_BYTES: variable({
    meaning: 'maximum JSON of all open transactions; beyond it, new ones are refused with OVERLOADED',
    unit: 'bytes',
    default: '536870912',
    ...wholeNumber(16_777_216, 1_099_511_627_776),
  }),
  CONCORDAT_MAX_BRANCHES: variable({
    meaning: 'maximum number of branches per transaction',
    default: '64',
    ...wholeNumber(1, LIMITS.branches),
  }),
  CONCORDAT_MAX_CONNECTIONS: variable({
    meaning:
      'maximum number of REST connections; default: 10,000, or fewer where the limit on open files is lower: 512 files are reserved for the log and the peers',
    default: null,
    ...wholeNumber(16, 100_000),
  }),
  CONCORDAT_REQUEST_TIMEOUT_MS: variable({
    meaning: 'a REST request must arrive completely within this time, its headers within 10 s; 408 otherwise',
    unit: 'ms',
    default: '30000',
    ...wholeNumber(100, 3_600_000),
  }),
  ...AUTH_VARIABLES,
  CONCORDAT_FAILPOINTS: variable({
    meaning: 'for tests and demos only: arms failpoints, which crash, pause or delay the process (/debug/failpoints)',
    ...failpointVariable(COORDINATOR_FAILPOINTS),
  }),
  CONCORDAT_CLOCK_FILE: variable({
    meaning: 'for tests and demos only: a file with the milliseconds by which the clock of the process is ahead',
    default: '',
    expected: 'empty, or the path of a file that need not exist',
    parse: (text) => ({ path: text === '' ? undefined : text }),
  }),
  CONCORDAT_LOG_FORMAT: variable({
    meaning: 'format of the log on standard error: for people or for machines',
    default: 'text',
    ...oneOf(['text', 'json'] as const),
  }),
  CONCORDAT_LOG_LEVEL: variable({
    meaning: 'the lowest level that is logged',
    default: 'info',
    ...oneOf(LOG_LEVELS),
  }),
  CONCORDAT_TICK_MS: variable({
    meaning: "Raft's unit of time; a leader sends a heartbeat each tick",
    unit: 'ms',
    default: '50',
    ...wholeNumber(5, 10_000),
  }),
  CONCORDAT_ELECTION_TICKS: variable({
    meaning: 'ticks without a leader before an election; each timeout is drawn from one to two times this',
    unit: 'ticks',
    default: '7', // with 6, a process that gets a seventh of a core now and then takes its leader for dead
    ...wholeNumber(3, 1_000),
  }),
} as const;

type Values = VariableValues<typeof VARIABLES>;

/** Reads the environment. Reports all problems at once. */
export function parseConfig(environment: Environment): ConfigResult {
  const { values, problems } = readVariables(VARIABLES, environment);
  checkOwnAddresses(values, environment, problems);
  checkJoin(values, environment, problems);
  const { CONCORDAT_CLUSTER: clusterName, CONCORDAT_NODE_ID: nodeId } = values;
  checkTls(values, environment, { clusterName, nodeId }, problems);
  checkAuth(values, environment, problems);
  checkBrokers(values, environment, problems);
  const { CONCORDAT_CLUSTER: cluster, CONCORDAT_LINK: link } = values;
  checkSignatures(values, { cluster, link, sender: 'coordinator' }, environment, problems);
  checkKafka(values, environment, problems);
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, config: deepFreeze(assemble(values as Values)) };
}

function checkOwnAddresses(values: Partial<Values>, environment: Environment, problems: VariableProblem[]): void {
  const { CONCORDAT_PEERS: peers, CONCORDAT_NODE_ID: nodeId } = values;
  if (!peers || nodeId === undefined) return;
  const own = peers.find((peer) => peer.nodeId === nodeId);
  if (!own) {
    const expected = `this node among the members: ${nodeId}=rafthost:port/httphost:port (CONCORDAT_NODE_ID is ${nodeId})`;
    problems.push({ variable: 'CONCORDAT_PEERS', value: environment['CONCORDAT_PEERS'], expected });
    return;
  }
  for (const [variable, told] of [
    ['CONCORDAT_HTTP', own.http],
    ['CONCORDAT_RAFT', own.raft],
  ] as const) {
    const listened = values[variable];
    if (!listened || fits(listened, told)) continue;
    const expected = `an address that covers the one of node ${nodeId} in CONCORDAT_PEERS: ${formatAddress(told)}`;
    problems.push({ variable, value: environment[variable], expected });
  }
}

/** A joining node needs a member that it can ask. */
function checkJoin(
  { CONCORDAT_JOIN: join, CONCORDAT_PEERS: peers, CONCORDAT_NODE_ID: nodeId }: Partial<Values>,
  environment: Environment,
  problems: VariableProblem[],
): void {
  if (join !== true || peers?.length !== 1 || peers[0]?.nodeId !== nodeId) return;
  const expected = 'this node and at least one member of the group that it joins (CONCORDAT_JOIN is true)';
  problems.push({ variable: 'CONCORDAT_PEERS', value: environment['CONCORDAT_PEERS'], expected });
}

function checkBrokers(
  { CONCORDAT_LINK: link }: Partial<Values>,
  environment: Environment,
  problems: VariableProblem[],
): void {
  if (link === 'direct' || environment['KAFKA_BROKERS']?.trim()) return;
  const expected = 'host:port, several separated by commas (or set CONCORDAT_LINK=direct, which needs no broker)';
  problems.push({ variable: 'KAFKA_BROKERS', value: undefined, expected });
}

/** Comparing host names with addresses would need the network, so names are accepted. */
function fits(listened: Address, told: Address): boolean {
  if (listened.port !== told.port) return false;
  const [left, right] = [literal(listened.host), literal(told.host)];
  if (left === '0.0.0.0' || left === '::') return true;
  return isIP(left) === 0 || isIP(right) === 0 || left === right;
}

function literal(host: string): string {
  return host === 'localhost' ? '127.0.0.1' : host;
}

function assemble(values: Values): Config {
  const own = values.CONCORDAT_PEERS.find((peer) => peer.nodeId === values.CONCORDAT_NODE_ID);
  return {
    nodeId: values.CONCORDAT_NODE_ID,
    http: values.CONCORDAT_HTTP ?? own!.http,
    raft: values.CONCORDAT_RAFT ?? own!.raft,
    peers: values.CONCORDAT_PEERS,
    join: values.CONCORDAT_JOIN,
    bootstrap: values.CONCORDAT_BOOTSTRAP,
    raftTls: raftTls(values),
    tls: serverTls(values),
    dataDirectory: values.CONCORDAT_DATA_DIR,
    clusterName: values.CONCORDAT_CLUSTER,
    topicPrefix: values.CONCORDAT_TOPIC_PREFIX,
    link: values.CONCORDAT_LINK,
    kafkaBrokers: values.CONCORDAT_LINK === 'direct' ? [] : values.KAFKA_BROKERS,
    kafkaSecurity: kafkaSecurity(values),
    direct: values.CONCORDAT_DIRECT ?? { host: (values.CONCORDAT_HTTP ?? own!.http).host, port: 0 },
    directAdvertised: values.CONCORDAT_DIRECT_ADVERTISED,
    signatures: signatureSettings(values),
    retentionMs: values.CONCORDAT_RETENTION_MS,
    retentionCount: values.CONCORDAT_RETENTION_COUNT,
    retentionBytes: values.CONCORDAT_RETENTION_BYTES,
    retentionIntervalMs: values.CONCORDAT_RETENTION_INTERVAL_MS,
    inDoubtAfterMs: values.CONCORDAT_IN_DOUBT_AFTER_MS,
    maximumOpen: values.CONCORDAT_MAX_OPEN,
    maximumOpenBytes: values.CONCORDAT_MAX_OPEN_BYTES,
    maximumBranches: values.CONCORDAT_MAX_BRANCHES,
    maximumConnections: values.CONCORDAT_MAX_CONNECTIONS,
    requestTimeoutMs: values.CONCORDAT_REQUEST_TIMEOUT_MS,
    auth: authSettings(values),
    isOpen: values.CONCORDAT_AUTH === 'none' || undefined,
    plainLinks: values.CONCORDAT_PLAIN_LINKS,
    rateLimit: values.CONCORDAT_RATE_LIMIT,
    auditFile: values.CONCORDAT_AUDIT_FILE,
    failpoints: values.CONCORDAT_FAILPOINTS,
    clockFile: values.CONCORDAT_CLOCK_FILE.path,
    logFormat: values.CONCORDAT_LOG_FORMAT,
    logLevel: values.CONCORDAT_LOG_LEVEL,
    tickMs: values.CONCORDAT_TICK_MS,
    electionTicks: values.CONCORDAT_ELECTION_TICKS,
  };
}

export function formatHelp(): string {
  const lines = Object.entries<DescribedVariable<unknown>>(VARIABLES).map(([name, described]) => {
    const { meaning, expected, unit, default: fallback } = described;
    const optional = fallback === null || fallback === '';
    const taken = optional ? 'optional' : `default ${fallback}${unit ? ` ${unit}` : ''}`;
    return `  ${name}  (${fallback === undefined ? 'required' : taken})\n      ${meaning}\n      ${expected}`;
  });
  return `A coordinator of Concordat. It is configured by environment variables:\n\n${lines.join('\n')}\n\nA wrong value ends the process with exit code 78.\n`;
}
