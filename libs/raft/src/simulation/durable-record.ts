import type { Entry, HardState, Incarnation, Message, NodeId } from '../core/types.js';
import type { StoredState } from '../driver/ports.js';
import { TermLog } from './term-log.js';
import { Violation } from './violation.js';

/**
 * What one node's disk has acknowledged, and what the node has promised because of it. Outlives the node's processes:
 * after a start, what is read back is compared with the promises.
 */
export class DurableRecord {
  private hardState: HardState = { term: 0, vote: 0, commitIndex: 0 };
  /** entries whose write has begun */
  readonly handed = new TermLog();
  /** entries of `handed` that hold configurations, ascending */
  private configurations: Pick<Entry, 'index' | 'term'>[] = [];
  /** entries whose write was acknowledged */
  readonly durable = new TermLog();
  /** the last term of an installed snapshot; up to its index everything is there */
  snapshot = { index: 0, term: 0 };
  /** entries acknowledged to other nodes */
  private readonly acknowledged = new TermLog();
  private acknowledgedIndex = 0;
  private promisedTerm = 0;
  private promisedVote: { readonly term: number; readonly to: NodeId } | undefined;

  /** of the disk; undefined before its first start */
  incarnation: Incarnation | undefined;

  constructor(private readonly nodeId: NodeId) {}

  /** Whether the entry is durable. */
  holds(index: number, term: number): boolean {
    return index <= this.snapshot.index || this.durable.term(index) === term;
  }

  /** The end of the durable log. */
  get end(): { readonly index: number; readonly term: number } {
    const { durable, snapshot } = this;
    return durable.lastIndex > snapshot.index && durable.lastTerm > 0
      ? { index: durable.lastIndex, term: durable.lastTerm }
      : snapshot;
  }

  /** The write begins: it voids the promises that it replaces. */
  writing(entries: readonly Entry[]): void {
    const first = entries[0];
    if (!first) return;
    this.handed.write(entries);
    this.noteConfigurations(first.index, entries);
    if (first.index > this.acknowledgedIndex) return;
    this.acknowledgedIndex = first.index - 1;
    this.acknowledged.truncateFrom(first.index);
  }

  private noteConfigurations(firstIndex: number, entries: readonly Entry[]): void {
    this.configurations = this.configurations.filter(({ index }) => index < firstIndex);
    for (const { kind, index, term } of entries)
      if (kind === 'configuration') this.configurations.push({ index, term });
  }

  /** The entry with the latest configuration handed to the disk. */
  get lastConfiguration(): Pick<Entry, 'index' | 'term'> | undefined {
    return this.configurations.at(-1);
  }

  /** The write has been acknowledged. */
  written(hardState: HardState | undefined, entries: readonly Entry[]): void {
    this.hardState = hardState ?? this.hardState;
    this.durable.write(entries);
  }

  /** A snapshot of this node is durable, or the leader's is in force. */
  snapshotDurable(index: number, term: number, installed: boolean): void {
    if (index > this.snapshot.index) this.snapshot = { index, term };
    if (!installed) return;
    this.handed.restart(index);
    this.configurations = [];
    this.durable.restart(index);
    this.acknowledged.restart(index);
    this.acknowledgedIndex = index;
  }

  compacted(index: number): void {
    this.handed.compactTo(index);
    this.durable.compactTo(index);
    this.acknowledged.compactTo(index);
  }

  /** A message leaves the node. Whatever it promises must be durable. */
  sending(message: Message): void {
    switch (message.type) {
      case 'request-vote':
        return this.promiseVote(message.term, this.nodeId);
      case 'request-vote-reply':
        return message.granted ? this.promiseVote(message.term, message.to) : this.promiseTerm(message.term);
      case 'append-entries':
      case 'append-entries-refused':
      case 'snapshot-chunk':
      case 'snapshot-chunk-reply':
        return this.promiseTerm(message.term);
      case 'append-entries-accepted':
        this.promiseTerm(message.term);
        // What was acknowledged in an earlier term may be replaced by now; the disk then has what came later.
        return message.term < this.hardState.term ? undefined : this.acknowledge(message.matchIndex);
      case 'request-pre-vote':
      case 'pre-vote-reply':
      case 'timeout-now':
      case 'read-index-request':
      case 'read-index-reply':
      case 'introduction':
      case 'introduction-reply':
        return undefined; // promise nothing
    }
  }

