import path from 'node:path';
import { parseArgs } from 'node:util';
import { archiveBars, archiveTable, measureArchive } from './archive/workload.js';
import { failoverDistribution, failoverTable, measureFailover } from './failover.js';
import { compare, comparisonBars, comparisonTable, costTable } from './interleaved.js';
import { measureMemory, memoryTable } from './memory.js';
import { PROTOCOL_WORKLOADS, PROTOCOLS, protocolNames, runProtocolWorkload } from './protocols/main.js';
import { testCertificates } from './raft/certificates.js';
import { CLUSTER_NAME } from './raft/process-protocol.js';
import { RAFT_PARTS, runRaftWorkload, type RaftPart } from './raft/workload.js';
import { writeResults } from './report.js';
import type { Accounts } from './rest-client.js';
import { runStateWorkload, stateDirectory } from './state/workload.js';
import { BENCH_ACCOUNTS, LINKS, RunningSystem, type Link } from './system.js';

const HELP = `Runs a benchmark. Each starts a fresh local system on its own ports and stops it afterwards; "raft" needs none.

  npm run bench -- transfer      transfers between random accounts of two databases
  npm run bench -- contention    every client wants the same two rows, with declared keys
  npm run bench -- memory        resident memory of the coordinators after 20,000, 100,000 and 200,000 transactions
  npm run bench -- archive       memory and times of ended transactions, with this and other codings of their blocks
  npm run bench -- failover      kill -9 of the leading coordinator: time until the next commit
  npm run bench -- protocols     2PC, 3PC, one phase and read-only with 2 to 16 branches
  npm run bench -- recovery      kill -9 of the leader and of all coordinators: time until no branch is in doubt
  npm run bench -- state         coordinators with 100,000 open transactions: restart, snapshots, REST, take-over
  npm run bench -- raft          the Raft library alone: writes, reads, the core, memory and restart

Options
  --clients 1,8,64    concurrent clients (closed loop); for raft 1,64,512, for protocols 1,64
  --rounds 3          rounds, in each of which bound and system take turns; medians are reported
  --seconds 5         length of a round
  --marks 20000,…     for memory: numbers of transactions after which to measure
  --transactions 1000000
                      for archive: number of ended transactions
  --kills 30          for failover: number of kills; for recovery: kills of each kind (3)
  --branches 2,3,…    for protocols 2,3,5,8,16; for recovery one number (3); at most 16. More than 3 start
                      further participants
  --protocols ${PROTOCOLS.join(',')}
                      for protocols and recovery (2pc,3pc): run only these
  --link kafka,direct,both
                      for transfer and contention: the roads to the participants, one system after the other (kafka)
  --port-offset 2000  number added to every port of the system
  --open 100000       for state: number of open transactions
  --parts ${RAFT_PARTS.join(',')}
                      for raft: run only these; "memory" is a million commands and a restart
  --commands 1000000  for raft: number of commands of "memory"
  --tls               for raft: mutual TLS between the nodes
  --cpu-profile       for raft: a CPU profile of each node, in bench-results/profiles

The bound is "raw": two-phase commit by the client itself over the same two databases, without a coordinator.
For raft the bound is a replicated log of three processes without consensus.
Results go to bench-results/ as JSON and SVG.
`;

const RESULTS = path.resolve('bench-results');
const WORKLOADS = [
  'transfer',
  'contention',
  'memory',
  'archive',
  'failover',
  'state',
  'raft',
  ...PROTOCOL_WORKLOADS,
] as const;
type Workload = (typeof WORKLOADS)[number];

const OPTIONS = {
  clients: { type: 'string' },
  rounds: { type: 'string', default: '3' },
  seconds: { type: 'string', default: '5' },
  marks: { type: 'string', default: '20000,100000,200000' },
  transactions: { type: 'string', default: '1000000' },
  kills: { type: 'string' },
  branches: { type: 'string' },
  protocols: { type: 'string' },
  link: { type: 'string', default: 'kafka' },
  'port-offset': { type: 'string', default: '2000' },
  open: { type: 'string', default: '100000' },
  parts: { type: 'string', default: RAFT_PARTS.join(',') },
  commands: { type: 'string', default: '1000000' },
  tls: { type: 'boolean', default: false },
  'cpu-profile': { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS; allowPositionals: true }>>['values'];

function randomAccounts(): Accounts {
  const pick = (): string => `bench-${Math.floor(Math.random() * BENCH_ACCOUNTS)}`;
  return [pick(), pick()];
}

function positiveList(text: string, option: string): number[] {
  const values = text.split(',').map(Number);
  if (values.some((value) => !Number.isInteger(value) || value < 1)) {
    throw new Error(`--${option} must be positive whole numbers separated by commas, not "${text}"`);
  }
  return values;
}

function positive(text: string, option: string): number {
  const [value, ...more] = positiveList(text, option);
  if (value === undefined || more.length > 0) throw new Error(`--${option} is one number, not "${text}"`);
  return value;
}

function raftParts(text: string): RaftPart[] {
  return text.split(',').map((name) => {
    const part = RAFT_PARTS.find((candidate) => candidate === name);
    if (!part) throw new Error(`--parts names "${name}"; there are: ${RAFT_PARTS.join(', ')}`);
    return part;
  });
}

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({ allowPositionals: true, options: OPTIONS });
  if (values.help || positionals[0] === undefined) {
    process.stdout.write(HELP);
    return;
  }
  const workload = WORKLOADS.find((name) => name === positionals[0]);
  if (!workload) throw new Error(`there is no workload "${positionals[0]}"; there are: ${WORKLOADS.join(', ')}`);
  if (workload === 'raft') return await benchRaft(values);
  if (workload === 'archive') return benchArchive(values);
  const portOffset = positive(values['port-offset'], 'port-offset');
  if (workload === 'protocols' || workload === 'recovery') return await benchProtocols(workload, values, portOffset);
  if (workload === 'state') return await benchState(values);
  for (const link of links(values.link)) {
    process.stderr.write(`starting a system for the benchmark, link ${link}\n`);
    const system = await RunningSystem.start(path.join(RESULTS, 'system'), { portOffset, link });
    try {
      if (workload === 'memory') await benchMemory(system, values);
      else if (workload === 'failover') await benchFailover(system, values);
      else await benchTransfers(system, workload, link, values);
    } finally {
      await system.stop();
    }
  }
}

