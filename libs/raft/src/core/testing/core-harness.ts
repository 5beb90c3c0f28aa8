import { invariant, SeededRandom } from '@concordat/foundation';
import { RaftCore } from '../raft-core.js';
import type { RaftCoreOptions } from '../raft-core.js';
import type { PersistBatch, Ready } from '../ready.js';
import type {
  AppendEntries,
  AppendEntriesReply,
  Entry,
  HardState,
  Message,
  NodeId,
  Snapshot,
  SnapshotMetadata,
} from '../types.js';

const text = new TextEncoder();

export function entry(index: number, term: number, data = `${index}@${term}`): Entry {
  return { index, term, kind: 'normal', data: text.encode(data) };
}

/** A log whose entries have the given terms, from index 1 on. */
export function logOfTerms(terms: readonly number[]): Entry[] {
  return terms.map((term, position) => entry(position + 1, term));
}

/** The disk of one scripted node. */
interface Disk {
  hardState: HardState;
  snapshot: Snapshot | undefined;
  entries: Entry[];
}

/**
 * One core with a disk whose writes finish when the script says so (at once unless `manualDisk`), for tests
 * that play all the other nodes by hand.
 */
export class ScriptedNode {
  readonly disk: Disk;
  core: RaftCore;
  manualDisk = false;
  sent: Message[] = [];
  applied: Entry[] = [];
  snapshotRequests: NodeId[] = [];
  confirmedRound = 0;
  inflight: PersistBatch | undefined;

  constructor(
    readonly nodeId: NodeId,
    readonly voters: readonly NodeId[],
    private readonly options: Partial<RaftCoreOptions> & { readonly snapshotData?: Snapshot } = {},
  ) {
    this.disk = {
      hardState: options.hardState ?? { term: 0, vote: 0, commitIndex: 0 },
      snapshot: options.snapshotData,
      entries: [...(options.entries ?? [])],
    };
    this.core = this.boot();
  }

  private boot(): RaftCore {
    return new RaftCore({
      nodeId: this.nodeId,
      voters: this.voters,
      random: new SeededRandom(this.nodeId),
      electionTicks: 10,
      heartbeatTicks: 1,
      ...this.options,
      hardState: this.disk.hardState,
      snapshot: this.disk.snapshot?.metadata,
      entries: this.disk.entries,
    });
  }

  /** Power off and on: what was not durable is gone. */
  restart(): void {
    this.inflight = undefined;
    this.sent = [];
    this.applied = [];
    this.core = this.boot();
    this.run();
  }

  /** Does what the core wants until it wants nothing more. */
  run(): this {
    while (this.core.hasReady()) {
      this.take(this.core.ready());
      if (!this.manualDisk) this.finishWrite();
    }
    return this;
  }

  private take(ready: Ready): void {
    this.sent.push(...ready.messages);
    this.applied.push(...ready.committed);
    this.snapshotRequests.push(...ready.snapshotRequests);
    this.confirmedRound = ready.confirmedRound ?? this.confirmedRound;
    if (ready.persist) {
      invariant(!this.inflight, 'one write is in flight');
      this.inflight = ready.persist;
    }
  }

  /** The write in flight becomes durable. */
  finishWrite(): void {
    const batch = this.inflight;
    if (!batch) return;
    this.inflight = undefined;
    if (batch.snapshot) {
      this.disk.snapshot = batch.snapshot;
      this.disk.entries = [];
    }
    this.disk.hardState = batch.hardState ?? this.disk.hardState;
    const first = batch.entries[0];
    if (first) {
      const before = this.disk.entries.filter((stored) => stored.index < first.index);
      this.disk.entries = [...before, ...batch.entries];
    }
    this.sent.push(...batch.messages);
    this.core.advance(batch);
    if (this.manualDisk) this.run();
  }

  step(...messages: Message[]): this {
    for (const message of messages) {
      this.core.step(message);
      this.run();
    }
    return this;
  }

  tick(times = 1): this {
    for (let tick = 0; tick < times; tick++) {
      this.core.tick();
      this.run();
    }
    return this;
  }

  propose(...commands: string[]): this {
    invariant(this.core.propose(commands.map((command) => text.encode(command))) !== undefined, 'it leads');
    return this.run();
  }

  /** Everything sent since the last call. */
  takeSent(): Message[] {
    const messages = this.sent;
    this.sent = [];
    return messages;
  }

