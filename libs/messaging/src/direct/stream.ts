import { errorMessage, invariant, type Clock, type Timer } from '@concordat/foundation';
import type { OutgoingMessage } from '../bus.js';
import {
  encodeFrame,
  FRAME_TARGET_BYTES,
  frameBytesOf,
  FrameReader,
  LinkFrameError,
  MAXIMUM_MESSAGES_PER_FRAME,
  type Frame,
  type StreamMessage,
  type TextFrameType,
} from './frames.js';
import type { StreamRefusal } from './handshake.js';

/** A connection: bytes in order, or the end. */
export interface StreamSocket {
  write(bytes: Buffer): void;
  /** bytes written and not sent yet */
  readonly bufferedBytes: number;
  /** delivers no bytes until `resume` */
  pause(): void;
  resume(): void;
  /** the other end may not get the last bytes */
  destroy(): void;
  /** sends what was written, then closes */
  end(): void;
  /** asked twice a second: whether the stream must end; default: never */
  readonly ending?: (() => StreamEnding | undefined) | undefined;
}

export interface StreamEnding {
  readonly reason: string;
  /** whether the other end may get what was sent */
  readonly isGentle: boolean;
}

export interface SocketEvents {
  onBytes(chunk: Buffer): void;
  /** `bufferedBytes` is 0 again */
  onDrained(): void;
  /** once, also after `destroy` */
  onClosed(error?: Error): void;
}

/** Connects an open socket to the events of a stream. */
export type AttachSocket = (events: SocketEvents) => StreamSocket;

export interface StreamLimits {
  /** maximum bytes that wait, or are sent and not acknowledged; default 8 MiB */
  readonly bufferedBytes: number;
  /** maximum number of messages that wait, or are sent and not acknowledged; default 16,384 */
  readonly bufferedMessages: number;
  /** maximum duration of the handshake, in milliseconds; default 5,000 */
  readonly greetingMs: number;
  /** an end that has sent nothing for this long sends `alive`, in milliseconds; default 500 */
  readonly aliveMs: number;
  /** an end that was silent this long is given up, in milliseconds; default 2,500 */
  readonly silenceMs: number;
  /** messages without an acknowledgement for this long end the stream, in milliseconds; default 10,000 */
  readonly unacknowledgedMs: number;
}

export const DEFAULT_STREAM_LIMITS: StreamLimits = {
  bufferedBytes: 8 * 1024 * 1024,
  bufferedMessages: 16_384,
  greetingMs: 5_000,
  aliveMs: 500,
  silenceMs: 2_500,
  unacknowledgedMs: 10_000,
};

/** An end that has received so much acknowledges it at once; less is acknowledged with the next frame. */
const ACKNOWLEDGE_AFTER = { messages: 1_024, bytes: 1024 * 1024 } as const;
/** Beyond this a publisher waits until less is buffered. */
const HIGH_WATER_BYTES = 1024 * 1024;

export interface StreamDependencies {
  readonly clock: Clock;
  /** runs `action` at the end of the current turn: what is sent in one turn is one write */
  readonly defer: (action: () => void) => void;
  readonly limits: StreamLimits;
}

export interface StreamEvents {
  onText(type: TextFrameType, text: string): void;
  onMessages(messages: readonly StreamMessage[]): void;
  /** The other end sends what no correct end sends; then the stream is closed, unless it is refused here. */
  onInvalid?(reason: string): void;
  /** once; `lost` was sent and not acknowledged, and may have arrived or not */
  onClosed(reason: string, lost: readonly OutgoingMessage[]): void;
}

interface SentFrame {
  readonly number: number;
  readonly sentAt: number;
  readonly messages: readonly OutgoingMessage[];
  readonly bytes: number;
}

/** `DirectStream.untilWritten` of several; undefined when there is nothing to wait for. */
export function untilAllAreWritten(streams: Iterable<DirectStream>): Promise<void> | undefined {
  const waiting = Array.from(streams, (stream) => stream.untilWritten()).filter((written) => written !== undefined);
  return waiting.length > 1 ? Promise.all(waiting).then(() => undefined) : waiting[0];
}

/**
 * One end of a direct stream: frames, one write per turn, signs of life, acknowledgements.
 *
 * States: greeting → open (`greeted`) → closed. Invariants: messages are sent and received only while it is open;
 * what waits and what is not acknowledged is bounded, and is reported exactly once, at the end.
 */
