import { invariant } from '@concordat/foundation';
import type { SnapshotRead } from '../ready.js';
import type { NodeId, SnapshotChunk, SnapshotChunkReply } from '../types.js';

/** The identity of a snapshot being sent. */
type SnapshotIdentity = NonNullable<SnapshotRead['snapshot']>;

/**
 * Ticks without progress after which the needed piece is sent again, or the measured round trip if that is longer;
 * doubled each time.
 */
const FIRST_RESEND_TICKS = 2;

export interface SnapshotSendingLimits {
  readonly chunkBytes: number;
  /** pieces in flight */
  readonly maximumInflightChunks: number;
  /** without an answer for this long the transfer restarts */
  readonly timeoutTicks: number;
}

/**
 * The transfer of a snapshot to one follower (paper, section 7 and figure 13). It begins with an empty piece: the
 * receiver answers with the next byte it needs, so a transfer continues after a restart of either end. Then pieces are
 * sent without waiting, within a window, and every answer names the next byte needed.
 *
 * Over a narrow link answers are late because pieces queue, and each repeated piece makes them later. So it never goes
 * back twice for the same pieces, and after a timeout the window reopens piece by piece, after them (like TCP, RFC
 * 5681, 6298 and 6582).
 *
 *     asking --empty piece sent--> asked --answer--> streaming
 *     asked --no answer--> asking;  streaming --no progress--> streaming, again from the needed byte, one at a time
 *     any --no answer for an election timeout, or the snapshot is gone--> asking, for the newest one
 */
export class SnapshotSending {
  private state: 'asking' | 'asked' | 'streaming' = 'asking';
  private reading = false;
  private identity: SnapshotIdentity | undefined;
  private sizeBytes = 0;
  /** the receiver has everything before this byte */
  private wanted = 0;
  /** everything before this byte was sent */
  private nextOffset = 0;
  private window: number;
  /**
   * Everything before this byte had been sent when it last went back. Until a later byte has arrived, an answer without
   * progress may be for a duplicate piece; -1 without such pieces.
   */
  private recoveryOffset = -1;
  private hasAskedBefore = false;
  private ticks = 0;
  /** one piece that was not sent again since: its end, and when it was sent */
  private timed: { readonly end: number; readonly sentAt: number } | undefined;
  private roundTripTicks = 0;
  /** since the last answer; `waitedTicks`: since the last progress or resend */
  private silentTicks = 0;
  private waitedTicks = 0;
  private resendTicks = FIRST_RESEND_TICKS;

  constructor(
    private readonly to: NodeId,
    private readonly limits: SnapshotSendingLimits,
  ) {
    this.window = limits.maximumInflightChunks;
  }

  /** Index of the snapshot; undefined before its first piece was read. */
  get snapshotIndex(): number | undefined {
    return this.identity?.index;
  }

  /** Checks the invariants, after every change of the window. */
  private check(): void {
    invariant(this.wanted <= this.nextOffset, 'what the receiver has was sent');
    invariant(this.window >= 1 && this.window <= this.limits.maximumInflightChunks, 'the window is never shut');
  }

  hasRead(): boolean {
    if (this.reading || this.state === 'asked') return false;
    if (this.state === 'asking') return true;
    const inflight = Math.ceil((this.nextOffset - this.wanted) / this.limits.chunkBytes);
    return this.nextOffset < this.sizeBytes && inflight < this.window;
  }

  takeRead(): SnapshotRead {
    this.reading = true;
    const { to, identity: snapshot } = this;
    if (this.state === 'asking') return { to, snapshot, offset: 0, maximumBytes: 0 };
    return { to, snapshot, offset: this.nextOffset, maximumBytes: this.limits.chunkBytes };
  }

  isReading(): boolean {
    return this.reading;
  }

