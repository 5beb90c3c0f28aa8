import type { BranchId } from '@concordat/commit-protocol';
import type { Clock, Timer } from '@concordat/foundation';

/** A branch that is prepared for longer waits for something else than its turn. */
const RECENT_MS = 5_000;
/** The rest is for programs that share the server. */
const USED_SHARE = 3 / 4;

export interface PreparedPlacesPorts {
  readonly clock: Clock;
  /** how many branches the database can hold prepared; `Infinity` if it has no limit */
  readonly maximum: () => number;
  /** called when there may be room again */
  readonly onRoom: () => void;
}

/**
 * The places for prepared branches in the database. A database has a fixed number of them (`max_prepared_transactions`),
 * and work that finds none must vote no. So work starts only while the branches before it are ended in time.
 *
 * Counted are branches that this process prepared in the last 5 s and has not ended. Older ones, and those of others,
 * only reduce the places. So branches that wait for a coordinator cannot stop all work, and two participants cannot
 * wait for each other for longer than that.
 */
export class PreparedPlaces {
  /** prepared by this process and not ended, with the monotonic time of the vote; the oldest first */
  private readonly recent = new Map<BranchId, number>();
  private others = 0;
  private timer: Timer | undefined;

  constructor(private readonly ports: PreparedPlacesPorts) {}

  /** @param running branches at work, each of which may be prepared soon */
  hasRoom(running: number): boolean {
    const usable = Math.floor((this.ports.maximum() - this.others) * USED_SHARE);
    return this.recent.size + running < Math.max(1, usable);
  }

  take(branchId: BranchId): void {
    if (this.recent.has(branchId)) return;
    this.recent.set(branchId, this.ports.clock.monotonic());
    this.timer ??= this.ports.clock.setTimer(RECENT_MS, () => this.expire());
  }

  free(branchId: BranchId): void {
    if (this.recent.delete(branchId)) this.ports.onRoom();
  }

  /** @param prepared all branches that are prepared in the database, as of a moment ago */
  observe(prepared: readonly { readonly branchId: BranchId }[]): void {
    this.others = prepared.filter(({ branchId }) => !this.recent.has(branchId)).length;
    this.ports.onRoom();
  }

  stop(): void {
    this.timer?.cancel();
  }

  private expire(): void {
    this.timer = undefined;
    const { clock, onRoom } = this.ports;
    const now = clock.monotonic();
    for (const [branchId, since] of this.recent) {
      const leftMs = since + RECENT_MS - now;
      if (leftMs > 0) {
        // not less than one: a rest of a rounding would come again and again without time going on
        this.timer = clock.setTimer(Math.max(1, leftMs), () => this.expire());
        break;
      }
      this.recent.delete(branchId);
      this.others++;
    }
    onRoom();
  }
}
