import { invariant } from '@concordat/foundation';
import type { RaftLog } from './log.js';
import { PromiseGate } from './promise-gate.js';
import type { PersistBatch } from '../ready.js';
import type { HardState, Message, SnapshotMetadata } from '../types.js';

/** The hard state outside the log: the present term and vote. */
export interface TermAndVote {
  readonly term: number;
  readonly vote: number;
}

/**
 * What must be written, what is being written, and which messages must wait for it (paper, figure 2: "updated on stable
 * storage before responding to RPCs").
 *
 *     dirty --batch taken--> in flight --batch durable--> durable
 *
 * One batch is in flight at a time; changes in between are dirty and go with the next.
 */
export class Persistence {
  private readonly promises = new PromiseGate();
  private handed: HardState;
  private durable: HardState;
  private pendingSnapshot: SnapshotMetadata | undefined;
  private inflight: PersistBatch | undefined;
  private inflightTicks = 0;

  /** @param hungAfterTicks a write that takes this long hangs */
  constructor(
    hardState: HardState,
    private readonly log: RaftLog,
    private readonly hungAfterTicks: number,
  ) {
    this.handed = this.durable = hardState;
  }

  /** The term that survives a crash. */
  get durableTerm(): number {
    return this.durable.term;
  }

  /** Whether a snapshot is waiting to be installed, or being installed. */
  get isInstalling(): boolean {
    return this.pendingSnapshot !== undefined || this.inflight?.snapshot !== undefined;
  }

  /** Whether the disk counts as hung. */
  get isHung(): boolean {
    return this.inflight !== undefined && this.inflightTicks >= this.hungAfterTicks;
  }

  tick(): void {
    if (this.inflight) this.inflightTicks++;
  }

  install(snapshot: SnapshotMetadata): void {
    invariant(snapshot.index === this.log.startIndex, 'the log begins behind the snapshot');
    this.pendingSnapshot = snapshot;
  }

  /** A message that promises nothing: it may overtake any write. */
  send(message: Message): void {
    this.promises.send(message);
  }

  /** A message that must wait until everything the node knows now is durable. */
  promise(message: Message, now: TermAndVote): void {
    this.promises.promise(message, this.isDirty(now), this.inflight !== undefined);
  }

  takeMessages(): Message[] {
    return this.promises.takeFree();
  }

  hasOutput(now: TermAndVote): boolean {
    return this.promises.hasFree() || (!this.inflight && this.isDirty(now));
  }

  private isDirty({ term, vote }: TermAndVote): boolean {
    return (
      this.handed.term !== term ||
      this.handed.vote !== vote ||
      this.pendingSnapshot !== undefined ||
      this.log.hasUnhanded()
    );
  }

  /** A new commit index alone is not worth an fsync; it goes with the next batch. */
  takeBatch({ term, vote }: TermAndVote): PersistBatch | undefined {
    if (this.inflight || !this.isDirty({ term, vote })) return undefined;
    invariant(term >= this.handed.term, 'the term never falls');
    const isNewVote = vote !== this.handed.vote && this.handed.vote !== 0;
    invariant(term > this.handed.term || !isNewVote, 'a node votes once per term');
    const hardState = { term, vote, commitIndex: this.log.commitIndex };
    const changed =
      term !== this.handed.term || vote !== this.handed.vote || hardState.commitIndex !== this.handed.commitIndex;
    this.inflight = {
      hardState: changed ? hardState : undefined,
      snapshot: this.pendingSnapshot,
      entries: this.log.takeUnhanded(),
      messages: this.promises.takeForBatch(),
    };
    this.handed = hardState;
    this.pendingSnapshot = undefined;
    this.inflightTicks = 0;
    return this.inflight;
  }

  batchDurable(batch: PersistBatch): void {
    invariant(batch === this.inflight, 'the batch in flight is the one acknowledged');
    this.inflight = undefined;
    this.log.persistedBatch(batch.entries);
    this.durable = batch.hardState ?? this.durable;
    invariant(this.durable.term === this.handed.term, 'what was handed out last is durable');
    this.promises.batchDurable();
  }
}
