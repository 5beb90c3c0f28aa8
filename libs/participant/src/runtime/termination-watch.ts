import { randomInteger, type Clock, type Random, type Timer } from '@concordat/foundation';
import type { BranchId } from '@concordat/commit-protocol';
import type { BranchIdentity } from './resource-manager.js';

/** A look at what is watched comes so many times in one termination timeout. */
const LOOKS_PER_TIMEOUT = 8;
/** in termination timeouts */
const MAXIMUM_WAIT_FACTOR = 8;

export interface TerminationWatchPorts {
  readonly clock: Clock;
  readonly random: Random;
  /** half of the timeout has passed without a word from a coordinator: it may still give one */
  inquire(branch: BranchIdentity): void;
  /** all of it has passed: the branches are to decide among themselves */
  terminate(branch: BranchIdentity): void;
}

interface Watched {
  readonly branch: BranchIdentity;
  /** when it came under watch; all times are monotonic: nobody sets that clock */
  readonly since: number;
  inquireAt: number;
  terminateAt: number;
  hasInquired: boolean;
  /** since the last word of a coordinator */
  reminders: number;
}

/**
 * Measures how long branches of transactions in three phases have not heard from a coordinator (protocol section 6,
 * termination). It only says that it is time; whether there is anything to decide, the database says.
 *
 * Whoever is not answered is reminded again and again, each time at a moment drawn anew and after twice the time, up
 * to eight timeouts: where messages take long, branches that remind themselves at a constant pace outbid each other for
 * minutes (`ballot-duels.spec.ts`). Nothing runs while nothing is watched.
 */
export class TerminationWatch {
  private readonly watched = new Map<BranchId, Watched>();
  private timer: Timer | undefined;
  private stopped = false;

  /** @param timeoutMs since the last word of a coordinator, in milliseconds; up to half of it more is jitter */
  constructor(
    private readonly timeoutMs: number,
    private readonly ports: TerminationWatchPorts,
  ) {}

  get size(): number {
    return this.watched.size;
  }

  /** From now on, unless it is watched already. */
  watch({ transactionId, branchId }: BranchIdentity): void {
    if (this.stopped || this.watched.has(branchId)) return;
    const now = this.ports.clock.monotonic();
    this.watched.set(branchId, { branch: { transactionId, branchId }, since: now, ...this.moments(now, 0) });
    this.lookLater();
  }

  /** A coordinator has said something about the branch. */
  heard(branchId: BranchId): void {
    const watched = this.watched.get(branchId);
    if (watched) Object.assign(watched, this.moments(this.ports.clock.monotonic(), 0));
  }

  forget(branchId: BranchId): void {
    this.watched.delete(branchId);
  }

  /** Of those that were under watch before `asOf` (monotonic), only these are still in doubt; others have ended elsewhere. */
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
      } else if (now >= watched.inquireAt && !watched.hasInquired) {
        watched.hasInquired = true;
        this.ports.inquire(watched.branch);
      }
    }
    this.lookLater();
  }

  private lookLater(): void {
    if (this.timer || this.stopped || this.watched.size === 0) return;
    const delayMs = Math.max(1, Math.floor(this.timeoutMs / LOOKS_PER_TIMEOUT));
    this.timer = this.ports.clock.setTimer(delayMs, () => this.look());
  }

  private moments(
    now: number,
    reminders: number,
  ): Pick<Watched, 'inquireAt' | 'terminateAt' | 'hasInquired' | 'reminders'> {
    const jitterMs = randomInteger(this.ports.random, 0, Math.ceil(this.timeoutMs / 2));
    return {
      inquireAt: now + this.timeoutMs / 2,
      terminateAt: now + this.timeoutMs * Math.min(2 ** reminders, MAXIMUM_WAIT_FACTOR) + jitterMs,
      hasInquired: false,
      reminders,
    };
  }
}
