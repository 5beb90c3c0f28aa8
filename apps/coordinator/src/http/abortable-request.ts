import { request as requestPlain, type Agent, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import { request as requestTls } from 'node:https';
import { guarded } from '@concordat/foundation';

export interface AbortableRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Buffer | undefined;
  /** of the scheme of the URL */
  readonly agent: Agent;
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
 * @throws what `node:http` and the agent throw, with their codes; `ABORT_ERR` when it was aborted
 */
export function requestUnlessAborted({ url, body, ...options }: AbortableRequest): Promise<WholeAnswer> {
  return new Promise((resolve, reject) => {
    const target = new URL(url);
    const sent = (target.protocol === 'https:' ? requestTls : requestPlain)(target, options);
    sent.on(
      'response',
      guarded(async (response) => {
        const chunks: Buffer[] = [];
        for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
        const text = Buffer.concat(chunks).toString('utf8');
        resolve({ status: response.statusCode ?? 502, headers: response.headers, text });
      }, reject),
    );
    sent.on('error', guarded(reject, reject));
    sent.end(body);
  });
}
