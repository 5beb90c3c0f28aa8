import { randomInteger, type Clock, type Random, type Timer } from '@concordat/foundation';
import type { BranchId } from '@concordat/commit-protocol';
import type { BranchIdentity } from './resource-manager.js';

/** Checks per termination timeout. */
const CHECKS_PER_TIMEOUT = 8;
/** One inquiry may be lost: it is repeated after this part of the wait, until the wait is over. */
const INQUIRIES_PER_WAIT = 4;
/** in termination timeouts */
const MAXIMUM_WAIT_FACTOR = 8;

export interface TerminationWatchPorts {
  readonly clock: Clock;
  readonly random: Random;
  /** half of the timeout, or more, has passed without a coordinator's message: one may still answer */
  inquire(branch: BranchIdentity): void;
  /** the whole timeout has passed: the branches must decide among themselves */
  terminate(branch: BranchIdentity): void;
}

interface Watched {
  readonly branch: BranchIdentity;
  /** begin of the watch; all times are monotonic */
  readonly since: number;
  inquireAt: number;
  terminateAt: number;
  /** since the last message of a coordinator */
  reminders: number;
}

/**
 * Measures how long three-phase branches have got no message from a coordinator (protocol section 6, termination). It
 * only times; the database knows whether there is anything to decide.
 *
 * It repeats its call at random moments, after twice the time each, up to eight timeouts: with slow messages, branches
 * that retry at a constant pace outbid each other for minutes (`ballot-duels.spec.ts`). No timer runs while nothing is
 * watched.
 */
export class TerminationWatch {
  private readonly watched = new Map<BranchId, Watched>();
  private timer: Timer | undefined;
  private stopped = false;

  /** @param timeoutMs since the last message of a coordinator, in milliseconds, plus up to half of it as jitter */
  constructor(
    private readonly timeoutMs: number,
    private readonly ports: TerminationWatchPorts,
  ) {}

  get size(): number {
    return this.watched.size;
  }

  /** Starts the watch, unless it runs. */
  watch({ transactionId, branchId }: BranchIdentity): void {
    if (this.stopped || this.watched.has(branchId)) return;
    const now = this.ports.clock.monotonic();
    this.watched.set(branchId, { branch: { transactionId, branchId }, since: now, ...this.moments(now, 0) });
    this.scheduleCheck();
  }

  /** Must be called with every message of a coordinator about the branch. */
  answered(branchId: BranchId): void {
    const watched = this.watched.get(branchId);
    if (watched) Object.assign(watched, this.moments(this.ports.clock.monotonic(), 0));
  }

  forget(branchId: BranchId): void {
    this.watched.delete(branchId);
  }

  /** Of the branches watched before `asOf` (monotonic), only these are still in doubt; others have ended elsewhere. */
  retain(inDoubt: ReadonlySet<BranchId>, asOf: number): void {
    for (const [branchId, { since }] of this.watched) {
      if (since < asOf && !inDoubt.has(branchId)) this.watched.delete(branchId);
    }
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
    this.watched.clear();
  }

  private look(): void {
    this.timer = undefined;
    const now = this.ports.clock.monotonic();
    for (const watched of this.watched.values()) {
      if (now >= watched.terminateAt) {
        Object.assign(watched, this.moments(now, watched.reminders + 1));
        this.ports.terminate(watched.branch);
      } else if (now >= watched.inquireAt) {
        watched.inquireAt = now + this.waitMs(watched.reminders) / INQUIRIES_PER_WAIT;
        this.ports.inquire(watched.branch);
      }
    }
    this.scheduleCheck();
  }

  private scheduleCheck(): void {
    if (this.timer || this.stopped || this.watched.size === 0) return;
    const delayMs = Math.max(1, Math.floor(this.timeoutMs / CHECKS_PER_TIMEOUT));
    this.timer = this.ports.clock.setTimer(delayMs, () => this.look());
  }

  private moments(now: number, reminders: number): Pick<Watched, 'inquireAt' | 'terminateAt' | 'reminders'> {
    const jitterMs = randomInteger(this.ports.random, 0, Math.ceil(this.timeoutMs / 2));
    return {
      inquireAt: now + this.timeoutMs / 2,
      terminateAt: now + this.waitMs(reminders) + jitterMs,
      reminders,
    };
  }

  private waitMs(reminders: number): number {
    return this.timeoutMs * Math.min(2 ** reminders, MAXIMUM_WAIT_FACTOR);
  }
}
