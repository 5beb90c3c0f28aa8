import { Http2ServerRequest, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { TLSSocket } from 'node:tls';

/** What a line of a header has beside name and value: a colon, a space, and the end of the line. */
const BYTES_PER_FIELD = 4;
const PSEUDO = ':';

/** What a session counts of its requests. */
export interface RequestMeter {
  /** bytes of frames that carry a body, as far as the server has taken them */
  onBody(bytes: number): void;
}

/** The request was given up by its client, or with its connection, before it had come whole. */
class AbortedRequestError extends Error {
  readonly code = 'ECONNRESET';

  constructor() {
    super('aborted');
  }
}

/**
 * A request of HTTP/2, as the code above knows requests of HTTP/1.1: the same headers, the same connection, and a body
 * that ends only when it has come whole.
 *
 * - `headers` and `rawHeaders` have no pseudo-headers; `host` is `:authority`. A body whose length is not told has
 *   `transfer-encoding`, as without HTTP/2.
 * - `socket` is the connection itself, which all requests of a session share; nobody may read or write it. Node.js would
 *   give a stand-in that is another one for each request.
 * - `complete` is true when the client has ended its request.
 * - A request that is given up halfway ends with an error. Node.js would end its body as if it were whole.
 */
export class Http2Request extends Http2ServerRequest {
  /** of the body, as far as the server has taken it */
  receivedBytes = 0;
  /** of all headers, as HTTP/1.1 would write them */
  readonly headerBytes: number;
  readonly hasBody: boolean;
  private hasEnded = false;
  private readonly meter: RequestMeter;

  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    rawHeaders: readonly string[],
    connection: { readonly socket: TLSSocket; readonly meter: RequestMeter },
  ) {
    super(stream, headers, { emitClose: false }, rawHeaders); // "close" comes from the stream
    this.on('error', () => undefined); // without a listener an aborted request would end the process
    const own = withoutPseudo(rawHeaders);
    this.hasBody = !stream.endAfterHeaders;
    this.meter = connection.meter;
    this.headerBytes = sizeOf(own) + (headers[':method']?.length ?? 0) + (headers[':path']?.length ?? 0);
    const { ':authority': authority } = headers;
    if (headers.host === undefined && authority !== undefined) own.unshift('host', authority);
    Object.defineProperties(this, {
      headers: { value: this.headersAsBefore(headers), enumerable: true },
      rawHeaders: { value: own, enumerable: true },
      socket: { value: connection.socket },
      connection: { value: connection.socket },
    });
  }

  /** Called by Node.js with what the stream has, and with null at its end, whyever it ends. */
  override push(chunk: Buffer | null): boolean {
    if (chunk !== null) {
      this.receivedBytes += chunk.length;
      this.meter.onBody(chunk.length);
      return super.push(chunk);
    }
    const { stream } = this;
    if (this.hasEnded || (!stream.closed && !stream.destroyed && !this.aborted)) {
      this.hasEnded = true;
      return super.push(null);
    }
    this.destroy(new AbortedRequestError());
    return false;
  }

  /** Also when the server has not taken its body, and will not. */
  get isWhole(): boolean {
    const { stream } = this;
    return this.hasEnded || !this.hasBody || (!stream.destroyed && stream.state.remoteClose === 1);
  }

  private headersAsBefore(headers: IncomingHttpHeaders): IncomingHttpHeaders {
    const kept: IncomingHttpHeaders = {};
    for (const [name, value] of Object.entries(headers)) if (!name.startsWith(PSEUDO)) kept[name] = value;
    const { ':authority': authority } = headers;
    if (authority !== undefined) kept.host ??= authority;
    if (this.hasBody && kept['content-length'] === undefined) kept['transfer-encoding'] = 'chunked';
    return kept;
  }
}

Object.defineProperty(Http2Request.prototype, 'complete', {
  get(this: Http2Request): boolean {
    return this.isWhole;
  },
});

function withoutPseudo(rawHeaders: readonly string[]): string[] {
  const kept: string[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    if (!rawHeaders[index]!.startsWith(PSEUDO)) kept.push(rawHeaders[index]!, rawHeaders[index + 1]!);
  }
  return kept;
}

function sizeOf(rawHeaders: readonly string[]): number {
  let bytes = (rawHeaders.length / 2) * BYTES_PER_FIELD;
  for (const text of rawHeaders) bytes += text.length;
  return bytes;
}
