import type { BranchId } from '@concordat/commit-protocol';
import type { Clock, Timer } from '@concordat/foundation';
import { BranchOccupiedError, HeldBranchesExhaustedError } from './errors.js';

export interface HeldPlacesPorts {
  readonly clock: Clock;
  /** branches that may be held at once */
  readonly maximum: number;
  /** holds that may wait */
  readonly maximumWaiting: number;
  /** whether the database has room for one more prepared branch; call `wake` when that may have changed */
  readonly hasRoom: () => boolean;
  /** a place became free */
  readonly onFreed: () => void;
}

interface Waiter {
  /** held branches that end only after this one has been held */
  readonly suspends: readonly BranchId[];
  readonly timer: Timer;
  readonly admit: () => void;
  readonly refuse: (error: Error) => void;
}

/**
 * The places for held branches. They are fewer than the connections for work, so that branches which wait for their
 * next call never stop the work of others. Who finds none waits, in order, and never beyond its deadline.
 *
 * A wait that cannot end is refused at once: every place belongs to a branch that is suspended until one of those that
 * wait has been held.
 */
export class HeldPlaces {
  private readonly taken = new Set<BranchId>();
  private readonly waiting = new Map<BranchId, Waiter>();

  constructor(private readonly ports: HeldPlacesPorts) {}

  get takenCount(): number {
    return this.taken.size;
  }

  get waitingCount(): number {
    return this.waiting.size;
  }

  /**
   * Resolves when the branch has a place.
   *
   * @param limitMs how long it may wait, in milliseconds
   * @param suspends held branches of this process that end only after this one
   * @throws HeldBranchesExhaustedError
   * @throws BranchOccupiedError when this process holds the branch already
   */
  async take(branchId: BranchId, limitMs: number, suspends: readonly BranchId[]): Promise<void> {
    if (this.taken.has(branchId) || this.waiting.has(branchId)) throw new BranchOccupiedError(branchId);
    if (limitMs <= 0) throw exhausted('its deadline has passed', this.ports.maximum);
    if (this.waiting.size === 0 && this.mayStart()) {
      this.taken.add(branchId);
      return;
    }
    if (this.waiting.size >= this.ports.maximumWaiting) {
      throw exhausted(`${this.waiting.size} others wait`, this.ports.maximum);
    }
    if (this.waitsForItself(suspends)) {
      throw exhausted(
        'every place belongs to a transaction that waits for a new one inside it (REQUIRES_NEW): none would ever become free',
        this.ports.maximum,
      );
    }
    await this.wait(branchId, limitMs, suspends);
  }

  free(branchId: BranchId): void {
    if (!this.taken.delete(branchId)) return;
    this.wake();
    this.ports.onFreed();
  }

  /** Admits those that wait, as far as there is room. */
  wake(): void {
    while (this.mayStart()) {
      const next = this.waiting.entries().next();
      if (next.done) return;
      const [branchId, { timer, admit }] = next.value;
      this.waiting.delete(branchId);
      this.taken.add(branchId);
      timer.cancel();
      admit();
    }
  }

  /** Refuses all that wait. */
  refuseAll(error: Error): void {
    for (const { timer, refuse } of this.waiting.values()) {
      timer.cancel();
      refuse(error);
    }
    this.waiting.clear();
  }

  private wait(branchId: BranchId, limitMs: number, suspends: readonly BranchId[]): Promise<void> {
    return new Promise((admit, refuse) => {
      const timer = this.ports.clock.setTimer(limitMs, () => {
        this.waiting.delete(branchId);
        refuse(exhausted('none became free before its deadline', this.ports.maximum));
      });
      this.waiting.set(branchId, { suspends, timer, admit, refuse });
    });
  }

  private waitsForItself(suspends: readonly BranchId[]): boolean {
    if (this.taken.size < this.ports.maximum) return false;
    const suspended = new Set(suspends);
    for (const waiter of this.waiting.values()) for (const branchId of waiter.suspends) suspended.add(branchId);
    return [...this.taken].every((branchId) => suspended.has(branchId));
  }

  private mayStart(): boolean {
    return this.taken.size < this.ports.maximum && this.ports.hasRoom();
  }
}

function exhausted(why: string, maximum: number): HeldBranchesExhaustedError {
  return new HeldBranchesExhaustedError(
    `there is no place for another held branch (limits.heldBranches is ${maximum}): ${why}; ` +
      'hold branches for a shorter time, or raise workConnections and limits.heldBranches',
  );
}
