import type { Measurement } from '../closed-loop.js';
import { formatTable } from '../report.js';
import { median } from '../statistics.js';
import type { MemberProcess } from './member-process.js';
import type { Target } from './targets.js';
import type { Trio } from './trio.js';
import { write } from './writes.js';

const WARM_UP_ROUNDS = 1;
/** Linearizable reads of three etcd nodes on such a machine, clients over gRPC, for scale. */
const ETCD_READS: Readonly<Record<number, number>> = { 1: 4_050, 64: 29_000, 512: 39_000 };

export interface ReadOptions {
  readonly readers: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
}

export interface ReadComparison {
  readonly readers: number;
  /** medians over the rounds, as many writes and reads at a time; ratios are medians of each round's */
  readonly writesPerSecond: number;
  readonly leaderPerSecond: number;
  readonly leaderP50Ms: number;
  readonly leaderP99Ms: number;
  readonly leaderRatio: number;
  readonly followerPerSecond: number;
  readonly followerP50Ms: number;
  readonly followerP99Ms: number;
  readonly followerRatio: number;
}

interface ReadRound {
  readonly writes: Measurement;
  readonly leader: Measurement;
  readonly follower: Measurement;
}

/** Linearizable reads at the leader and at a follower, in turns with as many proposers. */
export async function compareReads(raft: Trio, options: ReadOptions): Promise<ReadComparison[]> {
  const comparisons: ReadComparison[] = [];
  for (const readers of options.readers) {
    const rounds: ReadRound[] = [];
    for (let round = 1 - WARM_UP_ROUNDS; round <= options.rounds; round++) {
      const measured = await measureRound(raft, readers, options.seconds);
      if (round < 1) continue;
      rounds.push(measured);
      const { writes, leader, follower } = measured;
      process.stderr.write(
        `  ${readers} at a time, round ${round}: writes ${writes.perSecond.toFixed(0)}/s, ` +
          `reads ${leader.perSecond.toFixed(0)}/s, on a follower ${follower.perSecond.toFixed(0)}/s\n`,
      );
    }
    comparisons.push(summarise(readers, rounds));
  }
  return comparisons;
}

async function measureRound(raft: Trio, readers: number, seconds: number): Promise<ReadRound> {
  const read = (member: MemberProcess): Promise<Measurement> => member.call('read', { readers, length: { seconds } });
  return {
    writes: await write(raft, readers, { seconds }),
    leader: await read(await raft.leader()),
    follower: await read(await raft.follower()),
  };
}

function summarise(readers: number, rounds: readonly ReadRound[]): ReadComparison {
  const middle = (figure: (round: ReadRound) => number): number => median(rounds.map(figure));
  return {
    readers,
    writesPerSecond: middle(({ writes }) => writes.perSecond),
    leaderPerSecond: middle(({ leader }) => leader.perSecond),
    leaderP50Ms: middle(({ leader }) => leader.p50Ms),
    leaderP99Ms: middle(({ leader }) => leader.p99Ms),
    leaderRatio: middle(({ leader, writes }) => leader.perSecond / writes.perSecond),
    followerPerSecond: middle(({ follower }) => follower.perSecond),
    followerP50Ms: middle(({ follower }) => follower.p50Ms),
    followerP99Ms: middle(({ follower }) => follower.p99Ms),
    followerRatio: middle(({ follower, writes }) => follower.perSecond / writes.perSecond),
  };
}

export function readTable(comparisons: readonly ReadComparison[]): string {
  const rows = comparisons.map((one) => [
    String(one.readers),
    one.writesPerSecond.toFixed(0),
    one.leaderPerSecond.toFixed(0),
    one.leaderRatio.toFixed(2),
    `${one.leaderP50Ms.toFixed(2)} / ${one.leaderP99Ms.toFixed(2)}`,
    one.followerPerSecond.toFixed(0),
    one.followerRatio.toFixed(2),
    `${one.followerP50Ms.toFixed(2)} / ${one.followerP99Ms.toFixed(2)}`,
    ETCD_READS[one.readers]?.toFixed(0) ?? '',
  ]);
  const header = ['readers', 'writes/s', 'leader reads/s', 'ratio', 'p50 / p99 ms'];
  return formatTable([...header, 'follower reads/s', 'ratio', 'p50 / p99 ms', 'etcd reads/s'], rows);
}

export function readTargets(comparisons: readonly ReadComparison[]): Target[] {
  return comparisons.flatMap(({ readers, leaderRatio, followerRatio }) => [
    { what: `reads at the leader by writes, ${readers}`, measured: leaderRatio, unit: '', atLeast: 3 },
    { what: `reads at a follower by writes, ${readers}`, measured: followerRatio, unit: '', atLeast: 3 },
  ]);
}
