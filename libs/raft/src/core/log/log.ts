import { invariant } from '@concordat/foundation';
import { EMPTY_CONFIGURATION } from '../membership/configuration.js';
import { ConfigurationHistory } from '../membership/configuration-history.js';
import type { Configuration, Entry, HardState, SnapshotMetadata } from '../types.js';

/** The approximate overhead of an entry, in memory and on the wire. */
const ENTRY_OVERHEAD_BYTES = 32;
const NO_ENTRIES: readonly Entry[] = [];

/** Bytes of an entry in every bound of a batch or window. */
export function entrySizeBytes({ data }: Pick<Entry, 'data'>): number {
  return data.length + ENTRY_OVERHEAD_BYTES;
}

export function entriesSizeBytes(entries: readonly Entry[]): number {
  let sizeBytes = 0;
  for (const entry of entries) sizeBytes += entrySizeBytes(entry);
  return sizeBytes;
}

/**
 * The log of one node for the protocol: every entry since the last compaction, durable or not.
 *
 *     startIndex <= handedToApply <= min(commitIndex, persistedIndex)
 *     persistedIndex <= handedIndex <= lastIndex,  commitIndex <= lastIndex
 *
 * `startIndex` is the last compacted index (its term is still known); `handedIndex` the last index handed out to be
 * persisted; `persistedIndex` the last index that is durable with its present content. Truncation lowers both, so the
 * acknowledgement of a write that was truncated counts only for the rest.
 */
export class RaftLog {
  private entries: Entry[];
  private start: number;
  private startTerm: number;
  private commit: number;
  private persisted: number;
  private handed: number;
  private handedToApply: number;
  private configurations: ConfigurationHistory;
  private uncommitted = 0;
  private unapplied = 0;

  constructor(hardState: HardState, snapshot: SnapshotMetadata | undefined, entries: readonly Entry[]) {
    this.start = snapshot?.index ?? 0;
    this.startTerm = snapshot?.term ?? 0;
    this.entries = entries.filter((entry) => entry.index > this.start);
    this.entries.forEach((entry, position) =>
      invariant(entry.index === this.start + 1 + position, 'stored entries follow the snapshot without gaps'),
    );
    this.persisted = this.handed = this.lastIndex;
    this.handedToApply = this.start;
    // Only a hint: the write that carried it may have been cut with a torn tail, or a snapshot came after it.
    this.commit = Math.max(this.start, Math.min(hardState.commitIndex, this.lastIndex));
    this.configurations = new ConfigurationHistory(this.start, snapshot?.configuration ?? EMPTY_CONFIGURATION);
    for (const entry of this.entries) {
      if (entry.kind === 'configuration') this.configurations.appended(entry);
      if (entry.index > this.commit) this.uncommitted += entrySizeBytes(entry);
      else this.unapplied += entrySizeBytes(entry);
    }
    this.check();
  }

  /** Checks the relations above, after every change. */
  private check(): void {
    const { start, handedToApply, commit, persisted, handed, lastIndex, uncommitted, unapplied } = this;
    invariant(start <= handedToApply && handedToApply <= commit, 'only committed entries are applied');
    invariant(handedToApply <= persisted, 'only durable entries are applied');
    invariant(persisted <= handed && handed <= lastIndex, 'only entries of the log are persisted');
    invariant(commit <= lastIndex, 'the commit index never passes the last index');
    invariant(commit === lastIndex ? uncommitted === 0 : uncommitted > 0, 'uncommitted bytes are counted');
    invariant(handedToApply === commit ? unapplied === 0 : unapplied > 0, 'bytes to apply are counted');
  }

  get startIndex(): number {
    return this.start;
  }

  get lastIndex(): number {
    return this.start + this.entries.length;
  }

  get lastTerm(): number {
    return this.entries[this.entries.length - 1]?.term ?? this.startTerm;
  }

  get commitIndex(): number {
    return this.commit;
  }

  get persistedIndex(): number {
    return this.persisted;
  }

  /** Bytes of entries after the commit index. */
  get uncommittedBytes(): number {
    return this.uncommitted;
  }

  /** Committed entries that were not taken to be applied, durable here or not yet. */
  get unappliedEntries(): number {
    return this.commit - this.handedToApply;
  }

  get unappliedBytes(): number {
    return this.unapplied;
  }

  /** The configuration in force on this node: the last one in the log. */
  get configuration(): Configuration {
    return this.configurations.latest;
  }

  /** Index of the entry with `configuration`; the start of the log when it came with a snapshot. */
  get configurationIndex(): number {
    return this.configurations.latestIndex;
  }

  /** The configuration in force at an index that is not compacted. */
  configurationAt(index: number): Configuration {
    return this.configurations.at(index);
  }

  /** Term of the entry at `index`; undefined when it is compacted or does not exist. */
  term(index: number): number | undefined {
    if (index === this.start) return this.startTerm;
    return this.entries[index - this.start - 1]?.term;
  }

  matches(index: number, term: number): boolean {
    return this.term(index) === term;
  }

  /** Whether a log that ends in (`lastIndex`, `lastTerm`) is at least as up to date (paper, section 5.4.1). */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  /** Entries from `from` on: as many as fit into `maximumBytes`, but at least one if there is one. */
  slice(from: number, maximumBytes: number, to: number = this.lastIndex): Entry[] {
    invariant(from > this.start, 'only entries that were not compacted are read');
    const first = from - this.start - 1;
    const bound = to - this.start;
    let end = first;
    for (let bytes = 0; end < bound; end++) {
      bytes += entrySizeBytes(this.entries[end]!);
      if (bytes > maximumBytes && end > first) break;
    }
    return this.entries.slice(first, end);
  }

