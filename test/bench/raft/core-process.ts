// The core alone, as a process of its own so that nothing else is on its heap: a leader and two followers of the
// library's core hand each other messages as objects; every write is durable at once and what is committed is only
// counted. Prints one line of JSON for each number of proposals that go in at a time.
import { SeededRandom } from '@concordat/foundation';
import { memberOf, RaftCore, votersOnly, type Entry, type Message, type NodeId, type Ready } from '@concordat/raft';

const NODES: readonly NodeId[] = [1, 2, 3];
const BATCH_SIZES = [1, 64, 512];
const COMMAND_BYTES = 128;
const WARM_UP_MS = 1_000;
const MEASURED_MS = 2_000;
/** As the driver does it: what is applied goes, a tail for those slightly behind stays. */
const COMPACT_EVERY = 100_000;
const TAIL_ENTRIES = 5_000;
const TICKS_TO_ELECT = 1_000;

/** A group of cores whose messages arrive at once and in order. */
class CoreGroup {
  private readonly cores: ReadonlyMap<NodeId, RaftCore>;
  private readonly committed = new Map<NodeId, number>();
  private readonly messages: Message[] = [];
  private compactAt = COMPACT_EVERY;

  constructor() {
    const members = NODES.map((nodeId) => memberOf(nodeId, { incarnation: 1 }));
    const newCore = (nodeId: NodeId): RaftCore => {
      const core = new RaftCore({
        nodeId,
        incarnation: 1,
        random: new SeededRandom(nodeId),
        electionTicks: 10,
        heartbeatTicks: 1,
        hardState: { term: 0, vote: 0, commitIndex: 0 },
      });
      core.found(votersOnly(members, 1));
      return core;
    };
    this.cores = new Map(NODES.map((nodeId) => [nodeId, newCore(nodeId)]));
  }

  elect(): RaftCore {
    for (let tick = 0; tick < TICKS_TO_ELECT; tick++) {
      for (const core of this.cores.values()) core.tick();
      this.run();
      const leader = [...this.cores.values()].find(({ role }) => role === 'leader');
      if (leader) return leader;
    }
    throw new Error('no leader was elected');
  }

  /** Proposes and lets everything happen that follows from it, heartbeats of one tick included. */
  carry(leader: RaftCore, commands: readonly Uint8Array[]): void {
    const appended = leader.propose(commands);
    if ('refused' in appended || appended.count < commands.length) throw new Error('the leader refused a proposal');
    this.run();
    const last = appended.firstIndex + commands.length - 1;
    if (leader.commitIndex < last) throw new Error(`entry ${last} was not committed`);
    if (last >= this.compactAt) this.compact(last);
  }

  /** Brings the last commit index to the followers, too, and checks that each node was told of every entry once. */
  finish(leader: RaftCore): void {
    leader.tick();
    this.run();
    for (const [nodeId, count] of this.committed) {
      if (count !== leader.commitIndex) throw new Error(`node ${nodeId} was told of ${count} entries`);
    }
  }

  private run(): void {
    do {
      for (const core of this.cores.values()) {
        while (core.hasReady() || core.hasCommitted) this.follow(core, core.ready(), core.takeCommitted());
      }
      for (const message of this.messages.splice(0)) this.cores.get(message.to)!.step(message);
    } while (this.messages.length > 0 || [...this.cores.values()].some((core) => core.hasReady() || core.hasCommitted));
  }

  private follow(core: RaftCore, { messages, persist }: Ready, committed: readonly Entry[]): void {
    this.messages.push(...messages);
    this.committed.set(core.nodeId, (this.committed.get(core.nodeId) ?? 0) + committed.length);
    if (!persist) return;
    this.messages.push(...persist.messages);
    core.advance(persist);
  }

  private compact(index: number): void {
    this.compactAt = index + COMPACT_EVERY;
    for (const core of this.cores.values()) {
      const applied = Math.min(index, core.commitIndex);
      core.compact(core.compactionIndex(applied, TAIL_ENTRIES, Infinity));
    }
  }
}

function entriesPerSecond(batchSize: number): number {
  const group = new CoreGroup();
  const leader = group.elect();
  const carryFor = (durationMs: number): number => {
    const start = performance.now();
    let entries = 0;
    while (performance.now() - start < durationMs) {
      group.carry(
        leader,
        Array.from({ length: batchSize }, () => Buffer.allocUnsafe(COMMAND_BYTES)),
      );
      entries += batchSize;
    }
    return (entries * 1000) / (performance.now() - start);
  };
  carryFor(WARM_UP_MS);
  const measured = carryFor(MEASURED_MS);
  group.finish(leader);
  return measured;
}

for (const batchSize of BATCH_SIZES) {
  process.stdout.write(`${JSON.stringify({ batchSize, entriesPerSecond: entriesPerSecond(batchSize) })}\n`);
}
