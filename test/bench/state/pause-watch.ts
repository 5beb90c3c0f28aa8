import { PerformanceObserver } from 'node:perf_hooks';
import type { Pauses } from './protocol.js';

const INTERVAL_MS = 2;

/**
 * Watches how long the event loop of this process is held up, by a timer that comes late. On a machine with other
 * work a process also waits for a processor; so beside the time that passed stands the part in which the process was
 * computing (all of its threads together, so it is an upper bound of what the loop itself did).
 */
export class PauseWatch {
  private maximumMs = 0;
  private busyMaximumMs = 0;
  private collectionMs = 0;
  private last = performance.now();
  private lastBusyMs = busyMs();

  start(): void {
    this.last = performance.now();
    this.lastBusyMs = busyMs();
    setInterval(() => this.look(), INTERVAL_MS);
    const collections = new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) this.collectionMs = Math.max(this.collectionMs, duration);
    });
    collections.observe({ entryTypes: ['gc'] });
  }

  /** Since it was asked for the last time. */
  take(): Pauses {
    const { maximumMs, busyMaximumMs, collectionMs } = this;
    this.maximumMs = 0;
    this.busyMaximumMs = 0;
    this.collectionMs = 0;
    return { maximumMs, busyMaximumMs, collectionMs };
  }

  private look(): void {
    const now = performance.now();
    const busy = busyMs();
    const pauseMs = Math.max(0, now - this.last - INTERVAL_MS);
    this.maximumMs = Math.max(this.maximumMs, pauseMs);
    this.busyMaximumMs = Math.max(this.busyMaximumMs, Math.min(pauseMs, busy - this.lastBusyMs));
    this.last = now;
    this.lastBusyMs = busy;
  }
}

function busyMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
