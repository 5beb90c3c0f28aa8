import { votersOnly } from '../../membership/configuration.js';
import { RaftCore } from '../../raft-core.js';
import type { CoreLimits } from '../../raft-core.types.js';
import type { PersistBatch, Ready, SnapshotRead } from '../../ready.js';
import type {
  Entry,
  GroupId,
  HardState,
  Incarnation,
  Member,
  Message,
  NodeId,
  Snapshot,
  SnapshotChunk,
} from '../../types.js';
import { TEST_GROUP_ID } from '../members.js';
import type { ChosenTimeouts } from './chosen-timeouts.js';
import { formatConfiguration, formatEntries, formatPosition } from './notation.js';
import { ScriptError } from './script-error.js';
import { SnapshotShelf } from './snapshot-shelf.js';

export interface ScriptedNodeOptions {
  readonly nodeId: NodeId;
  readonly incarnation: Incarnation;
  /** a group that is founded already, and all of whose members write its first entry by themselves */
  readonly bootstrapMembers: readonly Member[];
  /** where the group is, or is to be founded */
  readonly members?: readonly Member[];
  readonly founds?: boolean;
  readonly newGroupId?: GroupId;
  readonly timeouts: ChosenTimeouts;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly votesAtOnce: boolean;
  readonly sparesHeartbeats: boolean;
  readonly limits: Partial<CoreLimits>;
  readonly hardState: HardState;
  readonly snapshot: Snapshot | undefined;
  readonly entries: readonly Entry[];
}

/** What a node needs of the stage it stands on. */
export interface Stage {
  print(line: string): void;
  send(message: Message): void;
  written(nodeId: NodeId, entries: readonly Entry[]): void;
  applied(nodeId: NodeId, entries: readonly Entry[]): void;
  leads(nodeId: NodeId, term: number): void;
}

const MAXIMUM_PASSES = 1000;
const SNAPSHOT_SIZE_BYTES = 20;

/**
 * One core with its disk. Everything it does is printed. Writes finish at once unless the script holds the disk;
 * reading and storing of snapshots may be held apart from it. A crash loses what was not written.
 */
export class ScriptedNode {
  readonly nodeId: NodeId;
  hardState: HardState;
  entries: readonly Entry[];
  readonly shelf: SnapshotShelf;
  appliedIndex = 0;
  holdsWrites = false;
  holdsSnapshots = false;
  private running: RaftCore | undefined;
  private write: PersistBatch | undefined;
  private snapshotReads: SnapshotRead[] = [];
  private snapshotChunks: SnapshotChunk[] = [];
  private shownRole = '';
  private shownCommitIndex = 0;

  constructor(
    readonly options: ScriptedNodeOptions,
    private readonly stage: Stage,
  ) {
    this.nodeId = options.nodeId;
    this.hardState = options.hardState;
    this.entries = options.entries;
    this.shelf = new SnapshotShelf(options.snapshot);
  }

  get isRunning(): boolean {
    return this.running !== undefined;
  }

  get core(): RaftCore {
    if (!this.running) throw new ScriptError(`node ${this.nodeId} is down`);
    return this.running;
  }

  // --- power

  boot(): void {
    if (this.running) throw new ScriptError(`node ${this.nodeId} runs already`);
    const { shelf, hardState, entries } = this;
    const snapshot = shelf.snapshot?.metadata;
    this.running = new RaftCore({ ...this.options, random: this.options.timeouts, hardState, snapshot, entries });
    const { bootstrapMembers } = this.options;
    const isNew = hardState.term === 0 && this.running.lastIndex === 0;
    if (isNew && bootstrapMembers.length > 0) this.running.found(votersOnly(bootstrapMembers, TEST_GROUP_ID));
    this.appliedIndex = snapshot?.index ?? 0;
    this.shownRole = '';
    this.shownCommitIndex = this.appliedIndex;
    this.follow();
  }

  crash(): void {
    const lost = this.write && describeWrite(this.write);
    this.stage.print(lost === undefined ? 'loses nothing' : `loses the write of ${lost}`);
    this.running = undefined;
    this.write = undefined;
    this.snapshotReads = [];
    this.snapshotChunks = [];
  }

  // --- inputs

  /** One input into the core, and all that follows from it. */
  act(input: (core: RaftCore) => void): void {
    input(this.core);
    this.follow();
  }

  /** The write that is held becomes durable. */
  finishWrite(): void {
    if (!this.write) throw new ScriptError(`node ${this.nodeId} has no write under way`);
    this.completeWrite(this.write);
    this.follow();
  }

  /** The oldest piece of a snapshot that waits is read or stored. */
  finishSnapshot(): void {
    const read = this.snapshotReads.shift();
    const chunk = read ? undefined : this.snapshotChunks.shift();
    if (read) this.readSnapshot(read);
    else if (chunk) this.storeChunk(chunk);
    else throw new ScriptError(`node ${this.nodeId} has no snapshot to read or to store`);
    this.follow();
  }

  /** Nothing is held from now on; a node that is down may be told so as well. */
  release(): void {
    this.holdsWrites = this.holdsSnapshots = false;
    for (const read of this.snapshotReads.splice(0)) this.readSnapshot(read);
    for (const chunk of this.snapshotChunks.splice(0)) this.storeChunk(chunk);
    if (this.write) this.completeWrite(this.write);
    if (this.running) this.follow();
  }

