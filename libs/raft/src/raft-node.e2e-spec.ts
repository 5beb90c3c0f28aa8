import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { SystemClock, SystemRandom } from '@concordat/foundation';
import {
  FileStorage,
  GrpcTransport,
  RaftNode,
  type MemberDescription,
  type NodeId,
  type StateMachine,
  type TransportTlsMode,
} from './index.js';
import { freePorts } from './testing/free-ports.js';
import { TestAuthority } from './transport/testing/test-authority.js';

/** Keeps all commands, so that two nodes can be compared. */
class ListMachine implements StateMachine<number> {
  commands: string[] = [];

  apply(command: Uint8Array): number {
    return this.commands.push(Buffer.from(command).toString());
  }

  takeSnapshot(): Uint8Array {
    return Buffer.from(JSON.stringify(this.commands));
  }

  restoreSnapshot(data: Uint8Array): void {
    this.commands = JSON.parse(Buffer.from(data).toString()) as string[];
  }
}

interface Running {
  readonly node: RaftNode<number>;
  readonly machine: ListMachine;
}

const voters: readonly NodeId[] = [1, 2, 3];
const clock = new SystemClock();
const authority = TestAuthority.create();

/** Looks again every few milliseconds, for 15 s at most. */
async function until<T>(look: () => T | undefined, what: string): Promise<T> {
  const deadline = clock.monotonic() + 15_000;
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
    if (clock.monotonic() > deadline) throw new Error(`in vain waited until ${what}`);
    await new Promise<void>((resolve) => void clock.setTimer(5, resolve));
  }
}

describe('three nodes on disk and on the network', () => {
  let directory: string;
  let addresses: Map<NodeId, string>;
  const members = new Map<NodeId, Running>();

  const memberOf = (nodeId: NodeId): MemberDescription => ({
    nodeId,
    address: addresses.get(nodeId) ?? '',
    data: '',
    priority: 0,
  });

  async function startMember(
    nodeId: NodeId,
    joins = false,
    tlsMode: TransportTlsMode | 'plain' = 'require',
  ): Promise<Running> {
    const machine = new ListMachine();
    const storage = new FileStorage({
      directory: join(directory, String(nodeId)),
      nodeId,
      clusterName: 'smoke',
      segmentSizeBytes: 64 * 1024,
    });
    const transport = new GrpcTransport({
      nodeId,
      clusterName: 'smoke',
      listenAddress: addresses.get(nodeId) ?? '',
      ...(tlsMode !== 'plain' && { tls: authority.issue({ clusterName: 'smoke', nodeId }), tlsMode }),
    });
    const node = new RaftNode<number>({
      nodeId,
      members: voters.map(memberOf),
      join: joins,
      storage,
      transport,
      stateMachine: machine,
      clock,
      random: new SystemRandom(),
      snapshotAfterBytes: 32 * 1024,
    });
    members.set(nodeId, { node, machine });
    await node.start();
    return { node, machine };
  }

  const startAll = (): Promise<Running[]> => Promise.all(voters.map((nodeId) => startMember(nodeId)));

  const leader = (): Promise<Running> =>
    until(() => [...members.values()].find(({ node }) => node.status().leaderReady), 'there is a leader');

  async function propose(count: number, prefix: string): Promise<void> {
    const { node } = await leader();
    const commands = Array.from({ length: count }, (_, at) => `${prefix} ${at}`.padEnd(200, '.'));
    await Promise.all(commands.map((command) => node.propose(Buffer.from(command))));
  }

  /** Waits until all members have applied as many commands, and returns what they agree on. */
  async function agreed(count: number): Promise<readonly string[]> {
    const all = [...members.values()];
    await until(
      () => (all.every(({ machine }) => machine.commands.length >= count) ? true : undefined),
      `all have applied ${count} commands`,
    );
    const [first, ...others] = all.map(({ machine }) => machine.commands);
    for (const other of others) expect(other).toEqual(first);
    expect(first).toHaveLength(count);
    return first ?? [];
  }

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'concordat-raft-'));
    const ports = await freePorts(voters.length + 1);
    addresses = new Map(ports.map((port, index) => [index + 1, `127.0.0.1:${port}`]));
  });

  afterEach(async () => {
    await Promise.all([...members.values()].map(({ node }) => node.stop()));
    members.clear();
    await rm(directory, { recursive: true });
  });

  it('agree, go on without one, and bring it up to date from its disk and a snapshot', async () => {
    await startAll();
    await propose(100, 'first');
    await agreed(100);

    const gone = await until(
      () => [...members].find(([, { node }]) => node.status().role === 'follower')?.[0],
      'there is a follower',
    );
    await members.get(gone)?.node.stop();
    members.delete(gone);
    await propose(1000, 'second'); // far more than a snapshot's distance: it comes back behind the log

    const back = await startMember(gone);
    expect(back.machine.commands.length).toBeLessThanOrEqual(1100);
    const before = await agreed(1100);

    await Promise.all([...members.values()].map(({ node }) => node.stop()));
    members.clear();
    await startAll();
    await propose(1, 'third');
    const after = await agreed(1101);
    expect(after.slice(0, 1100)).toEqual(before);
  }, 60_000);

  it('go on when the leader stops', async () => {
    await startAll();
    await propose(10, 'first');
    const { node } = await leader();
    const { nodeId } = node.status();
    await node.stop();
    members.delete(nodeId);
    await propose(10, 'second');
    await agreed(20);
    await startMember(nodeId);
    await agreed(20);
  }, 60_000);

  it('change from plain text to TLS one after the other, and lose nothing', async () => {
    await Promise.all(voters.map((nodeId) => startMember(nodeId, false, 'plain')));
    let count = 0;
    const proposeMore = async (): Promise<void> => propose(10, `${(count += 10)}`);
    await proposeMore();
    for (const tlsMode of ['accept', 'prefer', 'require'] as const) {
      for (const nodeId of voters) {
        await members.get(nodeId)?.node.stop();
        members.delete(nodeId);
        await proposeMore(); // by the two others
        await startMember(nodeId, false, tlsMode);
        await proposeMore();
        await agreed(count); // also the one that has changed
      }
    }
  }, 60_000);

  it('replace one of them by a fourth, which leads and is read from', async () => {
    await startAll();
    await propose(500, 'first'); // the fourth gets them as a snapshot and what came after it
    const first = await leader();
    const fourth = await startMember(4, true);
    const gone = voters.find((nodeId) => nodeId !== first.node.status().nodeId)!;
    await first.node.changeMembership([{ type: 'add-learner', member: memberOf(4) }]);
    const configuration = await first.node.changeMembership([
      { type: 'promote', nodeId: 4 },
      { type: 'remove', nodeId: gone },
    ]);
    expect(configuration.voters).toEqual([...voters.filter((nodeId) => nodeId !== gone), 4]);
    await members.get(gone)?.node.stop();
    members.delete(gone);

    await first.node.transferLeadership(4);
    await until(() => fourth.node.status().leaderReady || undefined, 'the fourth leads');
    await propose(10, 'second');
    for (const { node, machine } of members.values()) {
      await node.readIndex();
      expect(machine.commands).toHaveLength(510);
    }
    await agreed(510);
  }, 60_000);
});
