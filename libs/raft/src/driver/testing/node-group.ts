import { SeededRandom, VirtualClock } from '@concordat/foundation';
import { memberOf } from '../../core/membership/configuration.js';
import type { Configuration, Message, NodeId } from '../../core/types.js';
import { MemoryNetwork } from './memory-network.js';
import { MemoryStorage } from '../../storage/memory-storage.js';
import type { SnapshotPieces, StateMachine } from '../ports.js';
import { RaftNode } from '../raft-node.js';
import type { Committed, RaftNodeOptions } from '../raft-node.types.js';
import { PausableProcess } from './pausable-process.js';

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** A state machine that remembers its commands; the result of one is how many there are by then. */
export class Journal implements StateMachine<number> {
  commands: string[] = [];
  identities: Uint8Array[] = [];
  restored = 0;
  broken = false;

  apply(command: Uint8Array): number {
    if (this.broken) throw new Error('cannot apply');
    this.identities.push(command);
    this.commands.push(decoder.decode(command));
    return this.commands.length;
  }

  takeSnapshot(): Uint8Array | SnapshotPieces {
    return encoder.encode(JSON.stringify(this.commands));
  }

  restoreSnapshot(data: Uint8Array): void {
    this.restored++;
    this.commands = JSON.parse(decoder.decode(data)) as string[];
  }
}

/** One life of a node. Its storage outlives it. */
export interface GroupNode {
  readonly node: RaftNode<number>;
  readonly journal: Journal;
  readonly storage: MemoryStorage;
  readonly process: PausableProcess;
  readonly fatal: readonly Error[];
  /** whom the transport was told to reach, one list per time */
  readonly reached: readonly (readonly NodeId[])[];
}

export interface GroupOptions extends Partial<Omit<RaftNodeOptions<number>, 'members' | 'nodeId'>> {
  /** by node id; 0 where nothing is said */
  readonly priorities?: Readonly<Record<NodeId, number>>;
}

/** Nodes under one virtual clock; `until` lets time go on until a condition holds. */
export class NodeGroup {
  readonly clock = new VirtualClock();
  readonly random = new SeededRandom(7);
  readonly network = new MemoryNetwork({ clock: this.clock, random: this.random.fork() });
  readonly members = new Map<NodeId, GroupNode>();
  /** whom the group begins with */
  readonly voters: readonly NodeId[];

  constructor(
    size: number,
    private readonly options: GroupOptions = {},
  ) {
    this.voters = Array.from({ length: size }, (_, position) => position + 1);
  }

  /** The nodes of the group's beginning. */
  async startAll(): Promise<void> {
    for (const id of this.voters) await this.start(id);
  }

  /** Starts a node for the first time, or again on what its storage holds. */
  async start(id: NodeId, options: Partial<RaftNodeOptions<number>> = {}): Promise<GroupNode> {
    const { priorities = {}, ...common } = this.options;
    const process = new PausableProcess(this.clock);
    const transport = process.transport(this.network.transport(id));
    const own = options.storage instanceof MemoryStorage ? options.storage : this.members.get(id)?.storage;
    const storage = own ?? new MemoryStorage({ clock: this.clock, delayMs: () => 1 });
    const journal = new Journal();
    const fatal: Error[] = [];
    const reached: NodeId[][] = [];
    const node = new RaftNode<number>({
      nodeId: id,
      members: this.voters.map((voter) => memberOf(voter, { priority: priorities[voter] ?? 0 })),
      storage,
      transport: {
        ...transport,
        setPeers: (peers) => {
          reached.push([...peers.keys()]);
          transport.setPeers(peers);
        },
      },
      stateMachine: journal,
      clock: process.clock,
      random: this.random.fork(),
      onFatal: (error) => fatal.push(error),
      ...common,
      ...options,
    });
    const member = { node, journal, storage, process, fatal, reached };
    this.members.set(id, member);
    await node.start();
    return member;
  }

  /** A node that is to join, and knows only where the group is. */
  join(id: NodeId): Promise<GroupNode> {
    return this.start(id, { join: true });
  }

  /** Starts a node and has it added as a learner, with all that was committed so far. */
  async addLearner(id: NodeId): Promise<GroupNode> {
    const learner = await this.join(id);
    const leader = await this.leader();
    await this.end(leader.node.changeMembership([{ type: 'add-learner', member: memberOf(id) }]));
    await this.until(() => learner.node.status().commitIndex >= leader.node.status().commitIndex);
    return learner;
  }

  crash(id: NodeId): void {
    const { node, storage } = this.member(id);
    node.kill();
    this.network.detach(id);
    storage.crash();
  }

  member(id: NodeId): GroupNode {
    const member = this.members.get(id);
    if (!member) throw new Error(`node ${id} was never started`);
    return member;
  }

  /** All members but these. */
  others(...besides: readonly GroupNode[]): GroupNode[] {
    return [...this.members.values()].filter((member) => !besides.includes(member));
  }

  /** Every message that is delivered from now on. */
  traffic(): readonly Message[] {
    const messages: Message[] = [];
    this.network.observe((message) => messages.push(message));
    return messages;
  }

  /** Cuts all links of one node until `network.heal()`. */
  isolate(member: GroupNode): void {
    const ids = this.others(member).map(({ node }) => node.status().nodeId);
    this.network.partition([member.node.status().nodeId], ids);
  }

  async until(condition: () => boolean, limitMs = 60_000): Promise<void> {
    const end = this.clock.monotonic() + limitMs;
    for (;;) {
      await this.settle();
      if (condition()) return;
      if (this.clock.monotonic() > end || !this.clock.fireNext()) throw new Error('the condition never held');
    }
  }

  /** Lets everything happen that needs no time. */
  settle(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  /** Lets so much time go by. */
  async pass(durationMs: number): Promise<void> {
    let isOver = false;
    this.clock.setTimer(durationMs, () => (isOver = true));
    await this.until(() => isOver, durationMs);
  }

  /** Lets time go on until the promise has ended. */
  async end<T>(promise: Promise<T>): Promise<T> {
    let ended = false;
    void Promise.allSettled([promise]).then(() => (ended = true));
    await this.until(() => ended);
    return promise;
  }

  /** The error a promise ends with; it must not resolve. */
  async failure(promise: Promise<unknown>): Promise<unknown> {
    const [outcome] = await this.end(Promise.allSettled([promise]));
    if (outcome?.status !== 'rejected') throw new Error('the promise was to be rejected, and was not');
    return outcome.reason;
  }

  async leader(besides?: NodeId): Promise<GroupNode> {
    const find = (): GroupNode | undefined =>
      [...this.members.values()].find(({ node }) => node.status().leaderReady && node.status().nodeId !== besides);
    await this.until(() => find() !== undefined);
    return find()!;
  }

  propose(member: GroupNode, command: string): Promise<Committed<number>> {
    return this.end(member.node.propose(encoder.encode(command)));
  }

  /** The configuration as the nodes of a kind: voters, outgoing voters, learners. */
  roles({ node }: GroupNode): Pick<Configuration, 'voters' | 'outgoing' | 'learners'> {
    const { voters, outgoing, learners } = node.status().configuration;
    return { voters, outgoing, learners };
  }
}

/** A group whose first nodes have started. */
export async function group(size: number, options: GroupOptions = {}): Promise<NodeGroup> {
  const made = new NodeGroup(size, options);
  await made.startAll();
  return made;
}

export function idOf({ node }: GroupNode): NodeId {
  return node.status().nodeId;
}
