import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { ask } from '../rest.js';
import type { LaunchCommand, Part, SystemContext } from './part.js';
import { httpUrl, portsOf, type BankLetter, type PartName, type ShopService } from './ports.js';
import { postgresPart } from './postgres.js';
import { createDatabase, databaseUrl, serverAt } from './postgres-server.js';
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

async function healthOf(url: string, health: 'healthz' | 'readyz'): Promise<HealthAnswer | undefined> {
  try {
    const signal = AbortSignal.timeout(HEALTH_TIMEOUT_MS);
    const { status, text } = await ask(`${url}/${health}`, { signal });
    return { ok: status === 200, text };
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

interface Service {
  readonly name: PartName;
  readonly role: Role;
  /** the program, below `dist/apps` */
  readonly main: string;
  readonly env: NodeJS.ProcessEnv;
  readonly dataDir?: string;
  readonly databaseUrl?: string;
  /** what must exist before the process starts */
  readonly before?: () => Promise<void>;
}

/** What all services have in common. The name is in the command line for users of `ps`. */
function nodeService(context: SystemContext, service: Service): Part {
  const { name, role, main, dataDir, databaseUrl } = service;
  const ports = portsOf(name, context.portOffset);
  const { environment = {} } = context;
  const url = httpUrl(context, name);
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
    prepare: async (): Promise<LaunchCommand> => {
      if (dataDir !== undefined) mkdirSync(dataDir, { recursive: true, mode: 0o700 });
      await service.before?.();
      return {
        file: process.execPath,
        args: ['--enable-source-maps', `--title=concordat-${name}`, path.join(context.root, 'dist/apps', main)],
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
      };
    },
    isLive: async () => (await healthOf(url, 'healthz'))?.ok === true,
    isReady: async () => (await healthOf(url, 'readyz'))?.ok === true,
    lacks: async () => reasonsIn((await healthOf(url, 'readyz'))?.text ?? ''),
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
    main: 'coordinator/src/main.js',
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
      ...context.security?.coordinatorVariables(nodeId, context.link, auditFileOf(context, nodeId)),
    },
  });
}

/** A coordinator of a secured system writes its audit there. */
export function auditFileOf({ directory }: Pick<SystemContext, 'directory'>, nodeId: CoordinatorId): string {
  return path.join(directory, 'logs', `coordinator-${nodeId}.audit.jsonl`);
}

function coordinatorAddress(id: CoordinatorId, kind: 'http' | 'raft' | 'direct', portOffset: number): string {
  return `127.0.0.1:${portsOf(`coordinator-${id}`, portOffset)[kind]}`;
}

export function bankPart(context: SystemContext, letter: BankLetter): Part {
  const url =
    context.shared?.databaseUrl(letter) ?? givenDatabaseUrl(letter) ?? postgresPart(context, letter).databaseUrl ?? '';
  return nodeService(context, {
    name: `bank-${letter}`,
    role: 'participant',
    main: 'bank/src/main.js',
    databaseUrl: url,
    env: {
      CONCORDAT_PARTICIPANT: `bank-${letter}`,
      CONCORDAT_HTTP: `127.0.0.1:${portsOf(`bank-${letter}`, context.portOffset)['http']}`,
      CONCORDAT_COORDINATORS: coordinatorUrls(context),
      DATABASE_URL: url,
      ...context.security?.serviceVariables(`bank-${letter}`, context.link),
    },
  });
}

const coordinatorUrls = (context: SystemContext): string =>
  NODE_IDS.map((id) => httpUrl(context, `coordinator-${id}`)).join(',');

/** The server on which a service of the shop has its database. */
const SHOP_SERVERS: Readonly<Record<ShopService, BankLetter>> = { orders: 'a', inventory: 'b', payments: 'c' };

/** A service of the demo shop; its database is on the server of a bank, and is made when it first starts. */
export function shopPart(context: SystemContext, name: ShopService): Part {
  const { portOffset } = context;
  const letter = SHOP_SERVERS[name];
  const port = portsOf(`postgres-${letter}`, portOffset)['postgres'] ?? 0;
  const database = `shop_${name}`;
  const server = serverAt(context, port);
  const url = databaseUrl(server, database);
  const addressOf = (service: ShopService): string => `127.0.0.1:${portsOf(service, portOffset)['http']}`;
  return nodeService(context, {
    name,
    role: 'participant',
    main: `shop/src/${name}/main.js`,
    databaseUrl: url,
    before: () => createDatabase(server, database),
    env: {
      SHOP_HTTP: addressOf(name),
      SHOP_INVENTORY_URL: `http://${addressOf('inventory')}`,
      SHOP_PAYMENTS_URL: `http://${addressOf('payments')}`,
      CONCORDAT_COORDINATORS: coordinatorUrls(context),
      DATABASE_URL: url,
      ...context.security?.serviceVariables(name, context.link),
    },
  });
}