  private promiseTerm(term: number): void {
    if (this.hardState.term < term) this.violate(`speaks in term ${term}, its disk knows ${this.hardState.term}`);
    this.promisedTerm = Math.max(this.promisedTerm, term);
  }

  private promiseVote(term: number, to: NodeId): void {
    this.promiseTerm(term);
    const { hardState, promisedVote } = this;
    if (hardState.term === term && hardState.vote !== to)
      this.violate(`votes for node ${to} in term ${term}, its disk knows a vote for ${hardState.vote}`);
    if (promisedVote?.term === term && promisedVote.to !== to)
      throw new Violation('election safety', `node ${this.nodeId} votes for ${promisedVote.to} and ${to} in ${term}`);
    if (term > (promisedVote?.term ?? 0)) this.promisedVote = { term, to };
  }

  private acknowledge(index: number): void {
    const { durable, acknowledged, snapshot } = this;
    if (index <= Math.max(snapshot.index, this.acknowledgedIndex)) return;
    if (durable.lastIndex < index)
      this.violate(`acknowledges everything up to ${index}, its disk ends with ${durable.lastIndex}`);
    if (acknowledged.lastIndex < durable.startIndex) acknowledged.restart(durable.startIndex);
    for (let next = acknowledged.lastIndex + 1; next <= index; next++) acknowledged.push(durable.term(next)!);
    this.acknowledgedIndex = index;
  }

  /** The node reads its disk at a start. */
  recovered({ incarnation, hardState, snapshot, entries }: StoredState): void {
    if (this.incarnation !== undefined && incarnation !== this.incarnation)
      this.violate(`forgot that it is incarnation ${this.incarnation}, its disk says ${incarnation}`);
    this.incarnation = incarnation;
    const { promisedVote, acknowledged } = this;
    const snapshotIndex = snapshot?.metadata.index ?? 0;
    const term = Math.max(hardState.term, snapshot?.metadata.term ?? 0);
    if (term < this.promisedTerm) this.violate(`forgot term ${this.promisedTerm}, its disk knows ${term}`);
    if (promisedVote && promisedVote.term === hardState.term && hardState.vote !== promisedVote.to)
      this.violate(`forgot its vote for node ${promisedVote.to} in term ${promisedVote.term}`);
    const lastIndex = entries.at(-1)?.index ?? snapshotIndex;
    if (lastIndex < this.acknowledgedIndex)
      this.violate(`forgot entries behind ${lastIndex}, it had acknowledged ${this.acknowledgedIndex}`);
    const firstIndex = entries[0]?.index ?? lastIndex + 1;
    for (let index = Math.max(acknowledged.startIndex, firstIndex - 1) + 1; index <= this.acknowledgedIndex; index++) {
      if (entries[index - firstIndex]?.term !== acknowledged.term(index))
        this.violate(`has another entry at ${index} than the one it acknowledged`);
    }
    this.adopt({ hardState, snapshot, entries });
  }

  private adopt({ hardState, snapshot, entries }: Omit<StoredState, 'incarnation'>): void {
    this.hardState = hardState;
    this.snapshot = { index: snapshot?.metadata.index ?? 0, term: snapshot?.metadata.term ?? 0 };
    this.durable.restart(this.snapshot.index);
    this.durable.write(entries);
    this.handed.restart(this.snapshot.index);
    this.handed.write(entries);
    this.configurations = [];
    this.noteConfigurations(this.snapshot.index + 1, entries);
  }

  private violate(what: string): never {
    throw new Violation('durable promises', `node ${this.nodeId} ${what}`);
  }
}
