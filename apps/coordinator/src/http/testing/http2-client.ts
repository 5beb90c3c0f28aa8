import { once } from 'node:events';
import { connect, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2';
import type { ConnectionOptions } from 'node:tls';

export interface Http2Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Record<string, unknown>;
  readonly text: string;
}

export interface Http2Question {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: object | string | Buffer;
}

/** A session of HTTP/2 as a client has it. */
export class Http2Client {
  /** GOAWAY of the server */
  isToldToGo = false;
  private readonly end: Promise<void>;

  private constructor(readonly session: ClientHttp2Session) {
    session.on('error', () => undefined);
    session.on('goaway', () => (this.isToldToGo = true));
    this.end = new Promise((resolve) => session.once('close', resolve));
  }

  static async connect(url: string, tls: ConnectionOptions): Promise<Http2Client> {
    const session = connect(url, tls);
    const client = new Http2Client(session);
    await once(session, 'connect');
    return client;
  }

  /** A request whose body is not sent yet. */
  open(path: string, { method = 'GET', headers = {} }: Http2Question = {}, endStream?: boolean): ClientHttp2Stream {
    const stream = this.session.request(
      { ':path': path, ':method': method, ...headers },
      endStream === undefined ? {} : { endStream },
    );
    stream.on('error', () => undefined);
    return stream;
  }

  /** One request and its answer. */
  ask(path: string, question: Http2Question = {}): Promise<Http2Answer> {
    const { body, headers } = question;
    const isJson = body !== undefined && !Buffer.isBuffer(body);
    const sent = isJson && typeof body === 'object' ? JSON.stringify(body) : body;
    const type: Record<string, string> = isJson ? { 'content-type': 'application/json' } : {};
    const stream = this.open(path, { ...question, headers: { ...type, ...headers } }, sent === undefined);
    if (sent !== undefined) stream.end(sent);
    return answerOf(stream);
  }

  /** Resolves when the connection is closed. */
  closed(): Promise<void> {
    return this.end;
  }

  destroy(): void {
    this.session.destroy();
  }
}

/** The whole answer on a stream; a test that fails before it looks at it does not end the process. */
export function answerOf(stream: ClientHttp2Stream): Promise<Http2Answer> {
  const answer = new Promise<Http2Answer>((resolve, reject) => {
    let headers: IncomingHttpHeaders & { ':status'?: number } = {};
    let text = '';
    stream.on('response', (received) => (headers = received));
    stream.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    stream.on('error', reject);
    stream.on('close', () => {
      if (headers[':status'] === undefined) return reject(new Error(`no answer, code ${stream.rstCode}`));
      const body = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {};
      resolve({ status: headers[':status'], headers, body, text });
    });
  });
  answer.catch(() => undefined);
  return answer;
}
