import { connect, createServer, type Server, type Socket } from 'node:net';
import { guarded } from '@concordat/foundation';

const LOOPBACK = '127.0.0.1';

/** A connection through the proxy; `server` is missing where the proxy swallowed it from its beginning. */
interface Pair {
  readonly client: Socket;
  readonly server: Socket | undefined;
  /** it has lost bytes since then, in milliseconds of the monotonic clock */
  swallowedSince: number | undefined;
  /** of its two ends, those that have closed */
  closedEnds: number;
}

/**
 * A TCP proxy in front of one port of this machine: the network between a bank and a coordinator, which a scenario
 * can cut.
 *
 * States: passing ⇄ cut; passing ⇄ swallowing; closed. Cut: no connection stands and none is accepted. Swallowing:
 * connections stand and are accepted, and every byte is lost, the end of a connection too.
 */
export class StreamProxy {
  private readonly server: Server;
  private readonly pairs = new Set<Pair>();
  private state: 'passing' | 'cut' | 'swallowing' | 'closed' = 'passing';
  private readonly noticed: number[] = [];

  private constructor(private readonly target: number) {
    this.server = createServer(guarded((client: Socket) => this.accept(client), ignore));
  }

  /** Listens on a port that the system chooses. */
  static async to(target: number): Promise<StreamProxy> {
    const proxy = new StreamProxy(target);
    await new Promise<void>((resolve, reject) => {
      proxy.server.once('error', reject);
      proxy.server.listen(0, LOOPBACK, resolve);
    });
    return proxy;
  }

  /** `host:port` for those who shall connect through the proxy. */
  get address(): string {
    const bound = this.server.address();
    return `${LOOPBACK}:${typeof bound === 'object' && bound ? bound.port : 0}`;
  }

  /** Ends all connections, and refuses new ones. */
  cut(): void {
    this.state = 'cut';
    this.endAll();
  }

  /** From now on all bytes are lost, and no connection is closed. Returns how many stand. */
  swallow(): number {
    this.state = 'swallowing';
    this.noticed.length = 0;
    const now = performance.now();
    for (const pair of this.pairs) pair.swallowedSince = now;
    return this.pairs.size;
  }

  /** Passes everything again. Connections that have lost bytes end. */
  pass(): void {
    this.state = 'passing';
    for (const pair of [...this.pairs]) if (pair.swallowedSince !== undefined) this.end(pair);
  }

  /** For each end of a swallowed connection that has closed it by itself: how long it took, in milliseconds. */
  get noticedMs(): readonly number[] {
    return this.noticed;
  }

  close(): void {
    this.state = 'closed';
    this.endAll();
    this.server.close();
  }

  private accept(client: Socket): void {
    if (this.state === 'cut' || this.state === 'closed') return void client.destroy();
    const isSwallowed = this.state === 'swallowing';
    const server = isSwallowed ? undefined : connect({ port: this.target, host: LOOPBACK, noDelay: true });
    const pair: Pair = { client, server, swallowedSince: isSwallowed ? performance.now() : undefined, closedEnds: 0 };
    this.pairs.add(pair);
    client.setNoDelay(true);
    this.join(pair, client, server);
    if (server) this.join(pair, server, client);
  }

  private join(pair: Pair, from: Socket, to: Socket | undefined): void {
    const guardedEnd = guarded(() => this.end(pair), ignore);
    const forward = (chunk: Buffer): void => {
      if (pair.swallowedSince !== undefined || !to) return;
      if (!to.write(chunk)) from.pause();
    };
    from.on('data', guarded(forward, guardedEnd));
    to?.on(
      'drain',
      guarded(() => from.resume(), guardedEnd),
    );
    from.on('error', guarded(ignore, ignore)); // followed by `close`
    from.on(
      'close',
      guarded(() => this.closed(pair), guardedEnd),
    );
  }

  /** One end has closed. The other one is not told while the proxy swallows. */
  private closed(pair: Pair): void {
    if (!this.pairs.has(pair)) return; // the proxy has ended it
    const { server, swallowedSince } = pair;
    if (swallowedSince === undefined || !server) return this.end(pair);
    this.noticed.push(Math.round(performance.now() - swallowedSince));
    if (++pair.closedEnds === 2) this.pairs.delete(pair);
  }

  private endAll(): void {
    for (const pair of [...this.pairs]) this.end(pair);
  }

  private end(pair: Pair): void {
    this.pairs.delete(pair);
    pair.client.destroy();
    pair.server?.destroy();
  }
}

function ignore(): void {
  return undefined;
}
