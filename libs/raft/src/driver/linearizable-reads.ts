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
 * One request at a time; callers in between share the next. A request or its answer may be lost, so it is repeated with
 * each tick. Its number has a random start, so that an answer to an earlier life of this node never matches.
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

  /** Whether confirmed callers wait for entries to be applied. */
  get awaitState(): boolean {
    return this.applying.length > 0;
  }

  /** The number of the next request. */
  get requestId(): number {
    return this.nextRequestId;
  }

  /** A number for a request without a caller here. */
  takeRequestId(): number {
    return this.nextRequestId++;
  }

  /** All present callers are part of the request with that number. */
  requested(): void {
    this.asked = { requestId: this.nextRequestId++, waiters: this.waiting, ticks: 0 };
    this.waiting = [];
  }

  /** One tick. @returns the number of a request to repeat, or 'timeout' */
  tick(): number | 'timeout' | undefined {
    if (!this.asked) return undefined;
    return ++this.asked.ticks >= this.timeoutTicks ? 'timeout' : this.asked.requestId;
  }

  confirmed(requestId: number, index: number): void {
    if (this.asked?.requestId !== requestId) return; // the answer to a repetition
    this.applying.push({ index, waiters: this.asked.waiters });
    this.asked = undefined;
  }

  /** The callers need no request: this node may answer at `index` for another reason. */
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
