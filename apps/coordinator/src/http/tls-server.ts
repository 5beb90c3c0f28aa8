import type { ServerOptions, Server } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import {
  acceptPlainToo,
  errorMessage,
  guarded,
  WITHOUT_RESUMPTION,
  type Logger,
  type WatchedCertificates,
} from '@concordat/foundation';
import { clientFault, MINIMUM_TLS, type NodeCertificates } from '../node-certificates.js';
import type { ServerTls } from '../tls-variables.js';
import type { Http2Sessions } from './http2-sessions.js';

const HANDSHAKE_TIMEOUT_MS = 5_000;
/** Refused connections are logged at most so often; all are counted. */
const LOG_EACH_MS = 1_000;

/** For `https.createServer`. Whether the certificate of a client is right is judged when a request comes. */
export function tlsServerOptions(certificates: WatchedCertificates, speaksHttp2: boolean): ServerOptions {
  const { ca } = certificates.current;
  return {
    ...contextOptions(certificates),
    requestCert: ca !== undefined,
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    ALPNProtocols: speaksHttp2 ? ['h2', 'http/1.1'] : ['http/1.1'],
  };
}

function contextOptions({ current: { ca, certificate, key } }: WatchedCertificates) {
  return {
    ...(ca !== undefined && { ca, ...WITHOUT_RESUMPTION }),
    cert: certificate,
    key,
    minVersion: MINIMUM_TLS,
  } as const;
}

export interface SecureServerOptions {
  readonly tls: ServerTls;
  readonly node: NodeCertificates;
  readonly logger: Logger;
  /** get the connections whose clients choose HTTP/2 */
  readonly http2: Http2Sessions | undefined;
}

/**
 * What TLS adds to an HTTP server: HTTP/2 beside HTTP/1.1, new certificates without a restart, plain text beside TLS
 * where the settings say so, the refusal of connections without a right certificate, and a log line for each kind of
 * failure.
 */
export function secureServer(server: Server, { tls, node, logger, http2 }: SecureServerOptions): void {
  const certificates = node.http!;
  let loggedAt = -Infinity;
  const refuse = (socket: Socket, address: string | undefined, reason: string): void => {
    node.countRefused('http');
    socket.destroy();
    if (performance.now() - loggedAt < LOG_EACH_MS) return;
    loggedAt = performance.now();
    logger.warn(`refused a connection from ${address ?? 'a caller that has gone'}: ${reason}`);
  };
  const failed = (error: unknown): void => logger.error('a connection could not be judged', error);
  certificates.onChange(() => server.setSecureContext(contextOptions(certificates)));
  server.on(
    'tlsClientError',
    guarded((error: Error, socket: TLSSocket) => {
      const [line = ''] = errorMessage(error).split('\n');
      refuse(socket, socket.remoteAddress, `no TLS: ${line}`);
    }, failed),
  );
  const admitted = new Set<TLSSocket>();
  if (tls.needsClientCertificate) {
    certificates.onReview(() => {
      for (const socket of admitted) {
        const reason = clientFault(socket, certificates);
        if (reason !== undefined) refuse(socket, socket.remoteAddress, reason);
      }
    });
  }
  const admit = (socket: TLSSocket): void => {
    if (!tls.needsClientCertificate) return;
    admitted.add(socket);
    socket.once(
      'close',
      guarded(() => void admitted.delete(socket), failed),
    );
  };
  // HTTP/1.1 itself
  const serve = server.listeners('secureConnection') as ((socket: Socket) => void)[];
  server.removeAllListeners('secureConnection');
  server.on(
    'secureConnection',
    guarded((socket: TLSSocket) => {
      const reason = tls.needsClientCertificate ? clientFault(socket, certificates) : undefined;
      if (reason !== undefined) return refuse(socket, socket.remoteAddress, reason);
      admit(socket);
      if (http2 && socket.alpnProtocol === 'h2') return http2.serve(socket);
      for (const listener of serve) listener.call(server, socket);
    }, failed),
  );
  if (tls.mode === 'require') return;
  acceptPlainToo(
    server,
    (socket) => {
      for (const listener of serve) listener.call(server, socket);
    },
    failed,
  );
}
