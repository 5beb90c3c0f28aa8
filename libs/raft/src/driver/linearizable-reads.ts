interface Waiter {
  readonly resolve: (index: number) => void;
  readonly reject: (error: Error) => void;
}

interface Request {
  readonly requestId: number;
  readonly waiters: readonly Waiter[];
  ticks: number;
}

/**
 * Callers of `readIndex` and `confirmLeadership` of one node.
 *
 *     waiting --asked for--> asked --confirmed--> applying --applied up to the index--> resolved
 *     any --the leader changes, or does not answer--> rejected
 *
 * One request is under way at a time; who comes meanwhile shares the next. A request or its answer may be lost, so
 * it is repeated with each tick. Its number is taken from a random start, for an answer to an earlier life of this
 * node must not be taken for one of this life.
 */
export class LinearizableReads {
  private waiting: Waiter[] = [];
  private asked: Request | undefined;
  private applying: { readonly index: number; readonly waiters: readonly Waiter[] }[] = [];

  constructor(
    private nextRequestId: number,
    private readonly timeoutTicks: number,
  ) {}

  add(): Promise<number> {
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }

  wantsRequest(): boolean {
    return this.waiting.length > 0 && !this.asked;
  }

  /** The number to ask with next. */
  get requestId(): number {
    return this.nextRequestId;
  }

  /** A number for a request that nobody here waits for. */
  takeRequestId(): number {
    return this.nextRequestId++;
  }

  /** Everybody who waits so far is part of the request with that number. */
  requested(): void {
    this.asked = { requestId: this.nextRequestId++, waiters: this.waiting, ticks: 0 };
    this.waiting = [];
  }

  /** One tick. @returns the number of a request to repeat, 'timeout' when nobody has answered for too long */
  tick(): number | 'timeout' | undefined {
    if (!this.asked) return undefined;
    return ++this.asked.ticks >= this.timeoutTicks ? 'timeout' : this.asked.requestId;
  }

  confirmed(requestId: number, index: number): void {
    if (this.asked?.requestId !== requestId) return; // the answer to a repetition
    this.applying.push({ index, waiters: this.asked.waiters });
    this.asked = undefined;
  }

  /** Who waits needs no request: this node knows by other means that it may answer at `index`. */
  confirmWaiting(index: number): void {
    this.applying.push({ index, waiters: this.waiting });
    this.waiting = [];
  }

  appliedUpTo(appliedIndex: number): void {
    if (this.applying.length === 0) return;
    const ready = this.applying.filter(({ index }) => index <= appliedIndex);
    this.applying = this.applying.filter(({ index }) => index > appliedIndex);
    for (const { index, waiters } of ready) for (const { resolve } of waiters) resolve(index);
  }

  rejectAll(error: Error): void {
    const groups = [...this.applying, ...(this.asked ? [this.asked] : []), { waiters: this.waiting }];
    this.applying = [];
    this.asked = undefined;
    this.waiting = [];
    for (const { waiters } of groups) for (const { reject } of waiters) reject(error);
  }
}
