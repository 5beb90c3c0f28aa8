import { request } from 'node:https';
import type { ConnectionOptions } from 'node:tls';
import { guarded } from '../guarded.js';

const MAXIMUM_ANSWER_BYTES = 64 * 1024 * 1024;

/**
 * A `fetch` for https with its own certificates, which the platform's cannot take. Knows what the clients of Concordat
 * need: method, headers, a text as body, `signal`. Follows no redirect.
 *
 * @param options asked for each request, so that certificates may change
 */
export function tlsFetch(options: () => ConnectionOptions): typeof globalThis.fetch {
  return async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    if (url.protocol !== 'https:') return fetch(input, init);
    const { method = 'GET', headers, body, signal } = init;
    if (body !== undefined && body !== null && typeof body !== 'string' && !(body instanceof Uint8Array)) {
      throw new TypeError('a body must be a text or bytes');
    }
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const sent = request(url, {
        ...options(),
        method,
        headers: Object.fromEntries(new Headers(headers)),
        ...(signal && { signal }),
      });
      // as the platform's: what went wrong below is the cause
      const failed = (cause: unknown): void => {
        reject(signal?.aborted ? (signal.reason as Error) : new TypeError('fetch failed', { cause }));
      };
      sent.on('error', guarded(failed, reject));
      sent.on(
        'response',
        guarded(async (response) => {
          const chunks: Buffer[] = [];
          let bytes = 0;
          for await (const chunk of response as AsyncIterable<Buffer>) {
            bytes += chunk.length;
            if (bytes > MAXIMUM_ANSWER_BYTES) throw new Error('the answer is too large');
            chunks.push(chunk);
          }
          const pairs: [string, string][] = Object.entries(response.headers).flatMap(([name, value]) =>
            value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
          );
          const status = response.statusCode ?? 502;
          const content = [204, 304].includes(status) ? null : Buffer.concat(chunks);
          resolve(new Response(content, { status, headers: pairs }));
        }, failed),
      );
      sent.end(body ?? undefined);
    });
  };
}
