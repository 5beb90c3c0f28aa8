import type { ServerResponse } from 'node:http';

/** Of requests that were answered on their connection itself, because they did not arrive whole. */
const belowRoutes = new WeakMap<ServerResponse, number>();

/** Says that a request got an answer that its response knows nothing of. */
export function answeredBelow(response: ServerResponse, status: number): void {
  belowRoutes.set(response, status);
}

/** The status of what was answered; undefined: nothing, because the sender went away. */
export function answeredStatus(response: ServerResponse): number | undefined {
  return response.writableEnded ? response.statusCode : belowRoutes.get(response);
}
