import { invariant } from '@concordat/foundation';
import type { RaftLog } from '../log/log.js';
import type { Persistence } from '../log/persistence.js';
import type { Address } from '../membership/addressing.js';
import type { Message, SnapshotChunk, SnapshotMetadata } from '../types.js';

/** `covered`: the log has everything in the snapshot; `more`: the leader must send the next piece. */
export type SnapshotProgress = { readonly type: 'covered' } | { readonly type: 'more'; readonly nextOffset: number };

/** Pieces that wait while one is being stored; further ones are dropped, as the network might. */
const MAXIMUM_WAITING_CHUNKS = 16;

/**
 * The follower's half of a snapshot transfer (paper, section 7, figure 13): pieces go to the host one at a time, the
 * others wait, and when all are stored the log restarts after the snapshot.
 *
 *     idle --piece arrives--> storing --stored--> storing the next | idle | installing (the whole is there) --durable--> idle
 *
 * A piece that arrives during the installation is dropped; the leader sends it again.
 */
export class SnapshotReceiving {
  private waiting: SnapshotChunk[] = [];
  private isStoring = false;

  constructor(
    private readonly log: RaftLog,
    private readonly persistence: Persistence,
  ) {}

  /** @returns 'covered' when the snapshot is not needed */
  onChunk(chunk: SnapshotChunk): SnapshotProgress | undefined {
    const { index, term } = chunk.metadata;
    if (this.log.matches(index, term)) this.log.commitTo(index); // a snapshot only has committed entries
    if (index <= this.log.commitIndex) return { type: 'covered' };
    if (this.persistence.isInstalling) return undefined;
    if (this.waiting.some((other) => !isSameTransfer(other, chunk))) this.waiting = [];
    if (this.waiting.length < MAXIMUM_WAITING_CHUNKS) this.waiting.push(chunk);
    return undefined;
  }

  hasChunk(): boolean {
    return !this.isStoring && this.waiting.length > 0;
  }

  takeChunks(): SnapshotChunk[] {
    if (!this.hasChunk()) return [];
    this.isStoring = true;
    return [this.waiting.shift()!];
  }

  /** The host has stored the piece. @param isCurrent its sender still leads; otherwise another leader will ask */
  onStored(
    { metadata }: SnapshotChunk,
    received: { readonly nextOffset: number; readonly complete: boolean },
    isCurrent: boolean,
  ): SnapshotProgress | undefined {
    invariant(this.isStoring, 'a piece is stored once');
    this.isStoring = false;
    if (!isCurrent) return undefined;
    if (received.complete) this.waiting = [];
    if (!received.complete) return { type: 'more', nextOffset: received.nextOffset };
    if (metadata.index > this.log.commitIndex) this.restore(metadata);
    return { type: 'covered' };
  }

  private restore(metadata: SnapshotMetadata): void {
    if (this.log.matches(metadata.index, metadata.term)) {
      this.log.commitTo(metadata.index); // the entries arrived in between, so the log stays
    } else {
      this.log.restore(metadata);
      this.persistence.install(metadata);
    }
  }
}

function isSameTransfer(left: SnapshotChunk, right: SnapshotChunk): boolean {
  const [one, other] = [left.metadata, right.metadata];
  return left.term === right.term && one.index === other.index && one.term === other.term;
}

/** The answer to the leader: the log has everything in the snapshot, or the next byte it needs. */
export function chunkAnswer(
  { metadata }: SnapshotChunk,
  progress: SnapshotProgress,
  commitIndex: number,
  address: Address,
): Message {
  if (progress.type === 'covered')
    return { type: 'append-entries-accepted', ...address, matchIndex: commitIndex, round: 0 };
  const { index: snapshotIndex, term: snapshotTerm } = metadata;
  return { type: 'snapshot-chunk-reply', ...address, snapshotIndex, snapshotTerm, nextOffset: progress.nextOffset };
}
