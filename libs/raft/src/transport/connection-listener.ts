import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { errorMessage, guarded, type Clock } from '@concordat/foundation';
import { ConnectionTable, MAXIMUM_CONNECTIONS } from './connection-table.js';
import { TransportBindError, type MutableCounters, type TransportTls } from './grpc-transport.types.js';
import { splitAddress } from './peer-address.js';
import type { RefusalLog } from './refusal-log.js';

export interface ConnectionListenerOptions {
  readonly listenAddress: string;
  readonly tls: TransportTls | undefined;
  readonly clock: Pick<Clock, 'monotonic' | 'setTimer'>;
  /** of frames that are not whole yet, of all nodes together that are no peers */
  readonly maximumUnfinishedBytes: number;
  readonly counters: MutableCounters;
  readonly refusals: RefusalLog;
}

/** Connections that are being closed still count as open until they are; the system itself drops what is beyond. */
const CLOSING_CONNECTIONS = 64;
const handshakeTimeoutMs = 5000;

/**
 * Accepts connections and, with TLS, lets only those through whose certificate our authority signed. It stands in
 * front of the gRPC server, which would drop a failed handshake without a word and takes any number of connections;
 * which of them may stay is the table's to say.
 */
export class ConnectionListener {
  /** by `host:port` of the caller, as gRPC names it with each stream */
  readonly connections: ConnectionTable;
  private readonly server: Server;

  constructor(
    private readonly options: ConnectionListenerOptions,
    private readonly onConnection: (socket: Socket) => void,
  ) {
    const { clock, maximumUnfinishedBytes } = options;
    const onRefused = (peer: string, reason: string): void => this.refuse(peer, reason);
    this.connections = new ConnectionTable({ clock, maximumUnfinishedBytes, onRefused });
    this.server = this.createServer();
    this.server.maxConnections = MAXIMUM_CONNECTIONS + CLOSING_CONNECTIONS;
    const failed = (error: unknown): void => this.refuse('a caller', `it could not be served: ${errorMessage(error)}`);
    this.server.prependListener(
      'connection',
      guarded((socket: Socket) => this.watch(socket), failed),
    );
    this.server.on(
      'drop',
      guarded(
        (address) => this.refuse(`${address?.remoteAddress}:${address?.remotePort}`, 'too many come at once'),
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
        this.server.removeAllListeners('error');
        this.hearAcceptErrors();
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
      this.connections.stop();
    });
  }

  private createServer(): Server {
    const { tls } = this.options;
    if (!tls) {
      const serve = (socket: Socket): void => {
        if (!socket.destroyed) this.onConnection(socket);
      };
      const failed = (error: unknown): void =>
        this.refuse('a caller', `it could not be served: ${errorMessage(error)}`);
      return createTcpServer({ noDelay: true }, guarded(serve, failed));
    }
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
    this.connections.replace(nameOf(socket), socket);
    this.forgetWhenClosed(socket);
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

  /** A connection cannot be accepted, for want of files, say. An error that nobody hears would end the process. */
  private hearAcceptErrors(): void {
    const failed = (error: unknown): void => this.refuse('a caller', errorMessage(error));
    this.server.on(
      'error',
      guarded((error: Error) => {
        this.connections.makeRoom();
        failed(error);
      }, failed),
    );
  }

  private watch(socket: Socket): void {
    if (this.connections.add(nameOf(socket), socket)) this.forgetWhenClosed(socket);
  }

  /** A connection that breaks is met where its streams end. */
  private forgetWhenClosed(socket: Socket): void {
    const name = nameOf(socket); // a closed one has none
    socket.on('error', () => undefined);
    socket.once(
      'close',
      guarded(
        () => this.connections.remove(name, socket),
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
