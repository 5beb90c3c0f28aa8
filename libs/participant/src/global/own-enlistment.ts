import type { Clock, Timer } from '@concordat/foundation';
import type { HeldEnlistment } from './ports.js';

/**
 * A branch that nobody has named to the coordinators for so long enlists itself. Until then the request to commit brings
 * it along, which saves a request and a write; after it, the coordinators know whom to tell of an abort.
 */
export const ENLIST_AFTER_MS = 2_000;

export interface OwnEnlistmentPorts {
  readonly clock: Clock;
  readonly enlist: (branch: HeldEnlistment) => Promise<void>;
  /** the branch can only abort; called once */
  readonly onRefused: (error: unknown) => void;
}

/**
 * Enlists the branch of this process: at the first call of `now`, or by itself after a while, or never, when its session
 * has ended before. States: waiting → enlisting → enlisted or refused; waiting → over.
 */
export class OwnEnlistment {
  private readonly timer: Timer;
  private enlisting: Promise<void> | undefined;

  constructor(
    readonly branch: HeldEnlistment,
    private readonly ports: OwnEnlistmentPorts,
  ) {
    this.timer = ports.clock.setTimer(ENLIST_AFTER_MS, () => void this.now().catch(() => undefined)); // `onRefused` has it
  }

  /** Resolves when the coordinators know the branch. @throws why they do not take it */
  now(): Promise<void> {
    this.timer.cancel();
    if (!this.enlisting) {
      this.enlisting = this.ports.enlist(this.branch);
      this.enlisting.catch((error: unknown) => this.ports.onRefused(error));
    }
    return this.enlisting;
  }

  /** Whether the coordinators may know the branch. */
  get isUnderWay(): boolean {
    return this.enlisting !== undefined;
  }

  /** The session has ended: there is nothing left to enlist. */
  over(): void {
    this.timer.cancel();
  }
}
