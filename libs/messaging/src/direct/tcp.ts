import { createServer, connect, type Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import {
  codedError,
  coordinatorFetch,
  errorMessage,
  formatAddress,
  guarded,
  parseAddress,
  type Address,
} from '@concordat/foundation';
import { z } from 'zod';
import type { Dial } from './participant-end.js';
import type { AttachSocket, StreamSocket } from './stream.js';
import { connectSecurely, createLinkServer, type LinkServerTls, type LinkTls, type StreamIdentity } from './tls.js';

const CONNECT_TIMEOUT_MS = 3_000;

/** The relevant part of the answer to `GET /v1/cluster`: the address for direct streams; null: none. */
const clusterAnswer = z.object({ nodeId: z.int(), directAddress: z.string().nullable() });

/** The port for direct streams is not available. */
export class LinkBindError extends codedError('LINK_PORT_UNAVAILABLE') {}

/** A stream socket over TCP. Bytes of one turn should be written in one call. */
export function attachTcp(socket: Socket, ending?: StreamSocket['ending']): AttachSocket {
  return (events) => {
    let failure: Error | undefined;
    const fail = (error: unknown): void => {
      failure ??= error instanceof Error ? error : new Error(errorMessage(error));
      socket.destroy();
    };
    socket.setNoDelay(true);
    socket.on(
      'data',
      guarded((chunk: Buffer) => events.onBytes(chunk), fail),
    );
    socket.on(
      'drain',
      guarded(() => events.onDrained(), fail),
    );
    socket.on(
      'error',
      guarded((error: Error) => void (failure ??= error), fail),
    );
    socket.on(
      'close',
      guarded(
        () => events.onClosed(failure),
        () => undefined,
      ),
    );
    return {
      write: (bytes) => void socket.write(bytes),
      get bufferedBytes() {
        return socket.writableLength;
      },
      pause: () => void socket.pause(),
      resume: () => void socket.resume(),
      destroy: () => void socket.destroy(),
      end: () => socket.destroySoon(),
      ending,
    };
  };
}

/** Listens for participants. */
export class LinkServer {
  private readonly server: Server;

  constructor(
    private readonly address: Address,
    accept: (attach: AttachSocket, identity: StreamIdentity) => void,
    private readonly onError: (error: unknown) => void,
    maximumConnections = Infinity,
    /** default: plain text */
    tls?: LinkServerTls,
  ) {
    const attach = (socket: Socket, identity: StreamIdentity): void => accept(attachTcp(socket), identity);
    this.server = tls
      ? createLinkServer(tls, attach, onError)
      : createServer(guarded((socket: Socket) => attach(socket, { isSecure: false }), onError));
    this.server.maxConnections = maximumConnections;
  }

  /**
   * The address it listens on; for port 0 the system has chosen one.
   *
   * @throws LinkBindError
   */
  async start(): Promise<Address> {
    const { host, port } = this.address;
    await new Promise<void>((resolve, reject) => {
      const fail = (cause: Error): void => {
        const text = formatAddress(this.address);
        reject(new LinkBindError(`direct streams cannot be accepted on ${text}: ${cause.message}`, { cause }));
      };
      this.server.once('error', guarded(fail, reject));
      this.server.listen({ host, port }, resolve);
    });
    this.server.on(
      'error',
      guarded(this.onError, () => undefined),
    );
    const bound = this.server.address();
    return typeof bound === 'object' && bound ? { host, port: bound.port } : this.address;
  }

  /** Accepts no new streams; their bus closes the open ones. */
  stop(): void {
    this.server.close();
  }
}

/** A token for the coordinators' REST interface, or where to get one for each request. */
export type LinkToken = string | (() => string | Promise<string>);

/** Asks the coordinator at a URL for its direct address, and connects there. */
export const dialOverTcp: Dial = (url, isConnected) => dial(url, isConnected, undefined);

/**
 * The same with a token, for coordinators that ask who calls, and over TLS.
 *
 * @param secure then both connections are encrypted, and the coordinators must be nodes of that cluster
 */
export function dialerOverTcp(token: LinkToken | undefined, secure?: LinkTls): Dial {
  return (url, isConnected) => dial(url, isConnected, token, secure);
}

async function dial(
  url: string,
  isConnected: Parameters<Dial>[1],
  token: LinkToken | undefined,
  secure?: LinkTls,
): Promise<AttachSocket | undefined> {
  if (secure && !url.startsWith('https:')) {
    throw new Error(`${url} is not https, and this service has certificates; give the coordinators as https://…`);
  }
  const { nodeId, directAddress: address } = await askForAddress(url, token, secure);
  if (isConnected(nodeId)) return undefined;
  if (address === null) throw new Error('it takes no direct streams; set CONCORDAT_LINK=direct or both there');
  const parsed = parseAddress(address);
  if (!parsed) throw new Error(`it names "${address}" as its address for direct streams, which is not host:port`);
  const host = isEveryAddress(parsed.host) ? new URL(url).hostname.replace(/^\[|\]$/g, '') : parsed.host;
  const target = { host, port: parsed.port };
  if (!secure) return connectTcp(target);
  const { socket, ending } = connectSecurely(secure, target, nodeId);
  return connected(socket, target, ending);
}

async function askForAddress(
  url: string,
  token: LinkToken | undefined,
  secure: LinkTls | undefined,
): Promise<z.infer<typeof clusterAnswer>> {
  const ask = secure ? coordinatorFetch(secure.tls, secure.cluster) : fetch;
  const bearer = typeof token === 'function' ? await token() : token;
  let response: Response;
  try {
    response = await ask(new URL('/v1/cluster', url), {
      // a token is for the coordinators only, not for whom they might name
      ...(bearer !== undefined && { headers: { authorization: `Bearer ${bearer}` }, redirect: 'error' }),
      signal: AbortSignal.timeout(CONNECT_TIMEOUT_MS),
    });
  } catch (error) {
    const { cause } = error as { cause?: unknown };
    throw new Error(errorMessage(cause ?? error), { cause: error });
  }
  const answer = clusterAnswer.safeParse(await response.json().catch(() => undefined));
  if (response.ok && answer.success) return answer.data;
  if (response.status === 401 || response.status === 403) {
    const what = bearer === undefined ? 'needs a token (option "token")' : 'does not take the token (option "token")';
    throw new Error(`${url} ${what}; GET /v1/cluster answers with status ${response.status}`);
  }
  throw new Error(`GET ${url}/v1/cluster answers with status ${response.status}; is it a coordinator of this release?`);
}

/** Connects to a coordinator's direct address. */
export function connectTcp({ host, port }: Address): Promise<AttachSocket> {
  return connected(connect({ host, port, noDelay: true }), { host, port });
}

function connected(socket: Socket, address: Address, ending?: StreamSocket['ending']): Promise<AttachSocket> {
  return new Promise((resolve, reject) => {
    const guardedFail = guarded((error: Error) => {
      socket.destroy();
      reject(error);
    }, reject);
    socket.setTimeout(
      CONNECT_TIMEOUT_MS,
      guarded(() => guardedFail(new Error(`${formatAddress(address)} does not answer`)), reject),
    );
    socket.once('error', guardedFail);
    socket.once(
      socket instanceof TLSSocket ? 'secureConnect' : 'connect',
      guarded(() => {
        socket.setTimeout(0);
        socket.off('error', guardedFail);
        socket.pause(); // until the stream exists
        resolve((events) => {
          const attached = attachTcp(socket, ending)(events);
          socket.resume();
          return attached;
        });
      }, reject),
    );
  });
}

function isEveryAddress(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}
