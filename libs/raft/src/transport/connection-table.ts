import { invariant, type Clock, type Timer } from '@concordat/foundation';

/** Maximum number of connections; each peer needs one. A new one replaces one without a stream. */
export const MAXIMUM_CONNECTIONS = 256;
/** A connection without a stream for this long is closed: nodes open one at once, and after a refusal every second. */
export const IDLE_CONNECTION_MS = 10_000;
/** A stream without a frame for this long is closed: nodes send a ping every second. */
export const SILENT_STREAM_MS = 60_000;
/** This many bytes of an incomplete frame count as a sign of life, however slow the link is. */
export const SIGN_OF_LIFE_BYTES = 64 * 1024;
/** Maximum bytes on a connection without a stream: nodes send their identity, and wait until they are accepted. */
export const UNACCEPTED_BYTES = 1024 * 1024;
/** Interval of checks, while there are connections. */
const SWEEP_INTERVAL_MS = 250;

/** A connection in the table. */
export interface TrackedConnection {
  readonly bytesRead: number;
  destroy(): void;
}

export interface ConnectionTableOptions {
  readonly clock: Pick<Clock, 'monotonic' | 'setTimer'>;
  /** bytes of incomplete frames, of all nodes together that are no peers */
  readonly maximumUnfinishedBytes: number;
  /** a connection is closed, or was not accepted */
  readonly onRefused: (name: string, reason: string) => void;
}

interface StreamEntry {
  readonly isPeers: () => boolean;
  /** monotonic time of the last sign of life */
  heardAt: number;
  /** bytes its connection had read then */
  bytesAtSign: number;
  /** bytes its connection had read at the last complete frame */
  bytesAtFrame: number;
}

interface ConnectionEntry {
  connection: TrackedConnection;
  readonly streams: Set<StreamEntry>;
  /** monotonic time at which it was opened, requested a stream, or lost its last one */
  activeAt: number;
  /** bytes it had read when it lost its last stream */
  bytesAtLoss: number;
}

/** Must be called about the events of a stream. */
export interface StreamTrack {
  /** a frame is complete */
  frameRead(): void;
  closed(): void;
}

/**
 * The open connections and their activity. Inactive callers (which never open a stream, are refused and stay, open one
 * and fall silent, or send frames that never end) are closed after a while. A new connection is accepted as long as an
 * open one has no stream, so strangers can never keep a peer out.
 *
 * gRPC itself closes connections that do not answer its pings, but not those that do.
 *
 * Invariant: a stream is in the table exactly while its connection is; there are at most `MAXIMUM_CONNECTIONS`.
 */
export class ConnectionTable {
  private readonly connections = new Map<string, ConnectionEntry>();
  private timer: Timer | undefined;

  constructor(private readonly options: ConnectionTableOptions) {}

  get size(): number {
    return this.connections.size;
  }

  /**
   * Adds a connection, if need be in place of another.
   *
   * @param name `host:port` of the caller
   * @returns false when the table is full; then it is closed
   */
  add(name: string, connection: TrackedConnection): boolean {
    const now = this.options.clock.monotonic();
    if (this.connections.size >= MAXIMUM_CONNECTIONS && !this.makeRoom()) {
      this.options.onRefused(name, `there are ${MAXIMUM_CONNECTIONS} connections with streams already`);
      connection.destroy();
      return false;
    }
    this.connections.set(name, { connection, streams: new Set(), activeAt: now, bytesAtLoss: 0 });
    invariant(this.connections.size <= MAXIMUM_CONNECTIONS, 'there are no more connections than are allowed');
    this.sweepLater();
    return true;
  }

  /** The same connection as another object (TLS over TCP). */
  replace(name: string, connection: TrackedConnection): void {
    const entry = this.connections.get(name);
    if (entry) entry.connection = connection;
  }

  /** It is closed. */
  remove(name: string, connection: TrackedConnection): void {
    if (this.connections.get(name)?.connection === connection) this.connections.delete(name);
  }

  /** A connection has requested a stream, and was refused. */
  attempted(name: string): void {
    const entry = this.connections.get(name);
    if (entry) entry.activeAt = this.options.clock.monotonic();
  }