  /** Ticks until it stands for election; returns the ticks it took. */
  tickToCampaign(limit = 100): number {
    const { term } = this.core;
    for (let ticks = 1; ticks <= limit; ticks++) {
      this.core.tick();
      if (this.core.term > term) {
        this.run();
        return ticks;
      }
    }
    throw new Error('it never stood for election');
  }

  /** Makes it leader with the votes of all others, who then hold its whole log unless `silent`. */
  becomeLeader(silent = false): this {
    this.tickToCampaign();
    const { term } = this.core;
    for (const from of this.voters.filter((voter) => voter !== this.nodeId)) {
      this.step({ type: 'request-vote-reply', from, to: this.nodeId, term, granted: true });
    }
    invariant(this.core.role === 'leader', 'it leads');
    if (!silent) this.ackAll();
    return this;
  }

  /** All other voters acknowledge everything. */
  ackAll(): this {
    for (const from of this.voters.filter((voter) => voter !== this.nodeId)) this.ack(from);
    this.sent = [];
    return this;
  }

  ack(from: NodeId, matchIndex = this.core.lastIndex, round = 0): this {
    return this.step(this.reply(from, { success: true, matchIndex, round }));
  }

  reply(from: NodeId, fields: Partial<AppendEntriesReply>): AppendEntriesReply {
    return {
      type: 'append-entries-reply',
      from,
      to: this.nodeId,
      term: this.core.term,
      success: true,
      matchIndex: 0,
      hintIndex: 0,
      hintTerm: 0,
      round: 0,
      ...fields,
    };
  }

  /** Terms of its log as it stands in memory, from its start on. */
  terms(): number[] {
    const terms: number[] = [];
    for (let index = 1; index <= this.core.lastIndex; index++) terms.push(this.core.termAt(index) ?? 0);
    return terms;
  }
}

/** An AppendEntries for node `to`, by default an empty heartbeat of leader 1 in term 1. */
export function append(fields: Partial<AppendEntries> = {}): AppendEntries {
  return {
    type: 'append-entries',
    from: 1,
    to: 2,
    term: 1,
    previousIndex: 0,
    previousTerm: 0,
    entries: [],
    commitIndex: 0,
    round: 0,
    ...fields,
  };
}

export function snapshotAt(index: number, term: number, voters: readonly NodeId[] = [1, 2, 3]): Snapshot {
  const metadata: SnapshotMetadata = { index, term, voters };
  return { metadata, data: text.encode(`state at ${index}`) };
}

/** Several scripted nodes and the wires between them. */
export class ScriptedCluster {
  readonly nodes = new Map<NodeId, ScriptedNode>();
  private readonly cut = new Set<string>();

  constructor(nodes: readonly ScriptedNode[]) {
    for (const node of nodes) this.nodes.set(node.nodeId, node);
  }

  static of(size: number): ScriptedCluster {
    const voters = Array.from({ length: size }, (_, position) => position + 1);
    return new ScriptedCluster(voters.map((voter) => new ScriptedNode(voter, voters)));
  }

  node(nodeId: NodeId): ScriptedNode {
    const node = this.nodes.get(nodeId);
    invariant(node, 'the node exists');
    return node;
  }

  /** Cuts the wires between a node and all others, or joins them again. */
  isolate(nodeId: NodeId): void {
    for (const other of this.nodes.keys()) {
      this.cut.add(`${nodeId}-${other}`);
      this.cut.add(`${other}-${nodeId}`);
    }
  }

  heal(): void {
    this.cut.clear();
  }

  /** Delivers messages until none is left. */
  settle(): void {
    for (let rounds = 0; rounds < 1000; rounds++) {
      const messages = [...this.nodes.values()].flatMap((node) => node.run().takeSent());
      if (messages.length === 0) return;
      for (const message of messages) {
        if (!this.cut.has(`${message.from}-${message.to}`)) this.nodes.get(message.to)?.step(message);
      }
    }
    throw new Error('the cluster does not come to rest');
  }

  elect(nodeId: NodeId): ScriptedNode {
    const node = this.node(nodeId);
    node.tickToCampaign();
    this.settle();
    return node;
  }

  /** A tick for the given node, and everything that follows from it. */
  tick(nodeId: NodeId, times = 1): void {
    for (let tick = 0; tick < times; tick++) {
      this.node(nodeId).tick();
      this.settle();
    }
  }
}
