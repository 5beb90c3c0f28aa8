import { createServer, type Server, type Socket } from 'node:net';
import { guarded, invariant, type Address } from '@concordat/foundation';

/**
 * The address of an embedded coordinator: a free port that stays its own over crashes, so no other process can take it
 * in between. Connections go to the HTTP server of the present life; while there is none, they are reset.
 *
 * States: shut ⇄ open → closed.
 */
export class Door {
  private readonly sockets = new Set<Socket>();
  private readonly server: Server;
  private receive: ((socket: Socket) => void) | undefined;
  private bound: Address | undefined;

  private constructor() {
    const failed = (): void => undefined; // a connection that failed: its client knows
    this.server = createServer(guarded((socket: Socket) => this.enter(socket), failed));
  }

  /** A new one, shut. @param host of this machine */
  static async at(host: string): Promise<Door> {
    const door = new Door();
    const { server } = door;
    await new Promise<void>((resolve, reject) => {
      server.once('error', guarded(reject, reject));
      server.listen({ host, port: 0 }, resolve);
    });
    const bound = server.address();
    invariant(typeof bound === 'object' && bound, 'a server that listens has an address');
    door.bound = { host, port: bound.port };
    return door;
  }

  get address(): Address {
    invariant(this.bound, 'a door is handed out when it listens');
    return this.bound;
  }

  open(receive: (socket: Socket) => void): void {
    this.receive = receive;
  }

  /** Every connection breaks, as when the process dies. */
  shut(): void {
    this.receive = undefined;
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    this.shut();
    await new Promise<void>((resolve) => void this.server.close(() => resolve()));
  }

  private enter(socket: Socket): void {
    const ignore = (): void => undefined;
    socket.on(
      'error',
      guarded(() => undefined, ignore), // its end follows
    );
    if (!this.receive) {
      socket.resetAndDestroy();
      return;
    }
    this.sockets.add(socket);
    socket.once(
      'close',
      guarded(() => this.sockets.delete(socket), ignore),
    );
    this.receive(socket);
  }
}
