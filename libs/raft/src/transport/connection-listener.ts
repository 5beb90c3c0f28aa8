import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { errorMessage, guarded } from '@concordat/foundation';
import { TransportBindError, type MutableCounters, type TransportTls } from './grpc-transport.types.js';
import { splitAddress } from './peer-address.js';
import type { RefusalLog } from './refusal-log.js';

export interface ConnectionListenerOptions {
  readonly listenAddress: string;
  readonly tls: TransportTls | undefined;
  readonly counters: MutableCounters;
  readonly refusals: RefusalLog;
}

/** Connections at the same time; each peer needs one. */
const maxConnections = 256;
const handshakeTimeoutMs = 5000;

/**
 * Accepts connections and, with TLS, lets only those through whose certificate our authority signed. It stands in
 * front of the gRPC server, which would drop a failed handshake without a word and takes any number of connections.
 */
export class ConnectionListener {
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  constructor(
    private readonly options: ConnectionListenerOptions,
    private readonly onConnection: (socket: Socket) => void,
  ) {
    this.server = this.createServer();
    this.server.maxConnections = maxConnections;
    const failed = (error: unknown): void => this.refuse('a caller', `it could not be served: ${errorMessage(error)}`);
    this.server.on(
      'connection',
      guarded((socket: Socket) => this.watch(socket), failed),
    );
    this.server.on(
      'drop',
      guarded(
        (address) =>
          this.refuse(
            `${address?.remoteAddress}:${address?.remotePort}`,
            `there are ${maxConnections} connections already`,
          ),
        failed,
      ),
    );
  }

  /**
   * @returns the port that is listened on
   * @throws TransportBindError
   */
  start(): Promise<number> {
    const { listenAddress } = this.options;
    const address = splitAddress(listenAddress);
    const failed = (reason: string, cause?: unknown): TransportBindError =>
      new TransportBindError(`cannot listen for other nodes on ${listenAddress}: ${reason}`, { cause });
    if (!address) return Promise.reject(failed('this is no host:port'));
    return new Promise((resolve, reject) => {
      this.server.once(
        'error',
        guarded((error: Error) => reject(failed(error.message, error)), reject),
      );
      const stand = (): void => {
        const bound = this.server.address();
        resolve(typeof bound === 'object' && bound ? bound.port : 0);
      };
      this.server.listen(address.port, address.host, guarded(stand, reject));
    });
  }

  /** Resolves when the port is free again and every connection is cut. */
  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.server.close(() => resolve()); // with an error when it never listened, which is as good
      for (const socket of this.sockets) socket.destroy();
    });
  }

  private createServer(): Server {
    const { tls } = this.options;
    if (!tls) return createTcpServer({ noDelay: true }, this.onConnection);
    const server = createTlsServer(
      {
        ...tls,
        minVersion: 'TLSv1.2',
        ALPNProtocols: ['h2'],
        requestCert: true,
        rejectUnauthorized: false, // `admit` refuses, and can say whom and why: Node.js itself ends them without a word
        handshakeTimeout: handshakeTimeoutMs,
        noDelay: true,
      },
      (socket) => this.admit(socket),
    );
    server.on(
      'tlsClientError',
      guarded(
        (error, socket) => this.refuse(nameOf(socket), `no TLS: ${firstLine(error.message)}`),
        (error) => this.refuse('a caller', `no TLS: ${errorMessage(error)}`),
      ),
    );
    return server;
  }

  /** Lets in whoever shows a certificate that our authority signed; whose it is, is asked with each stream. */
  private admit(socket: TLSSocket): void {
    this.watch(socket);
    if (socket.authorized) return this.onConnection(socket);
    const hasCertificate = socket.getPeerX509Certificate() !== undefined;
    this.refuse(
      nameOf(socket),
      hasCertificate
        ? `the certificate is not trusted: ${String(socket.authorizationError)}`
        : 'there is no certificate',
    );
    socket.destroy();
  }

  /** A connection that breaks is met where its streams end. */
  private watch(socket: Socket): void {
    this.sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once(
      'close',
      guarded(
        () => this.sockets.delete(socket),
        () => undefined,
      ),
    );
  }

  private refuse(peer: string, reason: string): void {
    this.options.counters.refusedConnections++;
    this.options.refusals.refused('a connection', peer, reason);
  }
}

function nameOf({ remoteAddress, remotePort }: Socket): string {
  return remoteAddress === undefined ? 'a caller that has gone' : `${remoteAddress}:${remotePort}`;
}

/** OpenSSL's messages may go on for several lines. */
function firstLine(message: string): string {
  return message.split('\n')[0] ?? '';
}
