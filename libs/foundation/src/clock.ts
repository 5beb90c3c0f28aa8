/** A pending timer; `cancel` is idempotent. */
export interface Timer {
  cancel(): void;
}

/**
 * Time as a port: all code outside the pure cores takes a `Clock`, so that a whole system can run under a simulated
 * one.
 */
export interface Clock {
  /** wall-clock time in milliseconds since 1970 (UTC); may jump */
  now(): number;
  /** monotonic milliseconds from an arbitrary start, for measuring durations */
  monotonic(): number;
  /** runs `action` once after at least `delayMs` milliseconds; never synchronously */
  setTimer(delayMs: number, action: () => void): Timer;
}

/** The machine's clock. Its timers do not keep a process alive when `unref` is set. */
export class SystemClock implements Clock {
  constructor(private readonly options: { unref?: boolean } = {}) {}

  now(): number {
    return Date.now();
  }

  monotonic(): number {
    return performance.now();
  }

  setTimer(delayMs: number, action: () => void): Timer {
    const handle = setTimeout(action, delayMs);
    if (this.options.unref) handle.unref();
    return { cancel: () => clearTimeout(handle) };
  }
}

interface VirtualTimer {
  dueAt: number;
  sequence: number;
  action: () => void;
  cancelled: boolean;
}

/** Timers that may fire at one instant: more are one that sets itself again, and time would never go on. */
const MAXIMUM_AT_ONCE = 100_000;

/**
 * A clock that only moves when told. Timers due at the same instant fire in the order in which they were set, so a run
 * depends only on its inputs.
 */
export class VirtualClock implements Clock {
  private readonly timers: VirtualTimer[] = []; // a binary heap by (dueAt, sequence)
  private sequence = 0;
  private elapsed = 0;
  private firedAtOnce = 0;

  constructor(private readonly startedAt = Date.UTC(2026, 0, 1)) {}

  /** Whole milliseconds, like the machine's, although timers may be due in between. */
  now(): number {
    return Math.floor(this.startedAt + this.elapsed);
  }

  monotonic(): number {
    return this.elapsed;
  }

  setTimer(delayMs: number, action: () => void): Timer {
    const timer: VirtualTimer = {
      dueAt: this.elapsed + Math.max(0, delayMs),
      sequence: this.sequence++,
      action,
      cancelled: false,
    };
    this.push(timer);
    return { cancel: () => void (timer.cancelled = true) };
  }

  /** Time of the next timer on the monotonic scale, or undefined when none is set. */
  nextDueAt(): number | undefined {
    this.dropCancelled();
    return this.timers[0]?.dueAt;
  }

  /**
   * Moves to the next timer and fires it. Returns false when none is set.
   *
   * @throws Error when 100,000 have fired and time has not gone on
   */
  fireNext(): boolean {
    this.dropCancelled();
    const timer = this.pop();
    if (!timer) return false;
    this.firedAtOnce = timer.dueAt > this.elapsed ? 0 : this.firedAtOnce + 1;
    if (this.firedAtOnce > MAXIMUM_AT_ONCE)
      throw new Error(`time stands still at ${this.elapsed} ms: a timer sets itself again`);
    this.elapsed = Math.max(this.elapsed, timer.dueAt);
    timer.action();
    return true;
  }

  /** Fires everything due within the next `durationMs` milliseconds, and advances the time by that. */
  advance(durationMs: number): void {
    const until = this.elapsed + durationMs;
    for (let due = this.nextDueAt(); due !== undefined && due <= until; due = this.nextDueAt()) this.fireNext();
    this.elapsed = until;
  }

  private dropCancelled(): void {
    while (this.timers[0]?.cancelled) this.pop();
  }

  private push(timer: VirtualTimer): void {
    const heap = this.timers;
    heap.push(timer);
    for (let child = heap.length - 1; child > 0;) {
      const parent = (child - 1) >> 1;
      if (!this.before(child, parent)) break;
      this.swap(child, parent);
      child = parent;
    }
  }

  private pop(): VirtualTimer | undefined {
    const heap = this.timers;
    const first = heap[0];
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first;
    heap[0] = last;
    for (let parent = 0; ;) {
      let least = parent;
      for (const child of [2 * parent + 1, 2 * parent + 2]) {
        if (child < heap.length && this.before(child, least)) least = child;
      }
      if (least === parent) return first;
      this.swap(parent, least);
      parent = least;
    }
  }

  private before(a: number, b: number): boolean {
    const left = this.timers[a]!;
    const right = this.timers[b]!;
    return left.dueAt !== right.dueAt ? left.dueAt < right.dueAt : left.sequence < right.sequence;
  }

  private swap(a: number, b: number): void {
    const held = this.timers[a]!;
    this.timers[a] = this.timers[b]!;
    this.timers[b] = held;
  }
}
