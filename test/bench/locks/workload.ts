import path from 'node:path';
import type { Measurement } from '../closed-loop.js';
import { isMet, targetTable, type Target } from '../raft/targets.js';
import { Trio } from '../raft/trio.js';
import { write } from '../raft/writes.js';
import { formatTable, type Bar } from '../report.js';
import { median } from '../statistics.js';
import { withSystems } from '../system.js';
import { LockClients } from './lock-clients.js';

/** An acquisition and a release: each is a request and a record. */
const REQUESTS_PER_PAIR = 2;
const WARM_UP = { proposers: 64, seconds: 8 };
/** At these clients the locks must keep up with the log; fewer are bound by the time of a write. */
const TARGET = { clients: 64, ratio: 0.5 };

export interface LockWorkloadOptions {
  /** of the data of all nodes */
  readonly results: string;
  readonly portOffset: number;
  readonly clients: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
}

/** Medians over the rounds; ratios are medians of the ratios of each round. */
export interface LockRow {
  readonly clients: number;
  /** commands of 128 bytes, proposed in the leader's process */
  readonly writesPerSecond: number;
  /** requests (acquire, release), made in the leader's process */
  readonly locksPerSecond: number;
  readonly ratio: number;
  /** of one acquisition with its release */
  readonly pairP50Ms: number;
  readonly pairP99Ms: number;
  /** requests over REST to a local system that does nothing else; undefined: not measured */
  readonly restPerSecond: number;
  readonly restRatio: number;
  readonly restPairP50Ms: number;
}

interface Round {
  readonly raft: Measurement;
  readonly locks: Measurement;
}

/** Acquire and release, against the writes of the Raft log alone, in turns; then over REST. Prints tables as they come. */
export async function runLockWorkload(options: LockWorkloadOptions): Promise<{ result: unknown; bars: Bar[] }> {
  const inProcess = await measureInProcess(options);
  const overRest = await measureOverRest(options);
  const rows = options.clients.map((clients): LockRow => {
    const rounds = inProcess.get(clients)!;
    const rest = overRest.get(clients)!;
    const writesPerSecond = median(rounds.map(({ raft }) => raft.perSecond));
    const restPerSecond = median(rest.map(({ perSecond }) => perSecond * REQUESTS_PER_PAIR));
    return {
      clients,
      writesPerSecond,
      locksPerSecond: median(rounds.map(({ locks }) => locks.perSecond * REQUESTS_PER_PAIR)),
      ratio: median(rounds.map(({ raft, locks }) => (locks.perSecond * REQUESTS_PER_PAIR) / raft.perSecond)),
      pairP50Ms: median(rounds.map(({ locks }) => locks.p50Ms)),
      pairP99Ms: median(rounds.map(({ locks }) => locks.p99Ms)),
      restPerSecond,
      restRatio: restPerSecond / writesPerSecond,
      restPairP50Ms: median(rest.map(({ p50Ms }) => p50Ms)),
    };
  });
  const targets: Target[] = rows
    .filter(({ clients }) => clients === TARGET.clients)
    .map(({ ratio }) => ({
      what: `acquire and release by the writes of the log, ${TARGET.clients} clients`,
      measured: ratio,
      unit: '',
      atLeast: TARGET.ratio,
    }));
  process.stdout.write(`\n${lockTable(rows)}\n\n${targetTable(targets)}\n`);
  const bars = rows.flatMap(({ clients, writesPerSecond, locksPerSecond, restPerSecond }) => [
    { label: `log, ${clients} clients`, value: writesPerSecond },
    { label: `locks, ${clients} clients`, value: locksPerSecond },
    { label: `locks over REST, ${clients} clients`, value: restPerSecond },
  ]);
  return { result: { rows, targets: targets.map((target) => ({ ...target, met: isMet(target) })) }, bars };
}

async function measureInProcess({
  results,
  clients,
  rounds,
  seconds,
}: LockWorkloadOptions): Promise<Map<number, Round[]>> {
  const measured = new Map<number, Round[]>(clients.map((count) => [count, []]));
  const raft = await Trio.start({ kind: 'raft', directory: path.join(results, 'locks', 'raft') });
  try {
    const locks = await Trio.start({ kind: 'locks', directory: path.join(results, 'locks', 'locks') });
    try {
      for (const trio of [raft, locks]) await write(trio, WARM_UP.proposers, { seconds: WARM_UP.seconds });
      for (const count of clients) {
        for (let round = 1; round <= rounds; round++) {
          const ofRaft = await write(raft, count, { seconds });
          const ofLocks = await write(locks, count, { seconds });
          measured.get(count)!.push({ raft: ofRaft, locks: ofLocks });
          const perSecond = [ofRaft.perSecond, ofLocks.perSecond * REQUESTS_PER_PAIR].map((rate) => rate.toFixed(0));
          process.stderr.write(`  ${count} clients, round ${round}: log ${perSecond[0]}/s, locks ${perSecond[1]}/s\n`);
        }
      }
      await locks.agree();
    } finally {
      await locks.stop();
    }
  } finally {
    await raft.stop();
  }
  return measured;
}

async function measureOverRest(options: LockWorkloadOptions): Promise<Map<number, Measurement[]>> {
  const { results, portOffset, clients, rounds, seconds } = options;
  const measured = new Map<number, Measurement[]>(clients.map((count) => [count, []]));
  await withSystems(path.join(results, 'locks'), ['direct'], { portOffset }, async ([system]) => {
    const url = await system!.leaderUrl();
    await measure(url, WARM_UP.proposers, WARM_UP.seconds);
    for (const count of clients) {
      for (let round = 1; round <= rounds; round++) measured.get(count)!.push(await measure(url, count, seconds));
    }
  });
  return measured;
}

async function measure(url: string, count: number, seconds: number): Promise<Measurement> {
  const clients = new LockClients(url, count);
  try {
    return await clients.run(seconds);
  } finally {
    await clients.close();
  }
}

function lockTable(rows: readonly LockRow[]): string {
  const header = [
    'clients',
    'log/s',
    'locks/s',
    'ratio',
    'pair p50 ms',
    'pair p99 ms',
    'REST/s',
    'ratio',
    'pair p50 ms',
  ];
  return formatTable(
    header,
    rows.map((row) => [
      String(row.clients),
      row.writesPerSecond.toFixed(0),
      row.locksPerSecond.toFixed(0),
      row.ratio.toFixed(2),
      row.pairP50Ms.toFixed(2),
      row.pairP99Ms.toFixed(2),
      row.restPerSecond.toFixed(0),
      row.restRatio.toFixed(2),
      row.restPairP50Ms.toFixed(2),
    ]),
  );
}
