import { invariant, randomChance, randomInteger, type Clock, type Random, type Timer } from '@concordat/foundation';
import type { AttachSocket, SocketEvents, StreamSocket } from '../direct/stream.js';

export interface StreamFaults {
  /** how long bytes are on their way, in milliseconds; those of one direction stay in order */
  readonly minimumDelayMs: number;
  readonly maximumDelayMs: number;
  /** with each write: the connection breaks, and both ends are told, each after a delay of its own */
  readonly breakProbability: number;
  /** with each write: from now on the connection swallows everything, in both directions, and nobody is told */
  readonly swallowProbability: number;
}

export const NO_STREAM_FAULTS: StreamFaults = {
  minimumDelayMs: 0,
  maximumDelayMs: 0,
  breakProbability: 0,
  swallowProbability: 0,
};

/**
 * Connections between the processes of a simulation, as TCP makes them: bytes in order, cut anywhere, or the end. They
 * break and swallow by the given probabilities, and when they are told to.
 */
export class MemoryStreams {
  private readonly listeners = new Map<string, (attach: AttachSocket) => void>();
  private readonly connections = new Set<Connection>();
  private faults: StreamFaults;

  constructor(
    private readonly clock: Clock,
    private readonly random: Random,
    faults: Partial<StreamFaults> = {},
  ) {
    this.faults = { ...NO_STREAM_FAULTS, ...faults };
  }

  setFaults(faults: Partial<StreamFaults>): void {
    this.faults = { ...NO_STREAM_FAULTS, ...faults };
  }

  /** A process takes connections at this URL; the function returned ends that, and the connections it has taken. */
  listen(url: string, accept: (attach: AttachSocket) => void): () => void {
    this.listeners.set(url, accept);
    return () => {
      if (this.listeners.get(url) === accept) this.listeners.delete(url);
      for (const connection of this.connections) if (connection.url === url) connection.break();
    };
  }

  /** Connects to who listens at a URL; rejects, after a while, when nobody does. */
  async dial(url: string): Promise<AttachSocket> {
    await this.delay();
    const accept = this.listeners.get(url);
    if (!accept) throw new Error(`nobody listens at ${url}`);
    const connection: Connection = new Connection(url, {
      clock: this.clock,
      drawDelayMs: () => this.drawDelayMs(),
      drawFault: () => {
        if (randomChance(this.random, this.faults.breakProbability)) return 'break';
        return randomChance(this.random, this.faults.swallowProbability) ? 'swallow' : undefined;
      },
      drawCut: (length) => randomInteger(this.random, 1, length),
      onEnded: () => this.connections.delete(connection),
    });
    this.connections.add(connection);
    accept(connection.attach(1));
    return connection.attach(0);
  }

  /** Every connection breaks now. */
  breakAll(): void {
    for (const connection of [...this.connections]) connection.break();
  }

  /** Every connection swallows from now on. */
  swallowAll(): void {
    for (const connection of this.connections) connection.swallow();
  }

  private delay(): Promise<void> {
    return new Promise((resolve) => void this.clock.setTimer(this.drawDelayMs(), resolve));
  }

  private drawDelayMs(): number {
    const { minimumDelayMs, maximumDelayMs } = this.faults;
    return maximumDelayMs === 0 ? 0 : randomInteger(this.random, minimumDelayMs, maximumDelayMs);
  }
}

interface ConnectionDependencies {
  readonly clock: Clock;
  readonly drawDelayMs: () => number;
  readonly drawFault: () => 'break' | 'swallow' | undefined;
  readonly drawCut: (length: number) => number;
  readonly onEnded: () => void;
}

/** One end as it is attached. */
interface End {
  events: SocketEvents | undefined;
  /** arrived, and not handed on: nobody listens yet, or reading is paused */
  readonly arrived: Buffer[];
  paused: boolean;
  /** the other end has closed; told when all that has arrived is handed on */
  ending: boolean;
  closed: boolean;
  /** bytes on their way from here */
  onTheirWay: number;
  /** nothing that is written here arrives before this time */
  earliest: number;
  delivery: Timer | undefined;
}