  /** Takes a snapshot of what is applied, and forgets the log up to `index`. */
  compact(index: number, snapshotIndex: number, sizeBytes: number = SNAPSHOT_SIZE_BYTES): void {
    if (index > snapshotIndex || snapshotIndex > this.appliedIndex)
      throw new ScriptError(`node ${this.nodeId} has applied ${this.appliedIndex} only`);
    const metadata = this.core.snapshotMetadata(snapshotIndex);
    this.shelf.take({ metadata, data: snapshotData(snapshotIndex, sizeBytes) });
    this.entries = this.entries.filter((entry) => entry.index > index);
    this.core.compact(index);
    this.stage.print(`has a snapshot ${formatPosition(metadata)} of ${formatConfiguration(metadata.configuration)}`);
    this.follow();
  }

  // --- outputs

  private follow(): void {
    this.showState();
    for (let pass = 0; this.core.hasReady() || this.core.hasCommitted; pass++) {
      if (pass === MAXIMUM_PASSES) throw new ScriptError(`node ${this.nodeId} does not come to rest`);
      this.take(this.core.ready(), this.core.takeCommitted());
      this.showState();
    }
  }

  private take(ready: Ready, committed: readonly Entry[]): void {
    const { stage } = this;
    if (ready.configuration) stage.print(`configuration: ${formatConfiguration(ready.configuration)}`);
    for (const { from, type, reason } of ready.refused) stage.print(`refuses ${type} of ${from}: ${reason}`);
    for (const message of ready.messages) stage.send(message);
    for (const { requestId, index } of ready.reads) stage.print(`confirms read ${requestId} at ${index}`);
    if (ready.persist) this.beginWrite(ready.persist);
    if (committed.length > 0) {
      stage.print(`applies ${formatEntries(committed)}`);
      stage.applied(this.nodeId, committed);
      this.appliedIndex = committed.at(-1)!.index;
    }
    for (const read of ready.snapshotReads) {
      if (this.holdsSnapshots) this.snapshotReads.push(read);
      else this.readSnapshot(read);
    }
    for (const chunk of ready.snapshotChunks) {
      if (this.holdsSnapshots) this.snapshotChunks.push(chunk);
      else this.storeChunk(chunk);
    }
  }

  private showState(): void {
    const { role, term, leaderId, commitIndex } = this.core;
    const following = role === 'follower' && leaderId !== undefined ? ` of ${leaderId}` : '';
    const shown = `${role}${following} in term ${term}`;
    if (shown !== this.shownRole) this.stage.print(shown);
    this.shownRole = shown;
    if (commitIndex > this.shownCommitIndex) this.stage.print(`commits up to ${commitIndex}`);
    this.shownCommitIndex = commitIndex;
    if (role === 'leader') this.stage.leads(this.nodeId, term);
  }

  private beginWrite(batch: PersistBatch): void {
    this.write = batch;
    this.stage.written(this.nodeId, batch.entries);
    this.stage.print(`${this.holdsWrites ? 'begins to write' : 'writes'} ${describeWrite(batch)}`);
    if (!this.holdsWrites) this.completeWrite(batch);
  }

  private completeWrite(batch: PersistBatch): void {
    this.write = undefined;
    if (batch.snapshot) {
      this.shelf.install(batch.snapshot);
      this.entries = [];
      this.appliedIndex = batch.snapshot.index;
    }
    this.hardState = batch.hardState ?? this.hardState;
    const first = batch.entries[0];
    if (first) this.entries = [...this.entries.filter((stored) => stored.index < first.index), ...batch.entries];
    for (const message of batch.messages) this.stage.send(message);
    this.core.advance(batch);
  }

  private readSnapshot(read: SnapshotRead): void {
    const chunk = this.shelf.read(read);
    if (!chunk) this.stage.print(`has no such snapshot for ${read.to}`);
    this.core.sendSnapshotChunk(read.to, chunk);
  }

  private storeChunk(chunk: SnapshotChunk): void {
    const received = this.shelf.receive(chunk);
    const progress = received.complete ? 'all' : `${received.nextOffset} bytes`;
    this.stage.print(`has ${progress} of snapshot ${formatPosition(chunk.metadata)}`);
    this.core.snapshotChunkStored(chunk, received);
  }
}

/** The state after `index` as a snapshot holds it. */
export function snapshotData(index: number, sizeBytes: number = SNAPSHOT_SIZE_BYTES): Uint8Array {
  return new TextEncoder().encode(`state at ${index} `.padEnd(sizeBytes, '.').slice(0, sizeBytes));
}

function describeWrite({ hardState, snapshot, entries }: PersistBatch): string {
  const parts: string[] = [];
  if (snapshot) parts.push(`snapshot ${formatPosition(snapshot)}`);
  if (hardState) parts.push(`term ${hardState.term} vote ${hardState.vote} commit ${hardState.commitIndex}`);
  if (entries.length > 0) parts.push(`entries ${formatEntries(entries)}`);
  return parts.join(', ');
}