  /** A connection has got a stream, of a node that is a peer or not (any more). */
  opened(name: string, isPeers: () => boolean): StreamTrack {
    const entry = this.connections.get(name);
    if (!entry) return { frameRead: () => undefined, closed: () => undefined }; // it is being closed
    const { clock } = this.options;
    const { bytesRead } = entry.connection;
    const stream = { isPeers, heardAt: clock.monotonic(), bytesAtSign: bytesRead, bytesAtFrame: bytesRead };
    entry.streams.add(stream);
    return {
      frameRead: () => {
        stream.heardAt = clock.monotonic();
        stream.bytesAtSign = stream.bytesAtFrame = entry.connection.bytesRead;
      },
      closed: () => {
        if (!entry.streams.delete(stream) || entry.streams.size > 0) return;
        entry.activeAt = clock.monotonic();
        entry.bytesAtLoss = entry.connection.bytesRead;
      },
    };
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = undefined;
    for (const { connection } of this.connections.values()) connection.destroy();
    this.connections.clear();
  }

  /** Closes the connection that has been without a stream longest; false when each has one. */
  makeRoom(): boolean {
    let longest: readonly [string, ConnectionEntry] | undefined;
    for (const [name, entry] of this.connections) {
      if (entry.streams.size > 0) continue;
      if (!longest || entry.activeAt < longest[1].activeAt) longest = [name, entry];
    }
    if (longest) this.end(...longest, 'it has no stream, and makes room for another');
    return longest !== undefined;
  }

  private sweepLater(): void {
    this.timer ??= this.options.clock.setTimer(SWEEP_INTERVAL_MS, () => {
      this.timer = undefined;
      this.sweep();
      if (this.connections.size > 0) this.sweepLater();
    });
  }

  private sweep(): void {
    const now = this.options.clock.monotonic();
    for (const [name, entry] of this.connections) {
      const reason = entry.streams.size === 0 ? idleReason(entry, now) : this.isSilent(entry, now);
      if (reason !== undefined) this.end(name, entry, reason);
    }
    this.boundUnfinished();
  }

  private isSilent({ connection: { bytesRead }, streams }: ConnectionEntry, now: number): string | undefined {
    for (const stream of streams) {
      if (bytesRead - stream.bytesAtSign >= SIGN_OF_LIFE_BYTES) {
        stream.heardAt = now;
        stream.bytesAtSign = bytesRead;
      } else if (now - stream.heardAt >= SILENT_STREAM_MS) return 'its stream has been silent for too long';
    }
    return undefined;
  }

  /** Frames may be large, and each stranger may send a part of one: together they must not use up the memory. */
  private boundUnfinished(): void {
    const sizes = [...this.connections].map(([name, entry]) => ({ name, entry, bytes: unfinishedBytes(entry) }));
    let total = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
    sizes.sort((one, other) => other.bytes - one.bytes);
    for (const { name, entry, bytes } of sizes) {
      if (total <= this.options.maximumUnfinishedBytes) return;
      total -= bytes;
      this.end(name, entry, 'nodes that are not members have sent too many incomplete frames');
    }
  }

  private end(name: string, { connection }: ConnectionEntry, reason: string): void {
    this.connections.delete(name);
    this.options.onRefused(name, reason);
    connection.destroy();
  }
}

/** Why a connection without a stream must be closed. */
function idleReason({ activeAt, bytesAtLoss, connection }: ConnectionEntry, now: number): string | undefined {
  if (now - activeAt >= IDLE_CONNECTION_MS) return 'it has had no stream for too long';
  return connection.bytesRead - bytesAtLoss > UNACCEPTED_BYTES ? 'it has sent too much without a stream' : undefined;
}

/** Of strangers. Streams of one connection are counted together, because their bytes cannot be told apart here. */
function unfinishedBytes({ connection, streams }: ConnectionEntry): number {
  let bytes = 0;
  for (const { isPeers, bytesAtFrame } of streams)
    if (!isPeers()) bytes = Math.max(bytes, connection.bytesRead - bytesAtFrame);
  return bytes;
}