export class DirectStream {
  private readonly socket: StreamSocket;
  private readonly reader = new FrameReader();
  private state: 'greeting' | 'open' | 'closed' = 'greeting';
  private outgoing: StreamMessage[] = [];
  private outgoingSources: OutgoingMessage[] = [];
  private outgoingBytes = 0;
  private flushIsDue = false;
  private sentFrames = 0;
  private acknowledgedFrames = 0;
  private receivedFrames = 0;
  private readonly unacknowledged: SentFrame[] = [];
  /** of all messages that wait or are not acknowledged */
  private pendingMessages = 0;
  private pendingBytes = 0;
  /** received since the latest acknowledgement was sent */
  private owed = { messages: 0, bytes: 0 };
  private heardAt: number;
  private saidAt: number;
  private checkedAt: number;
  private timer: Timer | undefined;
  /** a publisher waits until what it sent is written */
  private written: Promise<void> | undefined;
  private announceWritten: () => void = () => undefined;

  constructor(
    attach: AttachSocket,
    private readonly dependencies: StreamDependencies,
    private readonly events: StreamEvents,
  ) {
    const { clock, limits } = dependencies;
    this.heardAt = clock.monotonic();
    this.saidAt = this.heardAt;
    this.checkedAt = this.heardAt;
    this.timer = clock.setTimer(limits.greetingMs, () => this.close('the other end did not greet in time'));
    this.socket = attach({
      onBytes: (chunk) => this.receive(chunk),
      onDrained: () => this.releasePublishers(),
      onClosed: (error) => this.close(error ? errorMessage(error) : 'the connection was closed', true),
    });
  }

  get isOpen(): boolean {
    return this.state === 'open';
  }

  /** Bytes waiting for the other end. */
  get bufferedBytes(): number {
    return this.outgoingBytes + this.socket.bufferedBytes;
  }

  /** The handshake is complete: messages may be sent. */
  greeted(): void {
    invariant(this.state === 'greeting', 'a stream is greeted once');
    this.state = 'open';
    this.timer?.cancel();
    this.reader.allowMessages();
    this.keepAlive();
  }

  sendText(type: TextFrameType, body: object): void {
    if (this.state !== 'closed') this.write({ type, text: JSON.stringify(body) });
  }

  /** Queues a message for the next write; false when the stream is not open, or too much is not acknowledged yet. */
  send(source: OutgoingMessage, value: Buffer): boolean {
    const message = { topic: source.topic, value };
    const bytes = frameBytesOf(message);
    const { limits } = this.dependencies;
    if (this.state !== 'open' || this.pendingMessages >= limits.bufferedMessages) return false;
    if (this.pendingBytes + bytes > limits.bufferedBytes) return false;
    this.pendingMessages++;
    this.pendingBytes += bytes;
    this.outgoing.push(message);
    this.outgoingSources.push(source);
    this.outgoingBytes += bytes;
    if (!this.flushIsDue) {
      this.flushIsDue = true;
      this.dependencies.defer(() => this.flush());
    }
    return true;
  }

  /**
   * Settles when the socket has all queued messages and a publisher may continue, or when the stream has ended;
   * undefined when that is so now. Publishers of one turn share the promise.
   */
  untilWritten(): Promise<void> | undefined {
    if (this.mayContinue()) return undefined;
    this.written ??= new Promise((resolve) => (this.announceWritten = resolve));
    return this.written;
  }

  pause(): void {
    if (this.state !== 'closed') this.socket.pause();
  }

  resume(): void {
    if (this.state !== 'closed') this.socket.resume();
  }

  /** Sends the reason to the other end, then closes. */
  refuse(refusal: StreamRefusal): void {
    this.sendText('refusal', refusal);
    this.finish(`${refusal.detail} (${refusal.code})`, () => this.socket.end());
  }

  close(reason: string, isClosed = false): void {
    this.finish(reason, () => {
      if (!isClosed) this.socket.destroy();
    });
  }

  /** Sends the queued messages, then closes. */
  end(reason: string): void {
    this.flush();
    this.finish(reason, () => this.socket.end());
  }

