import { Agent as PlainAgent, request as plainRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { Agent as SecureAgent, request as secureRequest } from 'node:https';
import { guarded } from '@concordat/foundation';

/** Idle connections that are kept to each coordinator. */
const MAXIMUM_FREE_SOCKETS = 64;
/** What is longer was not sent by a coordinator. */
const MAXIMUM_ANSWER_BYTES = 16 * 1024 * 1024;

/**
 * A `fetch` for what the SDK asks of the coordinators: short texts, answered by short texts. That of the platform makes
 * streams and a request object for each, which costs a service more than all the rest of the call. The answer has `ok`,
 * `status`, `headers`, `text`, and no `body`.
 *
 * It rejects with the error of the system, whose `code` says whether anything was sent, or with the signal's reason.
 */
export function createLeanFetch(): typeof globalThis.fetch {
  const options = { keepAlive: true, maxFreeSockets: MAXIMUM_FREE_SOCKETS };
  const plain = new PlainAgent(options);
  const secure = new SecureAgent(options);
  return (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const settings = { method: init.method ?? 'GET', headers: headersOf(init) };
    const request =
      url.protocol === 'https:'
        ? secureRequest(url, { ...settings, agent: secure })
        : plainRequest(url, { ...settings, agent: plain });
    return exchange(request, init);
  };
}

function exchange(request: ClientRequest, { signal, body }: RequestInit): Promise<Response> {
  return new Promise((resolve, reject) => {
    const abort = (): void => void request.destroy(new Error('the request was aborted'));
    const guardedAbort = guarded(abort, reject);
    const end = (): void => signal?.removeEventListener('abort', guardedAbort);
    const fail = (error: unknown): void => {
      end();
      reject(signal?.aborted === true ? (signal.reason as Error) : (error as Error));
    };
    const take = async (message: IncomingMessage): Promise<void> => {
      const text = await textOf(message);
      end();
      resolve(answerOf(message, text));
    };
    request.on('error', guarded(fail, reject));
    request.on('response', guarded(take, fail));
    if (signal?.aborted === true) return abort();
    signal?.addEventListener('abort', guardedAbort);
    request.end(typeof body === 'string' ? body : undefined);
  });
}

function textOf(message: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let sizeBytes = 0;
    const take = (piece: Buffer): void => {
      sizeBytes += piece.length;
      if (sizeBytes > MAXIMUM_ANSWER_BYTES) {
        message.destroy(new Error(`the answer has more than ${MAXIMUM_ANSWER_BYTES} bytes`));
      }
      pieces.push(piece);
    };
    message.on('data', guarded(take, reject));
    message.on('error', guarded(reject, reject));
    message.on(
      'end',
      guarded(() => resolve(Buffer.concat(pieces).toString('utf8')), reject),
    );
  });
}

/** The part of a `Response` that a client of the coordinators reads. */
function answerOf({ statusCode = 0, headers }: IncomingMessage, text: string): Response {
  const answer = {
    ok: statusCode >= 200 && statusCode < 300,
    status: statusCode,
    headers: { get: (name: string) => valueOf(headers[name.toLowerCase()]) },
    body: null,
    text: () => Promise.resolve(text),
  };
  return answer as unknown as Response;
}

function valueOf(value: string | readonly string[] | undefined): string | null {
  return value === undefined ? null : typeof value === 'string' ? value : value.join(', ');
}

function headersOf({ headers, body }: RequestInit): Record<string, string> {
  const all: Record<string, string> = {};
  new Headers(headers).forEach((value, name) => (all[name] = value));
  if (typeof body === 'string') all['content-length'] = String(Buffer.byteLength(body));
  return all;
}
