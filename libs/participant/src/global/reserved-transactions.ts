import type { BegunTransaction } from '@concordat/client';
import type { Clock, Timer } from '@concordat/foundation';
import type { TransactionId } from '@concordat/commit-protocol';
import type { BeginRequest } from './ports.js';

/** Ids that one request reserves: as many as are used in the time below, within these bounds. */
const RESERVED = { least: 4, most: 128 };
/** Fewer than the coordinators keep them for, and often enough to learn how their clock runs. */
export const USED_WITHIN_MS = 15_000;
/**
 * A transaction that has run for so long is begun by a request of its own: then everybody can see it, a called service
 * can enlist itself, and it survives its leader. Below the two seconds after which a called service wants to do that.
 */
export const BEGIN_AFTER_MS = 250;

/** A transaction whose id is reserved, and that no coordinator knows yet. */
export interface PendingBegin {
  readonly request: BeginRequest;
  /** until its deadline, in milliseconds */
  readonly leftMs: () => number;
}

export interface Identity {
  readonly transactionId: TransactionId;
  /** milliseconds since 1970, by the clock of the coordinators */
  readonly deadline: number;
}

/**
 * The transactions of this process that have an id and are not begun: the request to commit begins them. Their ids were
 * handed out by the leader with an earlier begin, and serve while it leads.
 *
 * A transaction is pending → taken, once, by whoever sends the request that begins it.
 */
export class ReservedTransactions {
  private ids: { readonly id: TransactionId; readonly until: number }[] = [];
  private wanted = RESERVED.least;
  private isReserving = false;
  /** how far the clock of the coordinators is ahead, in milliseconds */
  private aheadMs = 0;
  private readonly pending = new Map<TransactionId, PendingBegin & { readonly timer: Timer }>();

  /** @param onDue told of a transaction that has been pending for `BEGIN_AFTER_MS` */
  constructor(
    private readonly clock: Clock,
    private readonly onDue: (transactionId: TransactionId) => void,
  ) {}

  /** A transaction that nobody knows; undefined: the coordinators must be asked, with `reserve`. */
  begin(request: BeginRequest): Identity | undefined {
    const { clock } = this;
    const now = clock.monotonic();
    this.dropOld(now);
    const isLow = this.ids.length <= this.wanted / 4 && !this.isReserving;
    const transactionId = isLow ? undefined : this.ids.shift()?.id;
    if (transactionId === undefined) return undefined;
    const endsAt = now + request.timeoutMs;
    const timer = clock.setTimer(BEGIN_AFTER_MS, () => this.onDue(transactionId));
    this.pending.set(transactionId, { request, leftMs: () => endsAt - clock.monotonic(), timer });
    return { transactionId, deadline: Math.floor(clock.now() + this.aheadMs + request.timeoutMs) };
  }

  /**
   * Has a request to begin reserve further ids, unless another one is doing that.
   *
   * @param ask sends it, with the number of ids to reserve
   */
  async reserve(ask: (count: number) => Promise<BegunTransaction>): Promise<BegunTransaction> {
    if (this.isReserving) return ask(0);
    this.isReserving = true;
    try {
      const begun = await ask(this.wanted);
      const { reserved = [], createdAt } = begun;
      const until = this.clock.monotonic() + USED_WITHIN_MS;
      this.ids.push(...reserved.map((id) => ({ id, until })));
      this.aheadMs = Date.parse(createdAt) - this.clock.now();
      this.wanted = Math.min(this.wanted * 2, RESERVED.most);
      return begun;
    } finally {
      this.isReserving = false;
    }
  }

  /** The ids serve no more: another coordinator leads, or none answers. */
  forgetIds(): void {
    this.ids = [];
  }

  /** For the request that begins it; undefined when it is begun, or of another process. */
  take(transactionId: TransactionId): PendingBegin | undefined {
    const pending = this.pending.get(transactionId);
    pending?.timer.cancel();
    this.pending.delete(transactionId);
    return pending;
  }

  /** Those that were not needed in time were too many. */
  private dropOld(now: number): void {
    const fresh = this.ids.findIndex(({ until }) => now < until);
    const dropped = this.ids.splice(0, fresh === -1 ? this.ids.length : fresh);
    if (dropped.length > 0) this.wanted = Math.max(RESERVED.least, Math.ceil(this.wanted / 2));
  }
}