  private finish(reason: string, endSocket: () => void): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.timer?.cancel();
    endSocket();
    this.releasePublishers();
    const lost = [...this.unacknowledged.splice(0).flatMap(({ messages }) => messages), ...this.outgoingSources];
    this.outgoing = [];
    this.outgoingSources = [];
    this.outgoingBytes = 0;
    this.events.onClosed(reason, lost);
  }

  private receive(chunk: Buffer): void {
    if (this.state === 'closed') return;
    this.heardAt = this.dependencies.clock.monotonic();
    try {
      for (const frame of this.reader.push(chunk)) this.take(frame);
    } catch (error) {
      if (error instanceof LinkFrameError) this.events.onInvalid?.(error.message);
      this.close(errorMessage(error));
    }
  }

  private take(frame: Frame): void {
    if (this.isClosed()) return; // earlier bytes of this chunk have ended the stream
    if (frame.type !== 'messages' && frame.type !== 'alive') return this.events.onText(frame.type, frame.text);
    if (this.state !== 'open') throw new LinkFrameError('messages before the handshake');
    this.acknowledge(frame.acknowledged);
    if (frame.type === 'alive') return;
    this.receivedFrames = (this.receivedFrames + 1) >>> 0;
    this.owed.messages += frame.messages.length;
    for (const message of frame.messages) this.owed.bytes += frameBytesOf(message);
    this.events.onMessages(frame.messages);
    if (this.owed.messages >= ACKNOWLEDGE_AFTER.messages || this.owed.bytes >= ACKNOWLEDGE_AFTER.bytes) {
      this.sayAlive();
    }
  }

  private isClosed(): boolean {
    return this.state === 'closed';
  }

  private acknowledge(count: number): void {
    const { unacknowledged, sentFrames } = this;
    const onTheirWay = (sentFrames - count) >>> 0;
    if (onTheirWay > (sentFrames - this.acknowledgedFrames) >>> 0) {
      throw new LinkFrameError('an acknowledgement of messages that were never sent');
    }
    this.acknowledgedFrames = count;
    let done = 0;
    while (done < unacknowledged.length && (sentFrames - unacknowledged[done]!.number) >>> 0 >= onTheirWay) {
      this.pendingMessages -= unacknowledged[done]!.messages.length;
      this.pendingBytes -= unacknowledged[done]!.bytes;
      done++;
    }
    if (done > 0) unacknowledged.splice(0, done);
  }

  /** Writes the queued messages now. */
  flush(): void {
    this.flushIsDue = false;
    if (this.state !== 'open') return;
    const { outgoing, outgoingSources } = this;
    this.outgoing = [];
    this.outgoingSources = [];
    this.outgoingBytes = 0;
    for (let from = 0; from < outgoing.length;) {
      let to = from;
      let bytes = 0;
      for (; to < outgoing.length && to - from < MAXIMUM_MESSAGES_PER_FRAME; to++) {
        if (bytes > FRAME_TARGET_BYTES) break;
        bytes += frameBytesOf(outgoing[to]!);
      }
      this.sentFrames = (this.sentFrames + 1) >>> 0;
      const sentAt = this.dependencies.clock.monotonic();
      this.unacknowledged.push({ number: this.sentFrames, sentAt, messages: outgoingSources.slice(from, to), bytes });
      this.write({ type: 'messages', acknowledged: this.receivedFrames, messages: outgoing.slice(from, to) });
      from = to;
    }
    this.releasePublishers();
  }

  private write(frame: Frame): void {
    this.saidAt = this.dependencies.clock.monotonic();
    if (frame.type === 'messages' || frame.type === 'alive') this.owed = { messages: 0, bytes: 0 };
    this.socket.write(encodeFrame(frame));
  }

  private sayAlive(): void {
    if (this.state === 'open') this.write({ type: 'alive', acknowledged: this.receivedFrames });
  }

  private keepAlive(): void {
    const { clock, limits } = this.dependencies;
    const now = clock.monotonic();
    // this process was stopped meanwhile: what the other end has sent is not read yet
    if (now - this.checkedAt > limits.silenceMs) this.heardAt = now;
    this.checkedAt = now;
    const [oldest] = this.unacknowledged;
    if (now - this.heardAt >= limits.silenceMs)
      return this.close(`the other end was silent for ${limits.silenceMs} ms`);
    if (oldest && now - oldest.sentAt >= limits.unacknowledgedMs) {
      return this.close(`the other end took no message for ${limits.unacknowledgedMs} ms`);
    }
    const ending = this.socket.ending?.();
    if (ending) return ending.isGentle ? this.end(ending.reason) : this.close(ending.reason);
    if (now - this.saidAt >= limits.aliveMs / 2) this.sayAlive();
    this.timer = clock.setTimer(limits.aliveMs, () => this.keepAlive());
  }

  private mayContinue(): boolean {
    return this.state !== 'open' || (!this.flushIsDue && this.bufferedBytes < HIGH_WATER_BYTES);
  }

  private releasePublishers(): void {
    if (!this.written || !this.mayContinue()) return;
    this.written = undefined;
    this.announceWritten();
  }
}
