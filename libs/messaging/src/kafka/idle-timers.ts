import { kafkajsFile } from './kafkajs.js';

/** How often each connection looks for overdue answers; kafkajs does it every 100 ms. */
export const OVERDUE_CHECK_MS = 1_000;

interface SentRequest {
  readonly requestTimeout: number;
  timeoutRequest(): void;
}

/** The part of kafkajs' `RequestQueue` that has the timers. */
interface RequestQueue {
  readonly pending: readonly unknown[];
  readonly inflight: ReadonlyMap<number, SentRequest>;
  readonly enforceRequestTimeout: boolean;
  requestTimeoutIntervalId: NodeJS.Timeout | null;
  scheduleCheckPendingRequests: () => void;
  scheduleRequestTimeoutCheck: () => void;
  readonly isConnected: () => boolean;
  destroy(): void;
}

let areReplaced = false;

/**
 * Each connection of kafkajs 2.2.4 wakes its process for ever, with or without work:
 *
 * - about 900 times a second to look for waiting requests, in a timer that restarts with a negative delay (kafkajs issue
 *   1751). Without waiting requests it is not needed: queuing a request starts it again.
 * - ten times a second to look for overdue answers, although an answer may take ten seconds.
 */
export function stopIdleTimers(): void {
  if (areReplaced) return;
  areReplaced = true;
  const { prototype } = kafkajsFile('network/requestQueue/index.js') as { prototype: RequestQueue };
  const original = { schedule: prototype.scheduleCheckPendingRequests };
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue): void {
    if (this.pending.length > 0) original.schedule.call(this);
  };
  const seenAt = new WeakMap<SentRequest, number>();
  prototype.scheduleRequestTimeoutCheck = function (this: RequestQueue): void {
    if (!this.enforceRequestTimeout) return;
    this.destroy();
    this.requestTimeoutIntervalId = setInterval(() => giveUpOverdue(this, seenAt), OVERDUE_CHECK_MS);
  };
}

/** @param seenAt when a request was first seen without an answer, monotonic */
function giveUpOverdue(queue: RequestQueue, seenAt: WeakMap<SentRequest, number>): void {
  const now = performance.now();
  for (const request of [...queue.inflight.values()]) {
    const since = seenAt.get(request);
    if (since === undefined) seenAt.set(request, now);
    else if (now - since >= request.requestTimeout - OVERDUE_CHECK_MS) request.timeoutRequest();
  }
  if (!queue.isConnected()) queue.destroy();
}
