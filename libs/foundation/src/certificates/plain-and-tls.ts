import type { Socket } from 'node:net';
import type { Server } from 'node:tls';
import { guarded } from '../guarded.js';

/** The first byte of a TLS connection: a record of the type "handshake" (RFC 8446, section 5.1). */
const TLS_HANDSHAKE = 0x16;
/** A connection that says nothing for this long is closed. */
const FIRST_BYTE_TIMEOUT_MS = 10_000;

/**
 * Lets a TLS server also take connections in plain text, for the time of a migration: the first byte tells them apart.
 *
 * @param onPlain gets them unread, without an `error` listener
 */
export function acceptPlainToo(
  server: Server,
  onPlain: (socket: Socket) => void,
  onError: (error: unknown) => void,
): void {
  const serveTls = server.listeners('connection') as ((socket: Socket) => void)[];
  server.removeAllListeners('connection');
  const accept = (socket: Socket): void => {
    const guardedEnd = guarded(() => void socket.destroy(), onError);
    socket.setTimeout(FIRST_BYTE_TIMEOUT_MS, guardedEnd);
    socket.on('error', guardedEnd);
    socket.once('end', guardedEnd);
    const look = (): void => {
      const first = socket.read(1) as Buffer | null;
      if (first === null) return void socket.once('readable', guarded(look, onError));
      socket.unshift(first);
      socket.setTimeout(0);
      socket.off('timeout', guardedEnd);
      socket.off('end', guardedEnd);
      socket.off('error', guardedEnd);
      if (first[0] !== TLS_HANDSHAKE) return onPlain(socket);
      for (const serve of serveTls) serve.call(server, socket);
    };
    look();
  };
  server.on('connection', guarded(accept, onError));
}
