import type { SnapshotRead } from './ready.js';
import type { NodeId, SnapshotChunkReply } from './types.js';

/** What identifies a snapshot while it is being sent. */
type SnapshotIdentity = NonNullable<SnapshotRead['snapshot']>;

/**
 * The transfer of a snapshot to one follower, one piece at a time, at the receiver's pace (paper, section 7 and
 * figure 13). It begins with an empty piece: the receiver answers which byte it wants next, so a transfer goes on
 * where it was after a restart of either end.
 *
 *     to read --read asked for--> reading --piece sent--> awaiting --answer--> to read, …
 *     awaiting --no answer for an election timeout, or the snapshot is gone--> to read, from the beginning
 */
export class SnapshotSending {
  private state: 'to-read' | 'reading' | 'awaiting' = 'to-read';
  private identity: SnapshotIdentity | undefined;
  private offset = 0;
  /** of the piece that is on its way; 0 for the first one, which only asks */
  private sentBytes = 0;
  private waitedTicks = 0;

  constructor(
    private readonly to: NodeId,
    private readonly chunkBytes: number,
    private readonly timeoutTicks: number,
  ) {}

  /** Index of the snapshot; undefined before its first piece was read. */
  get snapshotIndex(): number | undefined {
    return this.identity?.index;
  }

  hasRead(): boolean {
    return this.state === 'to-read';
  }

  takeRead(): SnapshotRead {
    this.state = 'reading';
    const maxBytes = this.identity ? this.chunkBytes : 0;
    return { to: this.to, snapshot: this.identity, offset: this.offset, maxBytes };
  }

  isReading(): boolean {
    return this.state === 'reading';
  }

  sent(snapshot: SnapshotIdentity, sentBytes: number): void {
    this.sentBytes = sentBytes;
    this.identity = { index: snapshot.index, term: snapshot.term };
    this.state = 'awaiting';
    this.waitedTicks = 0;
  }

  /** Begins anew with the newest snapshot. */
  restart(): void {
    this.state = 'to-read';
    this.identity = undefined;
    this.offset = 0;
  }

  tick(): void {
    if (this.state === 'awaiting' && ++this.waitedTicks >= this.timeoutTicks) this.restart();
  }

  answered(reply: SnapshotChunkReply): void {
    const { identity } = this;
    const current = identity && identity.index === reply.snapshotIndex && identity.term === reply.snapshotTerm;
    if (this.state !== 'awaiting' || !current) return;
    // No step forward: the answer came twice, or the receiver has no room. Sent again at once, it would be for ever.
    if (this.sentBytes > 0 && reply.nextOffset === this.offset) return;
    this.offset = reply.nextOffset;
    this.state = 'to-read';
  }
}
