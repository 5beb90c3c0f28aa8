import { expect } from '@jest/globals';
import type { TestNode } from './test-node.js';

export const EXECUTE = '/v1/transactions/execute';

/** A request that must be refused. */
export interface Case {
  readonly name: string;
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'PATCH';
  readonly url?: string;
  readonly body?: unknown;
  readonly raw?: string | Buffer;
  readonly headers?: Record<string, string>;
  readonly status?: number;
  readonly code: string;
  /** paths in `errors` */
  readonly paths?: readonly string[];
}

/** Makes the request and sees that it is refused as it should be, by a problem that says why. */
export async function checkRefused(
  node: TestNode,
  { method, url = EXECUTE, body, raw, headers, status = 400, code, paths }: Case,
): Promise<void> {
  const payload = raw ?? (body === undefined ? undefined : JSON.stringify(body));
  const answer = await node.app.inject({
    method: method ?? 'POST',
    url,
    headers: { ...(payload !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(payload !== undefined && { payload }),
  });
  const problem: { errors?: { path: string; message: string }[]; detail: string } = answer.json();
  expect(problem).toMatchObject({ status, code, instance: url.split('?')[0] });
  expect(answer.statusCode).toBe(status);
  expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8');
  expect(problem.detail).toMatch(/\w+ \w+/); // a sentence
  if (paths) expect(problem.errors?.map(({ path }) => path)).toEqual(paths);
}