/** Two ends; 0 has dialled. */
class Connection {
  private readonly ends: readonly [End, End] = [createEnd(), createEnd()];
  private swallows = false;

  constructor(
    readonly url: string,
    private readonly dependencies: ConnectionDependencies,
  ) {}

  attach(side: 0 | 1): AttachSocket {
    return (events) => {
      const own = this.ends[side];
      invariant(!own.events, 'an end is attached once');
      own.events = events;
      this.schedule(side);
      return this.socketOf(side);
    };
  }

  break(): void {
    for (const side of [0, 1] as const) this.closeLater(side);
  }

  swallow(): void {
    this.swallows = true;
  }

  private socketOf(side: 0 | 1): StreamSocket {
    const own = this.ends[side];
    return {
      write: (bytes) => this.write(side, bytes),
      get bufferedBytes() {
        return own.onTheirWay;
      },
      pause: () => void (own.paused = true),
      resume: () => {
        own.paused = false;
        this.schedule(side);
      },
      destroy: () => this.end(side),
      end: () => this.end(side),
    };
  }

  private write(side: 0 | 1, bytes: Buffer): void {
    const own = this.ends[side];
    if (own.closed) return;
    const fault = this.dependencies.drawFault();
    if (fault === 'break') return this.break();
    if (fault === 'swallow') this.swallow();
    if (this.swallows) return;
    const { clock } = this.dependencies;
    own.onTheirWay += bytes.length;
    own.earliest = Math.max(own.earliest, clock.monotonic() + this.dependencies.drawDelayMs());
    clock.setTimer(own.earliest - clock.monotonic(), () => {
      own.onTheirWay -= bytes.length;
      if (own.onTheirWay === 0 && !own.closed) own.events?.onDrained();
      const other = this.ends[1 - side]!;
      if (other.closed || this.swallows) return;
      other.arrived.push(bytes);
      this.deliver((1 - side) as 0 | 1);
    });
  }

  private schedule(side: 0 | 1): void {
    const own = this.ends[side];
    own.delivery ??= this.dependencies.clock.setTimer(0, () => {
      own.delivery = undefined;
      this.deliver(side);
    });
  }

  /** Hands on what has arrived, in pieces cut anywhere. */
  private deliver(side: 0 | 1): void {
    const own = this.ends[side];
    while (own.events && !own.paused && !own.closed) {
      const bytes = own.arrived.shift();
      if (!bytes) {
        if (own.ending) this.closed(side);
        return;
      }
      const cut = this.dependencies.drawCut(bytes.length);
      if (cut < bytes.length) own.arrived.unshift(bytes.subarray(cut));
      own.events.onBytes(bytes.subarray(0, cut));
    }
  }

  /** One end closes; what it wrote before still arrives, then the other one is told. */
  private end(side: 0 | 1): void {
    const own = this.ends[side];
    if (own.closed) return;
    own.closed = true;
    if (this.swallows) return this.finish();
    const { clock } = this.dependencies;
    const afterBytes = Math.max(0, own.earliest - clock.monotonic()) + this.dependencies.drawDelayMs();
    clock.setTimer(afterBytes, () => {
      this.ends[1 - side]!.ending = true;
      this.deliver((1 - side) as 0 | 1);
    });
    own.events?.onClosed();
  }

  private closeLater(side: 0 | 1): void {
    this.dependencies.clock.setTimer(this.dependencies.drawDelayMs(), () => this.closed(side));
  }

  private closed(side: 0 | 1): void {
    const end = this.ends[side];
    if (end.closed) return;
    end.closed = true;
    end.events?.onClosed(end.ending ? undefined : new Error('the connection was reset'));
    this.finish();
  }

  private finish(): void {
    if (this.ends.every(({ closed }) => closed)) this.dependencies.onEnded();
  }
}

function createEnd(): End {
  return {
    events: undefined,
    arrived: [],
    paused: false,
    ending: false,
    closed: false,
    onTheirWay: 0,
    earliest: 0,
    delivery: undefined,
  };
}
