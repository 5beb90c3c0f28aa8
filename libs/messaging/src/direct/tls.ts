import { isIP, type Socket } from 'node:net';
import { connect, createServer, type Server, type TLSSocket } from 'node:tls';
import {
  acceptPlainToo,
  coordinatorFault,
  errorMessage,
  filesOf,
  guarded,
  latestFilesOf,
  towardsCoordinator,
  WITHOUT_RESUMPTION,
  type Address,
  type TlsFiles,
  type TlsOption,
} from '@concordat/foundation';

import type { StreamEnding } from './stream.js';

const HANDSHAKE_TIMEOUT_MS = 5_000;
const MINIMUM_TLS = 'TLSv1.2';

/** Who has opened a stream, as its certificate says. */
export interface StreamIdentity {
  /** whether the stream is encrypted; then the other end is told https addresses */
  readonly isSecure: boolean;
  /** the participants it may speak for; undefined: any, as in plain text */
  readonly participants?: readonly string[];
  /** why its certificate counts no longer, as a clause; undefined: it does */
  readonly fault?: () => string | undefined;
}

/** TLS of the listening end. */
export interface LinkServerTls {
  /** the certificates that are in force */
  readonly files: () => TlsFiles;
  /** calls back when there are others */
  readonly onChange: (listener: () => void) => void;
  /** whether connections in plain text are taken, too */
  readonly acceptsPlain: boolean;
  /** who has connected, or why it is refused, as a clause */
  readonly identify: (socket: TLSSocket) => StreamIdentity | string;
  readonly onRefused: (address: string, reason: string) => void;
}

/** A server that takes only those with a right certificate. */
export function createLinkServer(
  tls: LinkServerTls,
  accept: (socket: Socket, identity: StreamIdentity) => void,
  onError: (error: unknown) => void,
): Server {
  const context = () => ({ ...tls.files(), ...WITHOUT_RESUMPTION, minVersion: MINIMUM_TLS }) as const;
  const server = createServer(
    {
      ...context(),
      requestCert: true,
      rejectUnauthorized: false, // `identify` refuses with a log line
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    },
    guarded((socket: TLSSocket) => {
      const identity = tls.identify(socket);
      if (typeof identity !== 'string') return accept(socket, identity);
      socket.on('error', () => undefined);
      tls.onRefused(socket.remoteAddress ?? 'a caller that has gone', identity);
      socket.destroy();
    }, onError),
  );
  server.on(
    'tlsClientError',
    guarded((error: Error, socket: TLSSocket) => {
      const [line = ''] = errorMessage(error).split('\n');
      tls.onRefused(socket.remoteAddress ?? 'a caller that has gone', `no TLS: ${line}`);
      socket.destroy();
    }, onError),
  );
  tls.onChange(() => server.setSecureContext(context()));
  if (tls.acceptsPlain) acceptPlainToo(server, (socket) => accept(socket, { isSecure: false }), onError);
  return server;
}

/** The certificates of a participant, and the cluster whose coordinators it believes. */
export interface LinkTls {
  readonly tls: TlsOption;
  readonly cluster: string;
}

/** Begins a TLS connection to the direct address of a coordinator; it is usable after `secureConnect`. */
export function connectSecurely({ tls, cluster }: LinkTls, { host, port }: Address, nodeId: number): SecureLink {
  const servername = isIP(host) === 0 ? { servername: host } : {};
  const opened = filesOf(tls);
  const socket = connect({ ...towardsCoordinator(opened, cluster, nodeId), ...servername, host, port });
  return {
    socket,
    ending: () => {
      const files = latestFilesOf(tls, opened);
      const fault = coordinatorFault(files, socket);
      if (fault !== undefined) return { reason: `the certificate of the coordinator ${fault}`, isGentle: false };
      return files.cert.toString() === opened.cert.toString() ? undefined : { reason: RENEWED, isGentle: true };
    },
  };
}

export interface SecureLink {
  readonly socket: TLSSocket;
  /** whether a stream over it must end by now */
  readonly ending: () => StreamEnding | undefined;
}

/** Why a stream ends that has to begin anew, with the certificate that its end has by now. */
export const RENEWED = 'this service has a new certificate';
