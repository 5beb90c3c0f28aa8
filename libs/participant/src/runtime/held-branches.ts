import { errorMessage, type Clock, type JsonValue, type Logger } from '@concordat/foundation';
import type { BranchError, BranchId } from '@concordat/commit-protocol';
import { ParticipantConfigurationError, ParticipantStoppedError } from './errors.js';
import { Held, type HeldBranch } from './held-branch.js';
import { HeldPlaces } from './held-places.js';
import type { BranchIdentity, BranchWork, HeldWork, ResourceManager, VoteResult } from './resource-manager.js';
import { timeLeftMs } from './time-left.js';

/** What a process asks for when it holds a branch. */
export interface HoldRequest extends HeldWork {
  /**
   * held branches of this process that end only after this one: those of the transactions around it (`REQUIRES_NEW`). A
   * wait for one of their own places is then refused at once
   */
  readonly suspends?: readonly BranchId[];
}

export interface HeldBranchesPorts<Context> {
  readonly resourceManager: ResourceManager<Context>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** branches that may be held at once */
  readonly maximum: number;
  /** holds that may wait for a place */
  readonly maximumWaiting: number;
  /** whether the database has room for one more prepared branch */
  readonly hasRoom: () => boolean;
  /** a place became free: other work may start */
  readonly onFreed: () => void;
  /** a branch is prepared */
  readonly onPrepared: (branchId: BranchId) => void;
}

const STOPPING: BranchError = { code: 'INSTANCE_STOPPED', message: 'the process that held the branch is stopping' };
const ABORTED: BranchError = { code: 'BRANCH_ABORTED', message: 'the transaction was aborted' };

/** The branches that this process holds between calls, and the queue for their places. */
export class HeldBranches<Context> {
  private readonly held = new Map<BranchId, Held<Context>>();
  private readonly places: HeldPlaces;
  private stopped = false;

  constructor(private readonly ports: HeldBranchesPorts<Context>) {
    this.places = new HeldPlaces(ports);
  }

  /** Sessions that are open, or about to be. */
  get count(): number {
    return this.places.takenCount;
  }

  get waitingCount(): number {
    return this.places.waitingCount;
  }

  /** How long the oldest branch has been held, in milliseconds; 0 when none is. */
  get oldestMs(): number {
    const oldest = this.held.values().next();
    return oldest.done ? 0 : this.ports.clock.monotonic() - oldest.value.heldSince;
  }

  /** See `ParticipantRuntime.hold`. */
  async hold({ suspends = [], ...work }: HoldRequest): Promise<HeldBranch<Context>> {
    const { resourceManager, clock, logger } = this.ports;
    if (!resourceManager.hold) {
      throw new ParticipantConfigurationError('the resource manager of this participant cannot hold branches');
    }
    this.refuseAfterStop();
    const { branchId } = work;
    await this.places.take(branchId, timeLeftMs(work, clock), suspends);
    try {
      const session = await resourceManager.hold(work);
      const held = new Held(work, session, {
        clock,
        logger,
        onClosed: () => this.places.free(branchId),
        onEnded: (end) => {
          this.held.delete(branchId);
          if (end === 'prepared') this.ports.onPrepared(branchId);
        },
      });
      this.held.set(branchId, held);
      if (this.stopped) await held.close(STOPPING);
      this.refuseAfterStop();
      return held;
    } catch (error) {
      this.places.free(branchId);
      throw error;
    }
  }

  /** The vote that the leader asks for; undefined when this process does not hold the branch. */
  vote(work: BranchWork, results?: readonly JsonValue[]): Promise<VoteResult | 'busy'> | undefined {
    const held = this.find(work);
    return held?.vote({ ...work, preparedByService: false }, results);
  }

  /** The transaction is aborted: closes the session at once. Undefined when this process does not hold the branch. */
  close(branch: BranchIdentity): Promise<void> | undefined {
    return this.find(branch)?.close(ABORTED);
  }

  /** There may be room in the database again. */
  wake(): void {
    this.places.wake();
  }

  /** Rolls all of them back. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.places.refuseAll(
      new ParticipantStoppedError('the participant is stopping; hold the branch in another process'),
    );
    await Promise.all(
      [...this.held.values()].map(async (held) => {
        try {
          await held.rollBack(STOPPING);
        } catch (error) {
          const which = `held branch ${held.branchId} of transaction ${held.transactionId}`;
          this.ports.logger.warn(`${which} has no tombstone: ${errorMessage(error)}`);
        }
      }),
    );
  }

  private find({ transactionId, branchId }: BranchIdentity): Held<Context> | undefined {
    const held = this.held.get(branchId);
    return held?.transactionId === transactionId ? held : undefined;
  }

  private refuseAfterStop(): void {
    if (this.stopped)
      throw new ParticipantStoppedError('the participant is stopping; hold the branch in another process');
  }
}
