import { Agent as HttpsAgent, type RequestOptions } from 'node:https';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect, TLSSocket, type ConnectionOptions } from 'node:tls';
import { CodedError, errorMessage, formatAddress, guarded } from '@concordat/foundation';

/** The leader's certificate is not taken, or ours by the leader: nothing was sent. */
export class LeaderHandshakeError extends CodedError {
  readonly code = 'TLS_HANDSHAKE_FAILED';
  readonly retryable = true;
}

/** How an agent hears of a connection that it has asked for. */
type Connected = (error: Error | null, socket: Duplex) => void;

export interface LeaderAgentOptions {
  /** of each connection, when it is opened */
  readonly tls: () => ConnectionOptions;
  /** whether what the leader has shown counts still */
  readonly isTrusted: (leader: TLSSocket) => boolean;
  readonly connectTimeoutMs: number;
  /** a connection without a request is closed after it */
  readonly keepAliveMs: number;
  readonly maximumConnections: number;
}

/**
 * The connections over TLS to the leader, which are kept for further requests. A node that shows a new certificate, or
 * trusts others than before, must begin anew: `renew`. What runs ends over the connection it has.
 */
export class LeaderAgent extends HttpsAgent {
  /** those that may be used again */
  private usable = new Set<Duplex>();

  constructor(private readonly settings: LeaderAgentOptions) {
    const { maximumConnections: maxSockets, keepAliveMs: timeout } = settings;
    super({ keepAlive: true, maxSockets, maxFreeSockets: maxSockets, timeout });
  }

  /** No session is resumed, which would show no certificate. */
  override createConnection({ host, port }: RequestOptions, connected: Connected = () => undefined): null {
    const { usable } = this;
    const failed = (error: Error): void => (connected as (error: Error) => void)(error);
    const open = async (): Promise<void> => {
      const { tls, connectTimeoutMs } = this.settings;
      const address = { host: (host ?? '').replace(/^\[|\]$/g, ''), port: Number(port || 443) };
      const socket = await connectToLeader(address, tls(), connectTimeoutMs);
      usable.add(socket); // not of a later set: it shows what was in force when it was opened
      const gone = (): void => void usable.delete(socket);
      socket.once('close', guarded(gone, gone));
      connected(null, socket);
    };
    open().catch(failed);
    return null;
  }

  override keepSocketAlive(socket: Duplex): boolean {
    super.keepSocketAlive(socket);
    return this.usable.has(socket) && this.counts(socket);
  }

  renew(): void {
    this.usable = new Set(); // those in use are closed after their answer
    for (const socket of Object.values(this.freeSockets).flat()) socket?.destroy();
  }

  /** Begins anew when what the leader has shown counts no longer. */
  review(): void {
    if (![...this.usable].every((socket) => this.counts(socket))) this.renew();
  }

  private counts(socket: Duplex): boolean {
    return socket instanceof TLSSocket && this.settings.isTrusted(socket);
  }
}

interface LeaderAddress {
  readonly host: string;
  readonly port: number;
}

/** Rejects with the error of the connection, a LeaderHandshakeError when that stands, or `CONNECT_TIMED_OUT`. */
function connectToLeader(address: LeaderAddress, tls: ConnectionOptions, timeoutMs: number): Promise<TLSSocket> {
  const servername = isIP(address.host) === 0 ? { servername: address.host } : {};
  const socket = connect({ ...tls, ...address, ...servername, ALPNProtocols: ['http/1.1'] });
  socket.setNoDelay(true);
  return new Promise((resolve, reject) => {
    let isOpen = false;
    const fail = (error: unknown): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(isOpen ? handshakeError(address, error) : asError(error));
    };
    const timer = setTimeout(
      guarded(() => {
        const error = new Error(`${formatAddress(address)} does not answer`);
        fail(isOpen ? error : Object.assign(error, { code: 'CONNECT_TIMED_OUT' }));
      }, fail),
      timeoutMs,
    );
    socket.once(
      'connect',
      guarded(() => (isOpen = true), fail),
    );
    socket.on('error', guarded(fail, fail));
    socket.once(
      'close',
      guarded(() => fail(new Error('the connection was closed during the handshake')), fail),
    );
    socket.once(
      'secureConnect',
      guarded(() => {
        clearTimeout(timer);
        resolve(socket);
      }, fail),
    );
  });
}

function handshakeError(address: LeaderAddress, cause: unknown): LeaderHandshakeError {
  return new LeaderHandshakeError(`no TLS with ${formatAddress(address)}: ${errorMessage(cause)}`, { cause });
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(errorMessage(error));
}
