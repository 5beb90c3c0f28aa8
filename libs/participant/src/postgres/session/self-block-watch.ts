import { errorMessage, type Clock, type Logger, type Timer } from '@concordat/foundation';
import type { BranchAddress } from '@concordat/commit-protocol';

/** How long a statement runs before it is asked what it waits for, and between two such looks. */
const LOOK_INTERVAL_MS = 100;

export interface SelfBlockWatchPorts {
  /** for the log */
  readonly branch: Pick<BranchAddress, 'transactionId' | 'branchId'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** ends the wait if it is for a prepared branch of the same transaction; whether it was */
  readonly endSelfBlock: () => Promise<boolean>;
  readonly onSelfBlocked: () => void;
}

/**
 * Looks what a statement of a held branch waits for, when it takes long. A wait for a prepared branch of the same
 * transaction would never end: that branch ends only after this one has voted.
 */
export class SelfBlockWatch {
  private timer: Timer | undefined;
  private looking: Promise<void> | undefined;

  constructor(private readonly ports: SelfBlockWatchPorts) {}

  /** The session has begun to wait for answers. */
  begin(): void {
    this.timer?.cancel();
    this.timer = this.ports.clock.setTimer(LOOK_INTERVAL_MS, () => {
      this.looking ??= this.look().finally(() => (this.looking = undefined));
    });
  }

  /** The look that is under way: a statement that was cancelled may learn from it why. */
  get looked(): Promise<void> | undefined {
    return this.looking;
  }

  /** The session has all answers. */
  end(): void {
    this.timer?.cancel();
    this.timer = undefined;
  }

  private async look(): Promise<void> {
    try {
      if (await this.ports.endSelfBlock()) return this.ports.onSelfBlocked();
    } catch (error) {
      const { branchId, transactionId } = this.ports.branch;
      const which = `held branch ${branchId} of transaction ${transactionId}`;
      this.ports.logger.debug(`what ${which} waits for could not be read: ${errorMessage(error)}`);
    }
    if (this.timer) this.begin();
  }
}
