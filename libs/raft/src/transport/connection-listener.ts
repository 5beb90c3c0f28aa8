import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, Server as TlsServer, type TLSSocket } from 'node:tls';
import { acceptPlainToo, errorMessage, guarded, invariant, ShownCertificate, type Clock } from '@concordat/foundation';
import { ConnectionTable, MAXIMUM_CONNECTIONS } from './connection-table.js';
import {
  TransportBindError,
  type MutableCounters,
  type TransportTls,
  type TransportTlsMode,
} from './grpc-transport.types.js';
import { contextOptions } from './node-certificate.js';
import { splitAddress } from './peer-address.js';
import type { RefusalLog } from './refusal-log.js';

export interface ConnectionListenerOptions {
  readonly listenAddress: string;
  readonly tls: TransportTls | undefined;
  readonly tlsMode: TransportTlsMode;
  readonly clock: Pick<Clock, 'monotonic' | 'setTimer'>;
  /** bytes of incomplete frames, of all nodes together that are no peers */
  readonly maximumUnfinishedBytes: number;
  readonly counters: MutableCounters;
  readonly refusals: RefusalLog;
}

/** Closing connections still count as open; the system itself drops those beyond. */
const CLOSING_CONNECTIONS = 64;
const handshakeTimeoutMs = 5000;

/**
 * Accepts connections and, with TLS, only those with a certificate signed by our authority; beside them those in plain
 * text, as long as TLS is not required. Runs before the gRPC
 * server, which would drop a failed handshake silently and accepts any number of connections. The table decides which
 * may stay.
 */
export class ConnectionListener {
  /** by the caller's `host:port`, as gRPC names it with each stream */
  readonly connections: ConnectionTable;
  private readonly server: Server;
  /** by the same name */
  private readonly shown = new Map<string, ShownCertificate>();

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
   * @returns the port
   * @throws TransportBindError
   */
  start(): Promise<number> {
    const { listenAddress } = this.options;
    const address = splitAddress(listenAddress);
    const failed = (reason: string, cause?: unknown): TransportBindError =>
      new TransportBindError(`cannot listen for other nodes on ${listenAddress}: ${reason}`, { cause });
    if (!address) return Promise.reject(failed('this is not host:port'));
    return new Promise((resolve, reject) => {
      this.server.once(
        'error',
        guarded((error: Error) => reject(failed(error.message, error)), reject),
      );
      const stand = (): void => {
        this.server.removeAllListeners('error');
        this.handleAcceptErrors();
        const bound = this.server.address();
        resolve(typeof bound === 'object' && bound ? bound.port : 0);
      };
      this.server.listen(address.port, address.host, guarded(stand, reject));
    });
  }

  /** For connections from now on. */
  setTls(tls: TransportTls): void {
    invariant(this.server instanceof TlsServer, 'a listener for plain text has no certificates');
    this.server.setSecureContext(contextOptions(tls));
  }

  /** What a caller has shown; undefined in plain text, and when its connection is closed. */
  certificateOf(name: string): ShownCertificate | undefined {
    return this.shown.get(name);
  }

  /** Resolves when the port is free again and every connection is closed. */
  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.server.close(() => resolve()); // it fails if it never listened, which is as good
      this.connections.stop();
    });
  }

  private createServer(): Server {
    const { tls, tlsMode } = this.options;
    const serve = (socket: Socket): void => {
      if (!socket.destroyed) this.onConnection(socket);
    };
    const failed = (error: unknown): void => this.refuse('a caller', `it could not be served: ${errorMessage(error)}`);
    if (!tls) return createTcpServer({ noDelay: true }, guarded(serve, failed));
    const server = createTlsServer(
      {
        ...contextOptions(tls),
        ALPNProtocols: ['h2'],
        requestCert: true,
        rejectUnauthorized: false, // `admit` refuses with a log line; Node.js itself ends them silently
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
    if (tlsMode !== 'require') acceptPlainToo(server, serve, failed);
    return server;
  }

  /** Admits callers with a certificate signed by our authority; each stream checks whose it is. */
  private admit(socket: TLSSocket): void {
    const name = nameOf(socket);
    this.connections.replace(name, socket);
    this.forgetWhenClosed(socket);
    const shown = ShownCertificate.ofClient(socket);
    if (socket.authorized && shown) {
      this.shown.set(name, shown);
      const forget = (): void => {
        if (this.shown.get(name) === shown) this.shown.delete(name);
      };
      socket.once('close', guarded(forget, forget));
      return this.onConnection(socket);
    }
    this.refuse(
      name,
      shown ? `the certificate is not trusted: ${String(socket.authorizationError)}` : 'there is no certificate',
    );
    socket.destroy();
  }

  /**
   * A connection cannot be accepted, for lack of files, say. An `error` event without a listener would end the process.
   */
  private handleAcceptErrors(): void {
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

  /** A broken connection is handled where its streams end. */
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

/** OpenSSL's messages may have several lines. */
function firstLine(message: string): string {
  return message.split('\n')[0] ?? '';
}