function links(text: string): Link[] {
  return text.split(',').map((name) => {
    const link = LINKS.find((candidate) => candidate === name);
    if (!link) throw new Error(`--link names "${name}"; there are: ${LINKS.join(', ')}`);
    return link;
  });
}

async function benchRaft(values: Values): Promise<void> {
  const clients = positiveList(values.clients ?? '1,64,512', 'clients');
  const { result, bars } = await runRaftWorkload({
    directory: path.join(RESULTS, 'raft'),
    parts: raftParts(values.parts),
    clients,
    rounds: positive(values.rounds, 'rounds'),
    seconds: positive(values.seconds, 'seconds'),
    commands: positive(values.commands, 'commands'),
    tls: values.tls ? testCertificates(CLUSTER_NAME) : undefined,
    profileDirectory: values['cpu-profile'] ? path.join(RESULTS, 'profiles') : undefined,
  });
  report('raft', result, bars, 'commands per second (median)');
}

async function benchProtocols(workload: 'protocols' | 'recovery', values: Values, portOffset: number): Promise<void> {
  const { result, bars, unit } = await runProtocolWorkload(workload, {
    results: RESULTS,
    portOffset,
    protocols: values.protocols === undefined ? undefined : protocolNames(values.protocols),
    branches: values.branches === undefined ? undefined : positiveList(values.branches, 'branches'),
    clients: values.clients === undefined ? undefined : positiveList(values.clients, 'clients'),
    rounds: positive(values.rounds, 'rounds'),
    seconds: positive(values.seconds, 'seconds'),
    kills: values.kills === undefined ? undefined : positive(values.kills, 'kills'),
  });
  report(workload, result, bars, unit);
}

async function benchState(values: Values): Promise<void> {
  const { result, bars } = await runStateWorkload({
    directory: stateDirectory(RESULTS),
    open: positive(values.open, 'open'),
    clients: positive(values.clients ?? '8', 'clients'),
    rounds: positive(values.rounds, 'rounds'),
    seconds: positive(values.seconds, 'seconds'),
    execArgv: [],
  });
  report('state', result, bars, 'longest pause of the event loop, ms');
}

function benchArchive(values: Values): void {
  const transactions = positive(values.transactions, 'transactions');
  const results = measureArchive(transactions, positive(values.rounds, 'rounds'));
  for (const result of results) process.stdout.write(`${archiveTable(result)}\n\n`);
  report('archive', results, archiveBars(results), 'bytes of an ended transaction, with the index');
}

async function benchMemory(system: RunningSystem, values: Values): Promise<void> {
  const samples = await measureMemory(system, positiveList(values.marks, 'marks'), randomAccounts);
  process.stdout.write(`${memoryTable(samples)}\n`);
  const bars = samples.map((one) => ({
    label: `${one.transactions}`,
    value: Math.max(...Object.values(one.residentMiB)),
  }));
  report('memory', samples, bars, 'resident MiB after so many transactions');
}

async function benchFailover(system: RunningSystem, values: Values): Promise<void> {
  const kills = positive(values.kills ?? '30', 'kills');
  const failovers = await measureFailover(system, { kills, accounts: randomAccounts });
  process.stdout.write(`\n${failoverTable(failovers)}\n`);
  const bars = failovers.map(({ killed, commitMs }, kill) => ({ label: `${kill + 1}: ${killed}`, value: commitMs }));
  report(
    'failover',
    { distribution: failoverDistribution(failovers), failovers },
    bars,
    'ms from kill -9 of the leader to a commit',
  );
}

async function benchTransfers(
  system: RunningSystem,
  workload: Extract<Workload, 'transfer' | 'contention'>,
  link: Link,
  values: Values,
): Promise<void> {
  const hot = workload === 'contention';
  const comparisons = await compare(system, {
    clients: positiveList(values.clients ?? (hot ? '32' : '1,8,64'), 'clients'),
    rounds: positive(values.rounds, 'rounds'),
    seconds: positive(values.seconds, 'seconds'),
    rawOrder: hot ? 'in-order' : 'parallel',
    withKeys: hot,
    accounts: hot ? () => ['bench-0', 'bench-0'] : randomAccounts,
  });
  process.stdout.write(`\nlink ${link}\n${comparisonTable(comparisons)}\n\n${costTable(comparisons)}\n`);
  report(workload, { link, comparisons }, comparisonBars(comparisons), 'transfers per second (median)');
}

function report(workload: Workload, result: unknown, bars: Parameters<typeof writeResults>[3], unit: string): void {
  for (const file of writeResults(RESULTS, workload, result, bars, unit)) process.stdout.write(`written: ${file}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