  /**
   * The greatest index up to `index` whose term is not above `term`: where two logs may last have agreed. `index`
   * itself when terms that far back are unknown.
   */
  lastIndexWithTermUpTo(index: number, term: number): number {
    let candidate = Math.min(index, this.lastIndex);
    while (candidate > this.start && this.entries[candidate - this.start - 1]!.term > term) candidate--;
    return candidate;
  }

  /** Appends a leader's own entries. */
  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      invariant(entry.index === this.lastIndex + 1, 'entries are appended without gaps');
      invariant(entry.term >= this.lastTerm, 'terms never fall along the log');
      this.entries.push(entry);
      this.uncommitted += entrySizeBytes(entry);
      if (entry.kind === 'configuration') this.configurations.appended(entry);
    }
    this.check();
  }

  /** Takes over a leader's entries after a matching one, from the first difference on. */
  merge(entries: readonly Entry[]): void {
    const firstNew = entries.findIndex((entry) => !this.matches(entry.index, entry.term));
    const first = entries[firstNew];
    if (!first) return;
    if (first.index <= this.lastIndex) this.truncateFrom(first.index);
    this.append(firstNew === 0 ? entries : entries.slice(firstNew));
  }

  private truncateFrom(index: number): void {
    invariant(index > this.commit, 'committed entries are never truncated');
    for (let position = index - this.start - 1; position < this.entries.length; position++)
      this.uncommitted -= entrySizeBytes(this.entries[position]!);
    this.entries.length = index - this.start - 1;
    this.configurations.truncatedFrom(index);
    this.handed = Math.min(this.handed, index - 1);
    this.persisted = Math.min(this.persisted, index - 1);
    this.check();
  }

  /** Raises the commit index; ignores a lower one, which is from an old message. Returns whether it rose. */
  commitTo(index: number): boolean {
    if (index <= this.commit) return false;
    invariant(index <= this.lastIndex, 'the commit index never passes the last index');
    let sizeBytes = 0;
    for (let position = this.commit - this.start; position < index - this.start; position++)
      sizeBytes += entrySizeBytes(this.entries[position]!);
    this.uncommitted -= sizeBytes;
    this.unapplied += sizeBytes;
    this.commit = index;
    this.check();
    return true;
  }

  hasUnhanded(): boolean {
    return this.handed < this.lastIndex;
  }

  /** Everything not handed out yet. Bounded by the proposals and windows in flight. */
  takeUnhanded(): Entry[] {
    const entries = this.entries.slice(this.handed - this.start);
    this.handed = this.lastIndex;
    this.check();
    return entries;
  }

  /** The batch in flight is durable, as far as it was not truncated meanwhile. */
  persistedBatch(entries: readonly Entry[]): void {
    const survivor = entries[this.handed - (entries[0]?.index ?? 0)];
    if (survivor && this.handed > this.start) {
      invariant(this.matches(this.handed, survivor.term), 'what is acknowledged as durable is what stands in the log');
    }
    this.persisted = this.handed;
    this.check();
  }

  hasCommitted(): boolean {
    return this.handedToApply < Math.min(this.commit, this.persisted);
  }

  /** The next entries that are committed and durable here, this many and about `maximumBytes` at most. */
  takeCommitted(maximumEntries: number, maximumBytes: number): readonly Entry[] {
    if (!this.hasCommitted()) return NO_ENTRIES;
    const to = Math.min(this.commit, this.persisted, this.handedToApply + maximumEntries);
    const entries = this.slice(this.handedToApply + 1, maximumBytes, to);
    this.handedToApply += entries.length;
    this.unapplied -= entriesSizeBytes(entries);
    this.check();
    return entries;
  }

  /** The index up to which entries may be compacted so that at most this many entries and bytes stay before `index`. */
  tailStart(index: number, maximumEntries: number, maximumBytes: number): number {
    let start = Math.min(index, this.lastIndex);
    for (let bytes = 0; start > this.start && index - start < maximumEntries; start--) {
      bytes += entrySizeBytes(this.entries[start - this.start - 1]!);
      if (bytes > maximumBytes) break;
    }
    return start;
  }

  /** Drops entries up to and including `index`, which are applied and in a durable snapshot. */
  compact(index: number): void {
    if (index <= this.start) return;
    invariant(index <= this.handedToApply, 'only applied entries are compacted');
    this.configurations.compactedTo(index);
    this.startTerm = this.entries[index - this.start - 1]!.term;
    this.entries = this.entries.slice(index - this.start);
    this.start = index;
    this.check();
  }

  /**
   * Restarts after an installed snapshot. It counts as persisted from here on: nothing that depends on it leaves the
   * node before its batch is durable.
   */
  restore(snapshot: SnapshotMetadata): void {
    invariant(snapshot.index > this.commit, 'a snapshot never takes back what is committed');
    this.entries = [];
    this.uncommitted = this.unapplied = 0;
    this.configurations = new ConfigurationHistory(snapshot.index, snapshot.configuration);
    this.start = this.commit = this.persisted = this.handed = this.handedToApply = snapshot.index;
    this.startTerm = snapshot.term;
    this.check();
  }
}
