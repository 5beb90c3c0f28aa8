import { constants, type ServerHttp2Session } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { TokenBucket } from './token-bucket.js';

/** Requests that a client gives up before they are answered. */
const RESETS = { atOnce: 200, perSecond: 20 } as const;
/** Bytes that are neither headers nor bodies of requests: pings, settings, windows, priorities, empty frames. */
const CONTROL_BYTES = { atOnce: 256 * 1024, perSecond: 16 * 1024 } as const;
/** What the frames of a request take beside its headers and its body, and those of its client for its answer. */
const FRAME_BYTES = 64;
/** Of a body that the server does not read, a client may send as much as the window of a stream holds. */
const UNREAD_BODY_BYTES = 64 * 1024;
/** A piece of a body may be one frame, padded. */
const BODY_FRAME_BYTES = 300;

const { NGHTTP2_ENHANCE_YOUR_CALM: CALM, NGHTTP2_NO_ERROR: NO_ERROR, NGHTTP2_SETTINGS_TIMEOUT: SETTINGS } = constants;

export interface SessionLimits {
  /** for the first request, for the headers of each, and for the answer to our settings */
  readonly headersTimeoutMs: number;
  /** without a request */
  readonly idleTimeoutMs: number;
}

/** Why a session is ended, and how the client is told. */
export interface SessionEnd {
  readonly reason: 'idle' | 'no request in time' | 'no settings in time' | 'unfinished headers' | 'frames' | 'resets';
  /** code of GOAWAY */
  readonly code: number;
}

/**
 * The limits of one connection of HTTP/2 (a session) in time and in frames. Those of its requests are elsewhere.
 *
 * new → first request → in use ⇄ idle → ended
 */
export class ClientSession {
  /** requests that have not ended */
  private openCount = 0;
  private lastStreamId = 0;
  private readonly startedAt: number;
  /** when the last request ended */
  private idleSince: number;
  /** since when a request has begun whose headers have not come whole */
  private unfinishedSince: number | undefined;
  private readBytes: number;
  private readonly control: TokenBucket;
  private readonly resets: TokenBucket;

  /** @param now on the monotonic clock, in milliseconds; so is that of all methods */
  constructor(
    readonly socket: TLSSocket,
    readonly session: ServerHttp2Session,
    private readonly limits: SessionLimits,
    now: number,
  ) {
    this.startedAt = this.idleSince = now;
    this.readBytes = socket.bytesRead;
    this.control = new TokenBucket(CONTROL_BYTES, now);
    this.resets = new TokenBucket(RESETS, now);
  }

  get isIdle(): boolean {
    return this.openCount === 0;
  }

  onRequest(streamId: number, headerBytes: number, hasBody: boolean): void {
    this.openCount++;
    this.lastStreamId = Math.max(this.lastStreamId, streamId);
    this.unfinishedSince = undefined;
    this.control.give(headerBytes + FRAME_BYTES + (hasBody ? UNREAD_BODY_BYTES : 0));
  }

  onBody(bytes: number): void {
    this.control.give(bytes + BODY_FRAME_BYTES);
  }

  onPiece(): void {
    this.control.give(FRAME_BYTES);
  }

  /** @param isReset whether its client gave it up */
  onEnded(isReset: boolean, now: number): void {
    this.openCount--;
    this.idleSince = now;
    if (isReset) this.resets.take(1);
  }

  /** Why it must end now. */
  check(now: number): SessionEnd | undefined {
    const read = this.socket.bytesRead;
    const isRead = read !== this.readBytes;
    this.control.take(read - this.readBytes);
    this.readBytes = read;
    if (this.control.isOverdrawn(now)) return { reason: 'frames', code: CALM };
    if (this.resets.isOverdrawn(now)) return { reason: 'resets', code: CALM };
    if (isRead) this.lookForUnfinished(now);
    return this.checkTimes(now);
  }

  private checkTimes(now: number): SessionEnd | undefined {
    const { headersTimeoutMs, idleTimeoutMs } = this.limits;
    if (this.unfinishedSince !== undefined && now - this.unfinishedSince > headersTimeoutMs) {
      return { reason: 'unfinished headers', code: NO_ERROR };
    }
    if (now - this.startedAt > headersTimeoutMs) {
      if (this.lastStreamId === 0) return { reason: 'no request in time', code: NO_ERROR };
      if (this.session.pendingSettingsAck) return { reason: 'no settings in time', code: SETTINGS };
    }
    return this.isIdle && now - this.idleSince > idleTimeoutMs ? { reason: 'idle', code: NO_ERROR } : undefined;
  }

  /** The library below takes a stream for begun with its first frame; a request exists when its headers are whole. */
  private lookForUnfinished(now: number): void {
    const { lastProcStreamID: begun = 0 } = this.session.state;
    if (begun > this.lastStreamId) this.unfinishedSince ??= now;
  }
}
