import { SystemClock, SystemRandom } from '@concordat/foundation';
import { RaftNode, type StateMachine } from '@concordat/raft';
import { MemoryNetwork, MemoryStorage } from '@concordat/raft/testing';

/** Counts per key. Every node has one, and all of them apply the same commands in the same order. */
class Counters implements StateMachine<number> {
  private counts = new Map<string, number>();

  get(key: string): number {
    return this.counts.get(key) ?? 0;
  }
  apply(command: Uint8Array): number {
    const key = Buffer.from(command).toString();
    this.counts.set(key, this.get(key) + 1);
    return this.get(key);
  }
  takeSnapshot(): Uint8Array {
    return Buffer.from(JSON.stringify([...this.counts]));
  }
  restoreSnapshot(data: Uint8Array): void {
    this.counts = new Map(JSON.parse(Buffer.from(data).toString()) as [string, number][]);
  }
}

const common = { clock: new SystemClock(), random: new SystemRandom() };
const network = new MemoryNetwork(common);
const members = [1, 2, 3].map((nodeId) => ({ nodeId, address: '', data: '', priority: 0 }));
const group = members.map(({ nodeId }) => {
  const stateMachine = new Counters();
  const ports = { storage: new MemoryStorage(), transport: network.transport(nodeId), stateMachine };
  return { stateMachine, node: new RaftNode({ nodeId, members, ...ports, ...common }) };
});
const elected = Promise.race(
  group.map(
    ({ node }) => new Promise<typeof node>((won) => node.onStatusChange((now) => now.leaderReady && won(node))),
  ),
);
await Promise.all(group.map(({ node }) => node.start()));

const leader = await elected;
await leader.propose(Buffer.from('visits'));
const { result } = await leader.propose(Buffer.from('visits'));
console.log(`the leader counted ${result} visits`);
for (const { node, stateMachine } of group) {
  await node.readIndex(); // on any node: from here on its copy holds everything that was committed before
  console.log(`node ${node.status().nodeId} reads ${stateMachine.get('visits')}`);
}
await Promise.all(group.map(({ node }) => node.stop()));