  /** The piece was read. @returns whether to send it; not when the transfer has moved on */
  read({
    metadata,
    sizeBytes,
    offset,
    data,
  }: Pick<SnapshotChunk, 'metadata' | 'sizeBytes' | 'offset' | 'data'>): boolean {
    this.reading = false;
    if (this.state === 'asking') {
      if (data.length > 0) return false; // from before a restart
      this.identity = { index: metadata.index, term: metadata.term };
      this.sizeBytes = sizeBytes;
      this.state = 'asked';
      return true;
    }
    if (this.state !== 'streaming' || offset !== this.nextOffset) return false;
    this.nextOffset += data.length;
    if (!this.isRecovering) this.timed ??= { end: this.nextOffset, sentAt: this.ticks };
    return true;
  }

  /** The snapshot being transferred is gone. */
  vanished(): void {
    this.reading = false;
    this.restart();
  }

  /** Restarts with the newest snapshot. */
  restart(): void {
    this.state = 'asking';
    this.identity = undefined;
    this.hasAskedBefore = true;
    this.goTo(0);
  }

  private goTo(offset: number): void {
    this.wanted = this.nextOffset = offset;
    this.recoveryOffset = this.hasAskedBefore ? offset : -1;
    this.timed = undefined;
    this.silentTicks = this.waitedTicks = 0;
    this.resendTicks = this.firstResendTicks;
    this.check();
  }

  private goBack(): void {
    this.recoveryOffset = Math.max(this.recoveryOffset, this.nextOffset);
    this.nextOffset = this.wanted;
    this.timed = undefined;
    this.check();
  }

  private get isRecovering(): boolean {
    return this.wanted <= this.recoveryOffset;
  }

  private get firstResendTicks(): number {
    return Math.max(FIRST_RESEND_TICKS, this.roundTripTicks + 1);
  }

  private steppedForward(): void {
    this.waitedTicks = 0;
    if (this.timed && this.timed.end <= this.wanted) {
      const sample = this.ticks - this.timed.sentAt;
      this.roundTripTicks = Math.max(sample, Math.floor((this.roundTripTicks + sample) / 2));
      this.timed = undefined;
    }
    if (this.isRecovering) return;
    this.resendTicks = this.firstResendTicks;
    this.window = Math.min(this.window + 1, this.limits.maximumInflightChunks);
    this.check();
  }

  /** The receiver has lost its part, and will say so for each piece in flight. */
  private forgotten(): void {
    this.hasAskedBefore = true;
    this.goTo(0);
  }

  tick(): void {
    this.ticks++;
    const isWaiting = this.state === 'asked' || (this.state === 'streaming' && this.nextOffset > this.wanted);
    if (!isWaiting) return;
    if (++this.silentTicks >= this.limits.timeoutTicks) return this.restart();
    if (++this.waitedTicks < this.resendTicks) return;
    this.waitedTicks = 0;
    this.resendTicks *= 2;
    this.window = 1; // the receiver may be slow, not the network lossy
    if (this.state === 'streaming') return this.goBack();
    this.state = 'asking';
    this.hasAskedBefore = true;
  }

  answered({ snapshotIndex, snapshotTerm, nextOffset }: SnapshotChunkReply): void {
    if (this.identity?.index !== snapshotIndex || this.identity.term !== snapshotTerm) return;
    this.silentTicks = 0;
    if (this.state !== 'streaming') {
      this.state = 'streaming';
      return this.goTo(nextOffset);
    }
    if (nextOffset === 0 && this.wanted > 0) return this.forgotten();
    if (nextOffset > this.wanted) {
      this.wanted = nextOffset;
      this.nextOffset = Math.max(this.nextOffset, nextOffset);
      return this.steppedForward();
    }
    // A piece arrived out of order: an earlier one is lost. If only one is in flight it was not stored, as by a full
    // disk, and resending it at once would never end.
    const isGap = nextOffset === this.wanted && this.nextOffset - this.wanted > this.limits.chunkBytes;
    if (isGap && !this.isRecovering) this.goBack();
  }
}
