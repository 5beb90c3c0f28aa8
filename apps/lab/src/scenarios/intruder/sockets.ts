import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { guarded } from '@concordat/foundation';

/** What an intruder shows in a handshake; undefined: he speaks plain text. */
export type Shown = ConnectionOptions | undefined;

const TIMEOUT_MS = 2_000;

/**
 * Connects, says something, and returns what was answered before the other end closed the connection, or for a short
 * time when it does not.
 */
export function say(port: number, shown: Shown, bytes: Buffer): Promise<{ answer: Buffer; isClosed: boolean }> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    // the server's certificate does not matter: the intruder wants in
    const socket: Socket = shown
      ? connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false, ...shown })
      : connectPlain({ host: '127.0.0.1', port });
    const end = (isClosed: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ answer: Buffer.concat(chunks), isClosed });
    };
    const timer = setTimeout(
      guarded(() => end(false), reject),
      TIMEOUT_MS,
    );
    socket.on(
      'data',
      guarded((chunk: Buffer) => void chunks.push(chunk), reject),
    );
    socket.once(
      'error',
      guarded(() => end(true), reject),
    );
    socket.once(
      'close',
      guarded(() => end(true), reject),
    );
    socket.once(
      shown ? 'secureConnect' : 'connect',
      guarded(() => void socket.write(bytes), reject),
    );
  });
}
