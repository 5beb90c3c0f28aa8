import { type Clock, invariant, type Random, randomChance, randomInteger, SeededRandom } from '@concordat/foundation';
import type { EncodedMessage } from '../contract/codec.js';

/**
 * Faults of a simulated wire. Probabilities are per message, in [0, 1]; all default to 0.
 *
 * With a delay and several partitions, messages of different keys and topics overtake each other; messages of one key
 * in one topic never do, as on the real broker.
 */
export interface MemoryFaults {
  /** every group receives each message after a random delay between these, in milliseconds */
  readonly minimumDelayMs: number;
  readonly maximumDelayMs: number;
  /** the broker acknowledges a message and loses it, as by a lost disk */
  readonly lossProbability: number;
  /** a message is stored twice, as when a producer repeats an acknowledged one */
  readonly duplicationProbability: number;
  /** the acknowledgement is lost, so the producer sends again */
  readonly lostAcknowledgementProbability: number;
}

export const NO_FAULTS: MemoryFaults = {
  minimumDelayMs: 0,
  maximumDelayMs: 0,
  lossProbability: 0,
  duplicationProbability: 0,
  lostAcknowledgementProbability: 0,
};

export interface MemoryBrokerOptions {
  readonly clock: Clock;
  /** needed for faults only */
  readonly random?: Random;
  readonly faults?: Partial<MemoryFaults>;
  /** partitions of every topic, default 4 */
  readonly partitions?: number;
  /** messages kept for each partition, default 100,000; older ones are dropped */
  readonly retainedMessages?: number;
  /** how long a crashed member keeps its partitions, default 0 */
  readonly sessionTimeoutMs?: number;
}

export interface MemoryRecord extends EncodedMessage {
  readonly offset: number;
  readonly partition: number;
}

/** One partition of a topic: a log with an offset for each message. */
export class MemoryPartition {
  private records: MemoryRecord[] = [];
  private first = 0;

  constructor(
    readonly topic: string,
    readonly index: number,
    private readonly retainedMessages: number,
  ) {}

  /** the offset of the next message */
  get end(): number {
    return this.first + this.records.length;
  }

  append(entry: EncodedMessage): void {
    this.records.push({ ...entry, offset: this.end, partition: this.index });
    if (this.records.length > 2 * this.retainedMessages) {
      this.first += this.records.length - this.retainedMessages;
      this.records = this.records.slice(-this.retainedMessages);
    }
  }

  /** The message at an offset, or the oldest one kept after it; undefined at the end. */
  read(offset: number): MemoryRecord | undefined {
    return this.records[Math.max(0, offset - this.first)];
  }
}

export interface MemoryMember {
  readonly topics: readonly string[];
  /** Commits what is finished, releases its partitions, and takes these. */
  assign(partitions: readonly MemoryPartition[]): void;
  /** Its session has expired at the broker: its partitions are gone, and its commits are refused. */
  expel(): void;
  /** There may be something to read, or the broker is available again. */
  wake(): void;
}

interface MemoryGroup {
  readonly members: MemoryMember[];
  readonly committed: Map<MemoryPartition, number>;
}

export class MemoryBrokerDownError extends Error {
  override readonly name = 'MemoryBrokerDownError';
}

/**
 * A broker inside the process, shared by the `MemoryMessageBus`es of one system. It keeps topics, partitions, groups
 * and their committed offsets, so a new bus continues where its group was.
 *
 * With a `VirtualClock` and a seeded `Random` a run depends only on its inputs. All timers are the clock's.
 */
export class MemoryBroker {
  readonly clock: Clock;
  readonly random: Random;
  private readonly topics = new Map<string, MemoryPartition[]>();
  private readonly groups = new Map<string, MemoryGroup>();
  private readonly options: Required<Omit<MemoryBrokerOptions, 'faults' | 'random' | 'clock'>>;
  private activeFaults: MemoryFaults;
  private reachable = true;

  constructor(options: MemoryBrokerOptions) {
    this.clock = options.clock;
    this.random = options.random ?? new SeededRandom(0);
    this.activeFaults = { ...NO_FAULTS, ...options.faults };
    this.options = {
      partitions: options.partitions ?? 4,
      retainedMessages: options.retainedMessages ?? 100_000,
      sessionTimeoutMs: options.sessionTimeoutMs ?? 0,
    };
    invariant(this.options.partitions >= 1, 'a topic has a partition');
  }

  get faults(): MemoryFaults {
    return this.activeFaults;
  }

  get isUp(): boolean {
    return this.reachable;
  }

  /** Replaces the faults; missing fields keep their value. `NO_FAULTS` ends all faults. */
  setFaults(faults: Partial<MemoryFaults>): void {
    this.activeFaults = { ...this.activeFaults, ...faults };
  }

  /** Makes the broker unavailable; stored messages stay. */
  takeDown(): void {
    this.reachable = false;
  }

