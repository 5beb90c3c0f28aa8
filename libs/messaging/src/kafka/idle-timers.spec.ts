import { createRequire } from 'node:module';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { OVERDUE_CHECK_MS, stopIdleTimers } from './idle-timers.js';

interface Queue {
  push(request: { entry: object; expectResponse: boolean; sendRequest: () => void; requestTimeout?: number }): void;
  fulfillRequest(answer: { correlationId: number; payload: Buffer; size: number }): void;
  scheduleRequestTimeoutCheck(): void;
}

const load = createRequire(import.meta.url);

describe("the timers of kafkajs' connections", () => {
  let isConnected: boolean;
  let ends: Map<number, string>;
  let queue: Queue;

  beforeEach(() => {
    jest.useFakeTimers();
    stopIdleTimers();
    isConnected = true;
    ends = new Map();
    const RequestQueue = load('kafkajs/src/network/requestQueue/index.js') as new (options: object) => Queue;
    queue = new RequestQueue({
      maxInFlightRequests: null,
      requestTimeout: 10_000,
      enforceRequestTimeout: true,
      clientId: 'test',
      broker: 'localhost:9092',
      logger: { debug: () => undefined, warn: () => undefined },
      isConnected: () => isConnected,
    });
  });

  afterEach(() => {
    jest.useRealTimers();
  });

  function send(correlationId: number, requestTimeout?: number): void {
    const end = (how: string) => (): void => void ends.set(correlationId, how);
    const entry = {
      correlationId,
      apiName: 'Fetch',
      apiKey: 1,
      apiVersion: 11,
      resolve: end('answered'),
      reject: end('late'),
    };
    const timeout = requestTimeout !== undefined && { requestTimeout };
    queue.push({ entry, expectResponse: true, sendRequest: () => undefined, ...timeout });
  }

  it('wake an idle connection once a second, and a closed one never', () => {
    const intervals = jest.spyOn(globalThis, 'setInterval');
    queue.scheduleRequestTimeoutCheck();
    expect(intervals.mock.calls.map(([, delayMs]) => delayMs)).toEqual([OVERDUE_CHECK_MS]);
    send(1);
    queue.fulfillRequest({ correlationId: 1, payload: Buffer.alloc(0), size: 0 });
    expect(ends.get(1)).toBe('answered');
    expect(jest.getTimerCount()).toBe(1);
    isConnected = false;
    jest.advanceTimersByTime(OVERDUE_CHECK_MS);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('give up a request whose answer is overdue, and no other', () => {
    queue.scheduleRequestTimeoutCheck();
    send(1);
    send(2, 15_000);
    jest.advanceTimersByTime(9_000);
    expect(ends).toEqual(new Map());
    jest.advanceTimersByTime(2_000);
    expect(ends).toEqual(new Map([[1, 'late']]));
    jest.advanceTimersByTime(5_000);
    expect(ends).toEqual(
      new Map([
        [1, 'late'],
        [2, 'late'],
      ]),
    );
  });
});
