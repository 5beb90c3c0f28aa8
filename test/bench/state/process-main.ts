// One coordinator under measurement, with everything of a coordinator but Kafka: its participants live in its memory.
// The benchmark starts it and talks to it over REST and over its IPC channel. It ends when the benchmark does.
import { setTimeout as delay } from 'node:timers/promises';
import { CodedError, formatProblems, silentLogger, SystemRandom, UuidV7Generator } from '@concordat/foundation';
import {
  createCoordinator,
  EngineModule,
  parseConfig,
  RaftCluster,
  TransactionManager,
} from '../../../apps/coordinator/src/service/index.js';
import { answerCalls, type CallMessage } from '../called-process.js';
import { FORGETFUL, OBEDIENT, OPERATION, Participants, SILENT } from './participants.js';
import { PauseWatch } from './pause-watch.js';
import type { CallName, CoordinatorOptions, CoordinatorStatus, Opened } from './protocol.js';

const MEBIBYTE = 2 ** 20;
const HOUR_MS = 3_600_000;
/** Transactions that are opened at a time. */
const OPENERS = 64;
/** Of what makes the log longer: of one transaction, and how many at a time. */
const GROWTH_BYTES = 16 * 1024;
const GROWERS = 4;
/** Ids of opened transactions that are told. */
const TOLD_IDS = 1_000;
const ANNOUNCED_EVERY_MS = 500;

interface Engine {
  readonly cluster: RaftCluster;
  readonly manager: TransactionManager;
}

const participants = new Participants();
const ids = new UuidV7Generator(() => Date.now(), new SystemRandom());
const pauseWatch = new PauseWatch();
let engine: Engine | undefined;

function started(): Engine {
  if (!engine) throw new Error('the process was not started');
  return engine;
}

async function start({ nodeId, directory, raftPorts, httpPorts }: CoordinatorOptions): Promise<void> {
  const peers = raftPorts.map((port, at) => `${at + 1}=127.0.0.1:${port}/127.0.0.1:${httpPorts[at]}`).join(',');
  const parsed = parseConfig({
    CONCORDAT_NODE_ID: String(nodeId),
    CONCORDAT_PEERS: peers,
    CONCORDAT_DATA_DIR: directory,
    CONCORDAT_MAX_OPEN: '1000000',
    KAFKA_BROKERS: '127.0.0.1:1',
  });
  if (!parsed.ok) throw new Error(formatProblems(parsed.problems));
  const { config } = parsed;
  const onFatal = (error: Error): void => {
    process.stderr.write(`coordinator ${nodeId}: ${error.message}\n`);
    process.exit(1);
  };
  await participants.start();
  const app = await createCoordinator({
    config,
    logger: silentLogger,
    onFatal,
    engine: EngineModule.register({ createBus: () => participants.createBus() }),
  });
  await app.init();
  await app.getHttpAdapter().getInstance().listen({ host: config.http.host, port: config.http.port });
  const all = { strict: false };
  engine = { cluster: app.get(RaftCluster, all), manager: app.get(TransactionManager, all) };
  pauseWatch.start();
  setInterval(() => void participants.announce(), ANNOUNCED_EVERY_MS);
}

function status(): CoordinatorStatus {
  const { cluster, manager } = started();
  const { appliedIndex, commitIndex } = cluster.view();
  const { rss, heapUsed } = process.memoryUsage();
  return {
    ready: cluster.lacks().length === 0,
    leads: cluster.isLeader(),
    appliedIndex,
    commitIndex,
    open: manager.figures().open,
    residentMiB: rss / MEBIBYTE,
    heapMiB: heapUsed / MEBIBYTE,
  };
}

/** Of twenty transactions 14 are active with two prepared branches, three undecided and three not obeyed. */
async function openOne(number: number): Promise<string> {
  const { manager } = started();
  const request = { protocol: '2pc', timeoutMs: HOUR_MS, metadata: { number } } as const;
  const kind = number % 20;
  if (kind < 14) {
    const { id } = await manager.begin(request);
    for (const participant of OBEDIENT) {
      await manager.enlist(id, { participant, branchId: ids.next(), vote: 'yes' });
    }
    return id;
  }
  const branches = [OBEDIENT[0], kind < 17 ? SILENT : FORGETFUL].map((participant) => ({
    participant,
    operation: OPERATION,
    payload: { account: `account-${number}`, amount: 1 },
    keys: [],
  }));
  const waitMs = kind < 17 ? 0 : 60_000;
  const { transaction } = await manager.execute({ ...request, branches }, { wait: 'decided', waitMs });
  return transaction.id;
}

/** A participant is known as soon as its announcement is in the log. */
async function openFirst(): Promise<void> {
  for (;;) {
    try {
      await openOne(0);
      return;
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'UNKNOWN_PARTICIPANT') throw error;
      await delay(ANNOUNCED_EVERY_MS / 10);
    }
  }
}

async function open(count: number): Promise<Opened> {
  const told: string[] = [];
  let [next, opened] = [0, 0];
  const first = openFirst();
  const opener = async (): Promise<void> => {
    await first;
    while (next < count && started().cluster.isLeader()) {
      const number = next++;
      const id = await openOne(number);
      opened++;
      if (number % Math.ceil(count / TOLD_IDS) === 0) told.push(id);
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: OPENERS }, opener));
  for (const end of ends) if (end.status === 'rejected' && !isLossOfLeadership(end.reason)) throw end.reason;
  return { count: opened, ids: told };
}

function isLossOfLeadership(error: unknown): boolean {
  return error instanceof CodedError && ['LOG_UNAVAILABLE', 'OUTCOME_UNKNOWN'].includes(error.code);
}

async function grow(bytes: number): Promise<void> {
  const { manager } = started();
  const metadata = { filler: 'x'.repeat(GROWTH_BYTES) };
  let left = bytes;
  const grower = async (): Promise<void> => {
    while (left > 0) {
      left -= GROWTH_BYTES;
      const { id } = await manager.begin({ protocol: '2pc', timeoutMs: HOUR_MS, metadata });
      await manager.abort(id, { wait: 'decided', waitMs: 60_000 });
      await delay(1);
    }
  };
  await Promise.all(Array.from({ length: GROWERS }, grower));
}

async function answerTo(call: CallMessage<CallName>): Promise<unknown> {
  switch (call.name) {
    case 'start':
      await start(call.request as CoordinatorOptions);
      return null;
    case 'status':
      return status();
    case 'open':
      return open((call.request as { count: number }).count);
    case 'grow':
      await grow((call.request as { bytes: number }).bytes);
      return null;
    case 'pauses':
      return pauseWatch.take();
    case 'stop':
      return null;
  }
}

answerCalls<CallName>('stop', answerTo);