  bringUp(): void {
    this.reachable = true;
    for (const group of this.groups.values()) for (const member of group.members) member.wake();
  }

  createTopic(topic: string): readonly MemoryPartition[] {
    const existing = this.topics.get(topic);
    if (existing) return existing;
    const made = Array.from(
      { length: this.options.partitions },
      (_, index) => new MemoryPartition(topic, index, this.options.retainedMessages),
    );
    this.topics.set(topic, made);
    for (const group of this.groups.values()) {
      if (group.members.some((member) => member.topics.includes(topic))) this.rebalance(group);
    }
    return made;
  }

  /** Stores messages. @throws MemoryBrokerDownError, also when only the acknowledgement was lost */
  append(entries: readonly EncodedMessage[]): void {
    if (!this.reachable) throw new MemoryBrokerDownError('the memory broker is down');
    const { lossProbability, duplicationProbability, lostAcknowledgementProbability } = this.activeFaults;
    for (const entry of entries) {
      if (this.happens(lossProbability)) continue;
      const partition = this.partitionOf(entry);
      partition.append(entry);
      if (this.happens(duplicationProbability)) partition.append(entry);
    }
    const topics = new Set(entries.map(({ topic }) => topic));
    for (const group of this.groups.values()) {
      for (const member of group.members) if (member.topics.some((topic) => topics.has(topic))) member.wake();
    }
    if (this.happens(lostAcknowledgementProbability)) throw new MemoryBrokerDownError('the acknowledgement was lost');
  }

  /** How long a message takes to one group. */
  drawDelayMs(): number {
    const { minimumDelayMs, maximumDelayMs } = this.activeFaults;
    if (maximumDelayMs <= minimumDelayMs) return minimumDelayMs;
    return randomInteger(this.random, minimumDelayMs, maximumDelayMs);
  }

  /** Everything stored in a topic, oldest first in each partition; for tests and operators. */
  recordsOf(topic: string): MemoryRecord[] {
    const found: MemoryRecord[] = [];
    for (const partition of this.topics.get(topic) ?? []) {
      for (let next = partition.read(0); next; next = partition.read(next.offset + 1)) found.push(next);
    }
    return found;
  }

  join(groupName: string, member: MemoryMember): void {
    const group = this.groupOf(groupName);
    for (const topic of member.topics) this.createTopic(topic);
    group.members.push(member);
    this.rebalance(group);
  }

  /** The partitions of a member that left are reassigned at once; those of a crashed one when its session expires. */
  leave(groupName: string, member: MemoryMember, how: 'left' | 'crashed'): void {
    const remove = (): void => {
      const group = this.groupOf(groupName);
      const index = group.members.indexOf(member);
      if (index === -1) return;
      group.members.splice(index, 1);
      this.rebalance(group);
    };
    if (how === 'left' || this.options.sessionTimeoutMs === 0) remove();
    else this.clock.setTimer(this.options.sessionTimeoutMs, remove);
  }

  /**
   * The sessions of all members expire (long pauses, lost heartbeats): all groups are rebuilt, and every member reads
   * again what was not committed.
   */
  expireSessions(): void {
    for (const group of this.groups.values()) {
      for (const member of group.members) member.expel();
      this.rebalance(group);
    }
  }

  committed(groupName: string, partition: MemoryPartition): number | undefined {
    return this.groupOf(groupName).committed.get(partition);
  }

  /** Commits the position of a group; lost while the broker is down, as a commit in the background is. */
  commit(groupName: string, partition: MemoryPartition, position: number): void {
    if (this.reachable) this.groupOf(groupName).committed.set(partition, position);
  }

  private rebalance(group: MemoryGroup): void {
    const shares = new Map<MemoryMember, MemoryPartition[]>(group.members.map((member) => [member, []]));
    for (const [topic, partitions] of this.topics) {
      const readers = group.members.filter((member) => member.topics.includes(topic));
      partitions.forEach((partition, index) => {
        const reader = readers[index % readers.length];
        if (reader) shares.get(reader)!.push(partition);
      });
    }
    // all members commit and release before any reads from the committed offsets
    const before = [...shares];
    for (const [member] of before) member.assign([]);
    for (const [member, partitions] of before) member.assign(partitions);
  }

  private groupOf(name: string): MemoryGroup {
    let group = this.groups.get(name);
    if (!group) this.groups.set(name, (group = { members: [], committed: new Map() }));
    return group;
  }

  private partitionOf({ topic, key }: EncodedMessage): MemoryPartition {
    const partitions = this.createTopic(topic);
    return partitions[hash(key === null ? '' : key.toString()) % partitions.length]!;
  }

  private happens(probability: number): boolean {
    return probability > 0 && randomChance(this.random, probability);
  }
}

/** FNV-1a, 32 bits: the same distribution of keys in every run. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  return value >>> 0;
}
