import path from 'node:path';
import { archiveBars, archiveTable, measureArchive } from './archive/workload.js';
import { authTable, runAuthWorkload } from './auth/workload.js';
import { HELP, linkNames, partNames, positive, positiveList, readCommandLine, type Values } from './command-line.js';
import { failoverDistribution, failoverTable, measureFailover } from './failover.js';
import { linkTable, runLinkWorkload } from './link/workload.js';
import { runLockWorkload } from './locks/workload.js';
import { measureMemory, memoryTable } from './memory.js';
import { PROTOCOL_WORKLOADS, protocolNames, runProtocolWorkload } from './protocols/main.js';
import { testCertificates } from './raft/certificates.js';
import { CLUSTER_NAME } from './raft/process-protocol.js';
import { RAFT_PARTS, runRaftWorkload } from './raft/workload.js';
import { writeMarkdown, writeResults } from './report.js';
import { runSdkWorkload, SDK_PARTS } from './sdk/workload.js';
import { runStateWorkload, stateDirectory } from './state/workload.js';
import { withSystems, type RunningSystem } from './system.js';
import { HOT_ROWS, RANDOM_ROWS, randomAccounts, runOpenLoop, runSecured, runTransfers } from './transfer/main.js';

const DEFAULT_LINK = 'kafka';
const RESULTS = path.resolve('bench-results');
/** These share their options. */
const TRANSFERS = ['transfer', 'contention', 'open-loop', 'secured'] as const;
const WORKLOADS = [
  ...TRANSFERS,
  'memory',
  'archive',
  'failover',
  'state',
  'raft',
  'link',
  'locks',
  'auth',
  'sdk',
  ...PROTOCOL_WORKLOADS,
] as const;
type Workload = (typeof WORKLOADS)[number];

async function main(): Promise<void> {
  const { words, values } = readCommandLine();
  if (values.markdown) writeMarkdown();
  if (values.help || words[0] === undefined) {
    process.stdout.write(HELP);
    return;
  }
  const workloads = words.map((word) => {
    const workload = WORKLOADS.find((name) => name === word);
    if (!workload) throw new Error(`there is no workload "${word}"; there are: ${WORKLOADS.join(', ')}`);
    return workload;
  });
  for (const workload of workloads) await run(workload, values);
}

async function run(workload: Workload, values: Values): Promise<void> {
  if (workload === 'raft') return await benchRaft(values);
  if (workload === 'archive') return benchArchive(values);
  if (workload === 'link') return await benchLink(values);
  if (workload === 'auth') return await benchAuth(values);
  const portOffset = positive(values['port-offset'], 'port-offset');
  if (workload === 'protocols' || workload === 'recovery') return await benchProtocols(workload, values, portOffset);
  if (workload === 'locks') return await benchLocks(values, portOffset);
  if (workload === 'sdk') return await benchSdk(values, portOffset);
  if (workload === 'state') return await benchState(values);
  const transfers = TRANSFERS.find((name) => name === workload);
  if (transfers) return await benchTransfers(transfers, values, portOffset);
  for (const link of linkNames(values.link ?? DEFAULT_LINK)) {
    await withSystems(RESULTS, [link], { portOffset }, async ([system]) => {
      if (workload === 'memory') await benchMemory(system!, values);
      else await benchFailover(system!, values);
    });
  }
}

async function benchRaft(values: Values): Promise<void> {
  const clients = positiveList(values.clients ?? '1,64,512', 'clients');
  const { result, bars } = await runRaftWorkload({
    directory: path.join(RESULTS, 'raft'),
    parts: partNames(values.parts, RAFT_PARTS),
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
    links: linkNames(values.link ?? DEFAULT_LINK),
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

async function benchLink(values: Values): Promise<void> {
  const { result, bars } = await runLinkWorkload({
    clients: positiveList(values.clients ?? '1,64', 'clients'),
    rounds: positive(values.rounds, 'rounds'),
    seconds: positive(values.seconds, 'seconds'),
  });
  process.stdout.write(`${linkTable(result)}\n`);
  report('link', result, bars, 'round trips per second (median)');
}

async function benchAuth(values: Values): Promise<void> {
  const { result, bars } = await runAuthWorkload({
    rounds: positive(values.rounds, 'rounds'),
    seconds: positive(values.seconds, 'seconds'),
  });
  process.stdout.write(`${authTable(result)}\n`);
  report('auth', result, bars, 'microseconds for a request (median)');
}

async function benchLocks(values: Values, portOffset: number): Promise<void> {
  const { result, bars } = await runLockWorkload({
    results: RESULTS,
    portOffset,
    clients: positiveList(values.clients ?? '1,64', 'clients'),
    rounds: positive(values.rounds, 'rounds'),
    seconds: positive(values.seconds, 'seconds'),
  });
  report('locks', result, bars, 'requests or commands per second (median)');
}

async function benchSdk(values: Values, portOffset: number): Promise<void> {
  const [link = 'direct', ...others] = linkNames(values.link ?? 'direct');
  if (link === 'kafka' || others.length > 0)
    throw new Error('sdk takes one link, direct or both: it asks processes by name');
  const { result, bars } = await runSdkWorkload({
    results: RESULTS,
    portOffset,
    parts: partNames(values.parts, SDK_PARTS),
    link,
    clients: positiveList(values.clients ?? '1,8,64', 'clients'),
    branches: positiveList(values.branches ?? '2,4,8,16', 'branches'),
    rounds: positive(values.rounds, 'rounds'),
    seconds: positive(values.seconds, 'seconds'),
    warmUpSeconds: positive(values['warm-up'], 'warm-up'),
  });
  report('sdk', result, bars, 'transfers per second (median)');
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

async function benchTransfers(workload: (typeof TRANSFERS)[number], values: Values, portOffset: number): Promise<void> {
  const clients = { transfer: '1,8,64', contention: '32', 'open-loop': '64', secured: '1,8,64' }[workload];
  const options = {
    results: RESULTS,
    portOffset,
    links: linkNames(values.link ?? DEFAULT_LINK),
    clients: positiveList(values.clients ?? clients, 'clients'),
    rounds: positive(values.rounds, 'rounds'),
    seconds: positive(values.seconds, 'seconds'),
    warmUpSeconds: positive(values['warm-up'], 'warm-up'),
  };
  if (workload === 'open-loop') {
    const { result, bars } = await runOpenLoop(options);
    report(workload, result, bars, 'p99 in ms, from the intended start');
  } else if (workload === 'secured') {
    const { result, bars } = await runSecured(options);
    report(workload, result, bars, 'transfers per second (median)');
  } else {
    const [title, kind] = workload === 'contention' ? (['Hot rows', HOT_ROWS] as const) : (['Transfers', RANDOM_ROWS] as const); // prettier-ignore
    const { result, bars } = await runTransfers(title, kind, options);
    report(workload, result, bars, 'transfers per second (median)');
  }
}

function report(workload: Workload, result: unknown, bars: Parameters<typeof writeResults>[3], unit: string): void {
  for (const file of writeResults(RESULTS, workload, result, bars, unit)) process.stdout.write(`written: ${file}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
