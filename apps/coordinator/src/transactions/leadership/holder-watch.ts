import type { Clock, Timer } from '@concordat/foundation';
import type { TransactionState } from '@concordat/commit-protocol';
import type { InstanceStreams } from '@concordat/messaging';

/** Between two looks at the streams of the holders. */
export const HOLDER_CHECK_MS = 500;

export interface HolderWatchPorts {
  readonly clock: Clock;
  /** undefined: no instance can be reached, so none is there */
  readonly instances: () => InstanceStreams | undefined;
  /** how long an instance may be away, in milliseconds */
  readonly graceMs: number;
  readonly onGone: (participant: string, instance: string) => void;
}

/**
 * Watches the instances that hold branches of one undecided transaction. An instance whose stream has been away for the
 * grace period is reported, and again at every look: the machine knows whether that still matters.
 */
export class HolderWatch {
  /** by participant and instance, the monotonic time since which it is away */
  private readonly awaySince = new Map<string, number>();
  private timer: Timer | undefined;

  constructor(
    private readonly ports: HolderWatchPorts,
    private readonly transaction: () => TransactionState,
  ) {}

  /** Begins to watch if there is something to watch; call it again when a branch has joined. */
  start(): void {
    if (this.timer || !this.transaction().branches.some(({ heldBy }) => heldBy !== undefined)) return;
    this.look();
  }

  cancel(): void {
    this.timer?.cancel();
    this.timer = undefined;
  }

  private look(): void {
    const { clock, onGone } = this.ports;
    this.timer = clock.setTimer(HOLDER_CHECK_MS, () => this.look());
    for (const { participant, heldBy } of this.transaction().branches) {
      if (heldBy !== undefined && this.isGone(participant, heldBy)) onGone(participant, heldBy);
    }
  }

  private isGone(participant: string, instance: string): boolean {
    const { clock, instances, graceMs } = this.ports;
    const key = `${participant}/${instance}`;
    if (instances()?.has(participant, instance) === true) {
      this.awaySince.delete(key);
      return false;
    }
    const now = clock.monotonic();
    const since = this.awaySince.get(key) ?? now;
    this.awaySince.set(key, since);
    return now - since >= graceMs;
  }
}
