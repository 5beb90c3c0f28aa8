import { createServer, connect, type Server, type Socket } from 'node:net';
import { once } from 'node:events';

const PROTOCOL_3 = 196_608;
const SSL_REQUEST = 80_877_103;
const MADE_UP_PROCESS = 4_242;

/** One connection to the server, logged in with a clear password. */
interface Session {
  readonly socket: Socket;
  /** gets what the server sends */
  onMessage: (type: string, message: Buffer) => void;
}

/** Splits a stream into messages of the protocol: a type, and a length that counts itself. */
function readMessages(
  socket: Socket,
  onMessage: (type: string, message: Buffer) => void,
  hasType: () => boolean,
): void {
  let rest = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      const offset = hasType() ? 1 : 0;
      if (rest.length < offset + 4) return;
      const length = offset + rest.readUInt32BE(offset);
      if (rest.length < length) return;
      const message = rest.subarray(0, length);
      rest = rest.subarray(length);
      onMessage(offset === 1 ? String.fromCharCode(message[0]!) : 'startup', message);
    }
  });
}

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(type), head, body]);
}

const word = (value: number): Buffer => {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
};

/**
 * What pgbouncer is in transaction mode, for tests: a session of the server belongs to a client from the first message of
 * a transaction to its end, and goes to the client that waits the longest, or else to the next one that asks.
 */
export class TransactionPooler {
  private readonly free: Session[] = [];
  private readonly waiting: ((session: Session) => void)[] = [];
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    /** of the same user, password and database, through the pooler */
    readonly url: string,
  ) {}

  static async start(serverUrl: string, sessions: number): Promise<TransactionPooler> {
    const listener = createServer().listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const address = listener.address();
    const url = new URL(serverUrl);
    if (typeof address === 'object' && address) url.port = String(address.port);
    const pooler = new TransactionPooler(listener, url.href);
    for (let count = 0; count < sessions; count++) pooler.free.push(await pooler.openSession(new URL(serverUrl)));
    listener.on('connection', (client) => pooler.serve(client));
    return pooler;
  }

  stop(): void {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }

  private async openSession({ hostname, port, username, password, pathname }: URL): Promise<Session> {
    const socket = this.watch(connect({ host: hostname, port: Number(port) }));
    const session: Session = { socket, onMessage: () => undefined };
    readMessages(
      socket,
      (type, bytes) => session.onMessage(type, bytes),
      () => true,
    );
    const parameters = ['user', username, 'database', pathname.slice(1), '', ''].join('\0');
    const ready = new Promise<void>((resolve, reject) => {
      session.onMessage = (type, bytes) => {
        if (type === 'R' && bytes.readUInt32BE(5) === 3) socket.write(message('p', Buffer.from(`${password}\0`)));
        if (type === 'E') reject(new Error(`the server refuses the pooler: ${bytes.toString()}`));
        if (type === 'Z') resolve();
      };
    });
    socket.write(message('', Buffer.concat([word(PROTOCOL_3), Buffer.from(parameters)])));
    await ready;
    return session;
  }

  private serve(client: Socket): void {
    this.watch(client);
    let session: Promise<Session> | undefined;
    let isStarted = false;
    const lend = async (): Promise<Session> => {
      const lent = await this.take();
      lent.onMessage = (type, bytes) => {
        client.write(bytes);
        const isIdle = type === 'Z' && String.fromCharCode(bytes[5]!) === 'I';
        if (!isIdle) return;
        session = undefined;
        this.giveBack(lent);
      };
      return lent;
    };
    const onMessage = (type: string, bytes: Buffer): void => {
      if (type === 'startup' && bytes.readUInt32BE(4) === SSL_REQUEST) return void client.write('N');
      if (type === 'startup') {
        isStarted = true;
        const key = message('K', Buffer.concat([word(MADE_UP_PROCESS), word(1)]));
        client.write(Buffer.concat([message('R', word(0)), key, message('Z', Buffer.from('I'))]));
      } else if (type === 'X') {
        client.end();
      } else {
        session ??= lend();
        void session.then(({ socket }) => socket.write(bytes));
      }
    };
    readMessages(client, onMessage, () => isStarted);
  }

  private take(): Promise<Session> {
    const session = this.free.pop();
    return session ? Promise.resolve(session) : new Promise((resolve) => this.waiting.push(resolve));
  }

  private giveBack(session: Session): void {
    session.onMessage = () => undefined;
    const next = this.waiting.shift();
    if (next) next(session);
    else this.free.push(session);
  }

  private watch(socket: Socket): Socket {
    this.sockets.add(socket);
    return socket.on('error', () => undefined);
  }
}
