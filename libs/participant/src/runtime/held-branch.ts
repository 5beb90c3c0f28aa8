import { errorMessage, type Clock, type JsonValue, type Logger, type Timer } from '@concordat/foundation';
import type { BranchError, BranchId, TransactionId } from '@concordat/commit-protocol';
import type { BranchWork, HeldSession, HeldWork, VoteResult } from './resource-manager.js';
import { timeLeftMs } from './time-left.js';

/** How long after its deadline a branch is held at most: until then an answer of the leader may come. */
export const HELD_GRACE_MS = 1_000;

/**
 * How a held session ended. `prepared`: the decision ends the branch. `aborted`: it was rolled back. `read-only`:
 * nothing was written. `unknown`: the answer was lost; the database knows, and the protocol asks it.
 */
export type HeldBranchEnd = 'prepared' | 'read-only' | 'aborted' | 'unknown';

/**
 * A branch whose session this process holds. The leader ends it by `prepare` or an abort; the holder may roll it back,
 * or doom it. At its deadline and one second it is rolled back by itself, also when nobody asks.
 */
export interface HeldBranch<Context> {
  readonly transactionId: TransactionId;
  readonly branchId: BranchId;
  /** milliseconds since 1970 */
  readonly deadline: number;
  /** the same for the whole session; its client refuses statements once the branch votes or is rolled back */
  readonly context: Context;
  /** why it can only abort; undefined while it may still commit */
  readonly doomed: BranchError | undefined;
  /** Settles when the session has ended, with how. Never rejects. */
  readonly ended: Promise<HeldBranchEnd>;
  /**
   * Rolls back at once, whatever is running; resolves when the tombstone is durable, so that no late prepare succeeds.
   * Idempotent. A branch that votes or has voted is left alone: its decision ends it, or presumed abort after an
   * inquiry.
   *
   * @throws ResourceManagerUnavailableError the session has ended, but the tombstone may be missing
   */
  rollBack(error: BranchError): Promise<void>;
  /** The branch can only abort from now on: its vote is no, with this error. The first error counts. */
  doom(error: BranchError): void;
  /**
   * Prepares now and votes, for roads on which no instance can be addressed; then enlist the branch with this vote. A
   * repeat gets the same vote. `busy`: another session works on the branch.
   *
   * @throws ResourceManagerUnavailableError when the vote is unknown; the branch may be prepared, and an inquiry ends it
   */
  prepare(results?: readonly JsonValue[]): Promise<VoteResult | 'busy'>;
}

export interface HeldPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** the session is closed: its place is free */
  onClosed(): void;
  /** the branch is no longer held */
  onEnded(end: HeldBranchEnd): void;
}

export const DEADLINE_EXCEEDED: BranchError = {
  code: 'DEADLINE_EXCEEDED',
  message: 'the branch was held, and neither prepared nor aborted, until its deadline',
};

/**
 * The holder's end of a held branch. States: open → voting → ended, or open → ended. Invariants: at most one vote is
 * cast, and repeats get it; the session is closed when the branch has ended.
 */
export class Held<Context> implements HeldBranch<Context> {
  readonly transactionId: TransactionId;
  readonly branchId: BranchId;
  readonly deadline: number;
  readonly ended: Promise<HeldBranchEnd>;
  /** monotonic, in milliseconds */
  readonly heldSince: number;
  private readonly timer: Timer;
  private settle: (end: HeldBranchEnd) => void = () => undefined;
  private doomedBy: BranchError | undefined;
  private voting: Promise<VoteResult | 'busy'> | undefined;
  private closing: Promise<void> | undefined;

  constructor(
    private readonly work: HeldWork,
    private readonly session: HeldSession<Context>,
    private readonly ports: HeldPorts,
  ) {
    const { clock, logger } = ports;
    this.transactionId = work.transactionId;
    this.branchId = work.branchId;
    this.deadline = work.deadline;
    this.heldSince = clock.monotonic();
    this.ended = new Promise((resolve) => (this.settle = resolve));
    this.timer = clock.setTimer(Math.max(0, timeLeftMs(work, clock)) + HELD_GRACE_MS, () => {
      this.rollBack(DEADLINE_EXCEEDED).catch((error: unknown) => {
        const which = `held branch ${this.branchId} of transaction ${this.transactionId}`;
        logger.warn(`${which} was rolled back at its deadline, without a tombstone: ${errorMessage(error)}`);
      });
    });
    void session.lost.then((reason) => this.lost(reason));
  }

  get context(): Context {
    return this.session.context;
  }

  get doomed(): BranchError | undefined {
    return this.doomedBy;
  }

  doom(error: BranchError): void {
    this.doomedBy ??= error;
  }

  async rollBack(error: BranchError): Promise<void> {
    this.doom(error);
    await this.prepare();
  }

  prepare(results: readonly JsonValue[] = []): Promise<VoteResult | 'busy'> {
    const { transactionId, branchId, deadline, timeoutMs } = this.work;
    const work = { protocol: '2pc', transactionId, branchId, deadline, timeoutMs, preparedByService: false } as const;
    return this.vote(work, results);
  }

  /** @param work as the leader asks for it; its protocol says how the vote is recorded */
  vote(work: BranchWork, results: readonly JsonValue[] = []): Promise<VoteResult | 'busy'> {
    return (this.voting ??= this.cast(work, results));
  }

  /** The decision is abort: the session is closed at once. A vote that is being cast only stops waiting. */
  async close(reason: BranchError): Promise<void> {
    this.doom(reason);
    await this.closeSession();
    if (!this.voting) this.end('aborted');
  }

  private async cast(work: BranchWork, results: readonly JsonValue[]): Promise<VoteResult | 'busy'> {
    const { session, doomedBy } = this;
    let end: HeldBranchEnd = 'unknown';
    try {
      const answer = await (doomedBy ? session.refuse(work, doomedBy) : session.prepare(work, results));
      if (answer !== 'busy') end = endAfter(answer);
      return answer;
    } finally {
      this.end(end);
    }
  }

  /** It stays held, without a session, so that its vote gives the reason. */
  private lost(reason: BranchError): void {
    this.doom(reason);
    this.closeSession().catch((error: unknown) => {
      const which = `held branch ${this.branchId} of transaction ${this.transactionId}`;
      this.ports.logger.warn(`the session of ${which} could not be closed: ${errorMessage(error)}`);
    });
  }

  private async closeSession(): Promise<void> {
    this.closing ??= this.session.close().finally(() => this.ports.onClosed());
    await this.closing;
  }

  private end(end: HeldBranchEnd): void {
    this.timer.cancel();
    this.ports.onClosed();
    this.ports.onEnded(end);
    this.settle(end);
  }
}

function endAfter({ vote }: VoteResult): HeldBranchEnd {
  if (vote === 'no') return 'aborted';
  return vote === 'yes' ? 'prepared' : vote;
}
