import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { CodedError, errorMessage, formatAddress, guarded } from '@concordat/foundation';

/** The leader's certificate is not taken, or ours by the leader: nothing was sent. */
export class LeaderHandshakeError extends CodedError {
  readonly code = 'TLS_HANDSHAKE_FAILED';
  readonly retryable = true;
}

/** What undici wants to know where, and how it hears of the result. */
export interface ConnectorTarget {
  readonly hostname: string;
  readonly port: string;
  readonly protocol: string;
}
export type Connected = (...result: [error: null, socket: Socket] | [error: Error, socket: null]) => void;

/**
 * Opens the connections to the leader of a pool, with the certificates that are in force at that moment.
 *
 * @param tls asked for each connection
 */
export function leaderConnector(tls: () => ConnectionOptions, timeoutMs: number) {
  return ({ hostname, port, protocol }: ConnectorTarget, connected: Connected): Socket => {
    const host = hostname.replace(/^\[|\]$/g, '');
    const isTls = protocol === 'https:';
    const address = { host, port: Number(port || (isTls ? 443 : 80)), noDelay: true, keepAlive: true };
    const socket = isTls
      ? connectTls({ ...tls(), ...address, ...(isIP(host) === 0 && { servername: host }), ALPNProtocols: ['http/1.1'] })
      : connectPlain(address);
    let isOpen = false;
    const fail = (error: unknown): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      socket.destroy();
      connected(isOpen && isTls ? handshakeError(address, error) : asError(error), null);
    };
    let settled = false;
    const timer = setTimeout(
      guarded(() => {
        const text = `${formatAddress(address)} does not answer`;
        fail(isOpen && isTls ? new Error(text) : Object.assign(new Error(text), { code: 'UND_ERR_CONNECT_TIMEOUT' }));
      }, fail),
      timeoutMs,
    );
    socket.once(
      'connect',
      guarded(() => (isOpen = true), fail),
    );
    socket.on('error', guarded(fail, fail)); // before it is open: afterwards the pool listens, too
    socket.once(
      'close',
      guarded(() => fail(new Error('the connection was closed during the handshake')), fail),
    );
    socket.once(
      isTls ? 'secureConnect' : 'connect',
      guarded(() => {
        settled = true;
        clearTimeout(timer);
        connected(null, socket);
      }, fail),
    );
    return socket;
  };
}

/** For requests that may be aborted; its pool is not that of the others. */
export function leaderAgent(isTls: boolean, maxSockets: number): HttpAgent {
  return isTls ? new HttpsAgent({ keepAlive: true, maxSockets }) : new HttpAgent({ keepAlive: true, maxSockets });
}

export function handshakeError(address: { host: string; port: number }, cause: unknown): LeaderHandshakeError {
  return new LeaderHandshakeError(`no TLS with ${formatAddress(address)}: ${errorMessage(cause)}`, { cause });
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(errorMessage(error));
}
