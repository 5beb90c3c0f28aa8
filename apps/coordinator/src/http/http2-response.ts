import { constants, Http2ServerResponse, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { guarded } from '@concordat/foundation';
import { setAnswerHeaders } from './answer-headers.js';
import type { Http2Request } from './http2-request.js';

/** Of one connection of HTTP/1.1 (RFC 9113, section 8.2.2): a message of HTTP/2 with one of them is malformed. */
const CONNECTION_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

type Written = (error: Error) => void;

/** What a session counts of its answers. */
export interface ResponseMeter {
  /** once for each piece of an answer: its client may send a frame or two when it has read it */
  onPiece(): void;
}

/**
 * An answer over HTTP/2, as the code above knows answers of HTTP/1.1. Headers of the connection are left out: where
 * HTTP/1.1 would close the connection because a body is not read, here the stream ends (RFC 9113, section 8.1), and
 * other requests of the session go on.
 */
export class Http2Response extends Http2ServerResponse<Http2Request> {
  private writtenBytes = 0;
  private lengthBytes: number | undefined;

  constructor(
    stream: ServerHttp2Stream,
    private readonly request: Http2Request,
    private readonly meter: ResponseMeter,
  ) {
    super(stream);
    setAnswerHeaders(this);
    const endStream = (): void => {
      if (!request.complete && !stream.destroyed) stream.close(constants.NGHTTP2_NO_ERROR);
    };
    const fail = (): void => void stream.destroy();
    // after the end of the answer has been written
    stream.once(
      'finish',
      guarded(() => setImmediate(guarded(endStream, fail)), fail),
    );
  }

  /** Of the answer, as far as the session has taken them. */
  get takenBytes(): number {
    return this.writtenBytes - this.stream.writableLength;
  }

  /** Of an answer whose length is known, or that has been written to its end: what the client has not taken yet. */
  get unreadBytes(): number {
    if (!this.headersSent || this.stream.writableFinished) return 0;
    if (this.lengthBytes !== undefined) return Math.max(0, this.lengthBytes - this.takenBytes);
    return this.writableEnded ? this.stream.writableLength : 0;
  }

  override setHeader(name: string, value: number | string | readonly string[]): void {
    if (!CONNECTION_HEADERS.has(name.toLowerCase())) super.setHeader(name, value);
  }

  override writeHead(status: number, headers?: OutgoingHttpHeaders): this;
  override writeHead(status: number, message: string, headers?: OutgoingHttpHeaders): this;
  override writeHead(status: number, first?: string | OutgoingHttpHeaders, second?: OutgoingHttpHeaders): this {
    const given = typeof first === 'string' ? second : first; // HTTP/2 has no message
    const headers = given && withoutConnection(given);
    const length = headers?.['content-length'] ?? this.getHeaders()['content-length'];
    if (length !== undefined && this.request.method !== 'HEAD') this.lengthBytes = Number(length);
    return super.writeHead(status, headers);
  }

  override write(chunk: string | Uint8Array, callback?: Written): boolean;
  override write(chunk: string | Uint8Array, encoding: BufferEncoding, callback?: Written): boolean;
  override write(chunk: string | Uint8Array, encoding?: BufferEncoding | Written, callback?: Written): boolean {
    this.writtenBytes += Buffer.byteLength(chunk);
    this.meter.onPiece();
    return super.write(chunk, encoding as BufferEncoding, callback);
  }
}

// their types are those of properties, which accessors cannot override
Object.defineProperties(Http2Response.prototype, {
  destroyed: {
    get(this: Http2Response): boolean {
      return this.stream.destroyed;
    },
  },
  // Node.js also ends the stream when its client gives the request up
  writableFinished: {
    get(this: Http2Response): boolean {
      return this.writableEnded && this.stream.writableFinished;
    },
  },
});

function withoutConnection(headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  const kept: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers)) {
    if (!CONNECTION_HEADERS.has(name.toLowerCase())) kept[name] = value;
  }
  return kept;
}
