import { request as requestPlain, type Agent, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import { request as requestTls } from 'node:https';
import { TLSSocket, type ConnectionOptions } from 'node:tls';
import { guarded } from '@concordat/foundation';
import { handshakeError } from './leader-connections.js';

export interface AbortableRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Buffer | undefined;
  /** of the scheme of the URL */
  readonly agent: Agent;
  /** for https: the certificates of this end, and how the other one's is judged */
  readonly tls?: ConnectionOptions;
  /** closes the connection, also while the answer is awaited */
  readonly signal: AbortSignal;
}

export interface WholeAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/**
 * An HTTP request whose connection closes when it is aborted, which tells the server that nobody waits any longer.
 *
 * @throws what `node:http` throws, with its codes; `ABORT_ERR` when it was aborted; LeaderHandshakeError when TLS fails
 *   before anything is sent
 */
export function requestUnlessAborted({ url, body, tls, ...options }: AbortableRequest): Promise<WholeAnswer> {
  return new Promise((resolve, reject) => {
    const target = new URL(url);
    const isTls = target.protocol === 'https:';
    const sent = isTls ? requestTls(target, { ...tls, ...options }) : requestPlain(target, options);
    let mayBeSent = !isTls;
    const failed = (error: unknown): void => {
      const isOurs = !mayBeSent && !options.signal.aborted && !isOfConnect(error);
      reject(isOurs ? handshakeError(addressOf(target), error) : (error as Error));
    };
    sent.on(
      'socket',
      guarded((socket) => {
        if (!(socket instanceof TLSSocket) || !socket.connecting)
          mayBeSent = true; // one that was used before
        else
          socket.once(
            'secureConnect',
            guarded(() => (mayBeSent = true), reject),
          );
      }, reject),
    );
    sent.on(
      'response',
      guarded(async (response) => {
        const chunks: Buffer[] = [];
        for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
        const text = Buffer.concat(chunks).toString('utf8');
        resolve({ status: response.statusCode ?? 502, headers: response.headers, text });
      }, reject),
    );
    sent.on('error', guarded(failed, reject));
    sent.end(body);
  });
}

/** The connection was never open; its code says so. */
function isOfConnect(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && ['connect', 'getaddrinfo'].includes(String(error.syscall));
}

function addressOf({ hostname, port }: URL): { host: string; port: number } {
  return { host: hostname, port: Number(port || 443) };
}
