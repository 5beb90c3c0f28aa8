import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { LaunchCommand, Part, SystemContext } from './part.js';
import { portsOf, type BankLetter, type PartName } from './ports.js';
import { postgresPart } from './postgres.js';
import type { Role } from './system-file.js';

const READY_TIMEOUT_MS = 60_000;
const HEALTH_TIMEOUT_MS = 2000;
const NODE_IDS = [1, 2, 3] as const;
export type CoordinatorId = 1 | 2 | 3 | 4;

export function kafkaBrokers(portOffset: number): string {
  return process.env['KAFKA_BROKERS'] ?? `127.0.0.1:${portsOf('kafka', portOffset)['broker']}`;
}

/** A database that the user gave, used instead of a local server. */
export function givenDatabaseUrl(letter: BankLetter): string | undefined {
  const value = process.env[`DATABASE_URL_BANK_${letter.toUpperCase()}`];
  return value === '' ? undefined : value;
}

interface HealthAnswer {
  readonly ok: boolean;
  readonly text: string;
}

async function ask(port: number | undefined, health: 'healthz' | 'readyz'): Promise<HealthAnswer | undefined> {
  try {
    const signal = AbortSignal.timeout(HEALTH_TIMEOUT_MS);
    const response = await fetch(`http://127.0.0.1:${port}/${health}`, { signal });
    return { ok: response.status === 200, text: await response.text() };
  } catch {
    return undefined;
  }
}

/** The reasons in an answer of /readyz. */
export function reasonsIn(text: string): readonly string[] {
  try {
    const answer = JSON.parse(text) as { readonly reasons?: unknown };
    if (Array.isArray(answer.reasons)) return answer.reasons.filter((reason) => typeof reason === 'string');
    // a participant has a field for each of its needs
    const things = Object.entries(answer).filter(([name, isWell]) => name !== 'ready' && isWell === false);
    return things.map(([name]) => `${name} is false`);
  } catch {
    return [];
  }
}

/** The common part of both kinds of service. The name is in the command line for users of `ps`. */
function nodeService(
  context: SystemContext,
  service: { name: PartName; role: Role; app: string; env: NodeJS.ProcessEnv; dataDir?: string; databaseUrl?: string },
): Part {
  const { name, role, dataDir, databaseUrl } = service;
  const ports = portsOf(name, context.portOffset);
  const { environment = {} } = context;
  const main = path.join(context.root, 'dist/apps', service.app, 'src/main.js');
  return {
    name,
    role,
    ports,
    ...(dataDir === undefined ? {} : { dataDir }),
    ...(databaseUrl === undefined ? {} : { databaseUrl }),
    ...(Object.keys(environment).length === 0 ? {} : { environment }),
    logFile: path.join(context.directory, 'logs', `${name}.log`),
    marker: `concordat-${name}`,
    readyTimeoutMs: READY_TIMEOUT_MS,
    prepare: (): Promise<LaunchCommand> => {
      if (dataDir !== undefined) mkdirSync(dataDir, { recursive: true });
      return Promise.resolve({
        file: process.execPath,
        args: ['--enable-source-maps', `--title=concordat-${name}`, main],
        env: {
          ...process.env,
          CONCORDAT_LINK: context.link,
          KAFKA_BROKERS:
            context.link === 'direct' ? '' : (context.shared?.kafkaBrokers ?? kafkaBrokers(context.portOffset)),
          CONCORDAT_CLUSTER: context.clusterName,
          CONCORDAT_TOPIC_PREFIX: context.topicPrefix,
          CONCORDAT_LOG_LEVEL: process.env['CONCORDAT_LOG_LEVEL'] ?? 'info',
          CONCORDAT_FAILPOINTS: process.env['CONCORDAT_FAILPOINTS'] ?? 'on',
          NODE_ENV: process.env['NODE_ENV'] ?? 'production',
          ...service.env,
          ...environment,
        },
        cwd: context.root,
      });
    },
    isLive: async () => (await ask(ports['http'], 'healthz'))?.ok === true,
    isReady: async () => (await ask(ports['http'], 'readyz'))?.ok === true,
    lacks: async () => reasonsIn((await ask(ports['http'], 'readyz'))?.text ?? ''),
  };
}

/** One of the three founding members, or the fourth, which joins them. */
export function coordinatorPart(context: SystemContext, nodeId: CoordinatorId): Part {
  const isGuest = nodeId === 4;
  const address = (id: CoordinatorId, kind: 'http' | 'raft' | 'direct'): string =>
    coordinatorAddress(id, kind, context.portOffset);
  const dataDir = path.join(context.directory, `coordinator-${nodeId}`);
  return nodeService(context, {
    name: `coordinator-${nodeId}`,
    role: 'coordinator',
    app: 'coordinator',
    dataDir,
    env: {
      CONCORDAT_NODE_ID: String(nodeId),
      CONCORDAT_HTTP: address(nodeId, 'http'),
      CONCORDAT_RAFT: address(nodeId, 'raft'),
      CONCORDAT_DIRECT: address(nodeId, 'direct'),
      CONCORDAT_PEERS: [...NODE_IDS, ...(isGuest ? [nodeId] : [])]
        .map((id) => `${id}=${address(id, 'raft')}/${address(id, 'http')}`)
        .join(','),
      CONCORDAT_JOIN: String(isGuest),
      CONCORDAT_DATA_DIR: dataDir,
    },
  });
}

function coordinatorAddress(id: CoordinatorId, kind: 'http' | 'raft' | 'direct', portOffset: number): string {
  return `127.0.0.1:${portsOf(`coordinator-${id}`, portOffset)[kind]}`;
}

export function bankPart(context: SystemContext, letter: BankLetter): Part {
  const databaseUrl =
    context.shared?.databaseUrl(letter) ?? givenDatabaseUrl(letter) ?? postgresPart(context, letter).databaseUrl ?? '';
  return nodeService(context, {
    name: `bank-${letter}`,
    role: 'participant',
    app: 'bank',
    databaseUrl,
    env: {
      CONCORDAT_PARTICIPANT: `bank-${letter}`,
      CONCORDAT_HTTP: `127.0.0.1:${portsOf(`bank-${letter}`, context.portOffset)['http']}`,
      CONCORDAT_COORDINATORS: NODE_IDS.map((id) => `http://${coordinatorAddress(id, 'http', context.portOffset)}`).join(
        ',',
      ),
      DATABASE_URL: databaseUrl,
    },
  });
}
