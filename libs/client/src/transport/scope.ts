import type { ClientClock, ClientTimer } from './clock.js';
import { guarded } from './guarded.js';

/** How a scope ended by time; the reason of its signal. */
export class ScopeTimeout extends Error {}

/**
 * A span of work with an end: its signal is aborted with the parent's reason when the parent is, with a `ScopeTimeout`
 * when the time is over. Dispose it when the work is done, so that no timer and no listener stays behind.
 */
export class Scope {
  private readonly controller = new AbortController();
  private detach: (() => void) | undefined;
  private timer: ClientTimer | undefined;
  private endsAt = Number.POSITIVE_INFINITY;

  constructor(
    private readonly clock: ClientClock,
    private readonly parent?: AbortSignal,
    timeoutMs?: number,
  ) {
    if (parent?.aborted === true) this.controller.abort(parent.reason);
    else if (parent !== undefined) this.follow(parent);
    if (timeoutMs !== undefined) this.endAfter(timeoutMs);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Whether this scope's own time is over, and its parent had not ended before. */
  get hasTimedOut(): boolean {
    return this.signal.reason instanceof ScopeTimeout && this.signal.reason !== this.parent?.reason;
  }

  get remainingMs(): number {
    return Math.max(0, this.endsAt - this.clock.monotonic());
  }

  /** Sets the time anew. */
  endAfter(timeoutMs: number): void {
    this.timer?.cancel();
    this.endsAt = this.clock.monotonic() + timeoutMs;
    this.timer = this.clock.setTimer(timeoutMs, () => this.controller.abort(new ScopeTimeout('the time is over')));
  }

  /** Stops its time, until it is set anew. */
  rest(): void {
    this.timer?.cancel();
    this.endsAt = Number.POSITIVE_INFINITY;
  }

  abort(reason: unknown): void {
    this.controller.abort(reason);
  }

  /** Waits, or until the scope ends: then it throws the reason. */
  pause(delayMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const { signal } = this;
      if (signal.aborted) return reject(signal.reason as Error);
      const guardedEnd = guarded(() => {
        timer.cancel();
        reject(signal.reason as Error);
      }, reject);
      const timer = this.clock.setTimer(delayMs, () => {
        signal.removeEventListener('abort', guardedEnd);
        resolve();
      });
      signal.addEventListener('abort', guardedEnd);
    });
  }

  dispose(): void {
    this.timer?.cancel();
    this.detach?.();
    this.detach = undefined;
  }

  private follow(parent: AbortSignal): void {
    const guardedFollow = guarded(
      () => this.controller.abort(parent.reason),
      () => undefined,
    );
    parent.addEventListener('abort', guardedFollow);
    this.detach = () => parent.removeEventListener('abort', guardedFollow);
  }
}
