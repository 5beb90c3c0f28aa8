import type { Clock, Timer } from '@concordat/foundation';
import type { CoordinatorEvent, TransactionState } from '@concordat/commit-protocol';
import type { InstanceStreams } from '@concordat/messaging';
import type { Holder } from '../transactions.api.js';

/** Between two looks at the streams of the holders. */
export const HOLDER_CHECK_MS = 500;

/** A holder that is away, or the process that was to request the commit. */
export type GoneInstance = Extract<CoordinatorEvent, { type: 'instance-gone' | 'beginner-gone' }>;

export interface HolderWatchPorts {
  readonly clock: Clock;
  /** undefined: no instance can be reached, so none is there */
  readonly instances: () => InstanceStreams | undefined;
  /** how long an instance may be away, in milliseconds */
  readonly graceMs: number;
  readonly onGone: (gone: GoneInstance) => void;
}

/**
 * Watches the instances that hold branches of one undecided transaction, and the one that will request its commit. An
 * instance whose stream has been away for the grace period is reported, and again at every look: the machine knows
 * whether that still matters.
 */
export class HolderWatch {
  /** by participant and instance, the monotonic time since which it is away */
  private readonly awaySince = new Map<string, number>();
  private timer: Timer | undefined;

  constructor(
    private readonly ports: HolderWatchPorts,
    private readonly transaction: () => TransactionState,
    private readonly beginner?: Holder,
  ) {}

  /** Begins to watch if there is something to watch; call it again when a branch has joined. */
  start(): void {
    if (!this.timer && this.watched().length > 0) this.look();
  }

  cancel(): void {
    this.timer?.cancel();
    this.timer = undefined;
  }

  private look(): void {
    const { clock, onGone } = this.ports;
    this.timer = clock.setTimer(HOLDER_CHECK_MS, () => this.look());
    for (const watched of this.watched()) if (this.isGone(watched.participant, watched.instance)) onGone(watched);
  }

  private watched(): GoneInstance[] {
    const { branches, closed } = this.transaction();
    const holders = branches.flatMap(({ participant, heldBy }): GoneInstance[] =>
      heldBy === undefined ? [] : [{ type: 'instance-gone', participant, instance: heldBy }],
    );
    // Over Kafka alone nobody knows whether it is there.
    const beginner = closed || !this.ports.instances() ? undefined : this.beginner;
    return beginner ? [{ type: 'beginner-gone', ...beginner }, ...holders] : holders;
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
