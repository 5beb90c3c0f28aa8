import { randomInteger } from '@concordat/foundation';
import type { Random } from '@concordat/foundation';
import { hasQuorum } from '../membership/quorum.js';
import { incarnationOf } from '../membership/configuration.js';
import type { Configuration, Incarnation, NodeId } from '../types.js';

/** Counts ticks without a leader; each wait is drawn anew from [n, 2n) (paper, section 5.2). */
export class ElectionTimer {
  private elapsed = 0;
  private timeoutTicks = 0;

  constructor(
    private readonly electionTicks: number,
    private readonly random: Random,
  ) {
    this.reset();
  }

  reset(): void {
    this.elapsed = 0;
    this.timeoutTicks = randomInteger(this.random, this.electionTicks, 2 * this.electionTicks - 1);
  }

  /** One tick; true when the wait is over. */
  tick(): boolean {
    return ++this.elapsed >= this.timeoutTicks;
  }

  /** Whether less than the shortest wait has passed: nobody else can have timed out by then. */
  isWithinMinimum(): boolean {
    return this.elapsed < this.electionTicks;
  }
}

/**
 * The votes (or pre-votes) of one candidate in one election. A voter's repeated answer counts once, and only that of the
 * incarnation which the configuration names: another one does not know what was promised under that id.
 */
export class VoteTally {
  private readonly granted = new Set<NodeId>();

  constructor(private readonly configuration: Configuration) {}

  grant(voter: NodeId, incarnation: Incarnation): void {
    if (incarnationOf(this.configuration, voter) === incarnation) this.granted.add(voter);
  }

  hasGranted(voter: NodeId): boolean {
    return this.granted.has(voter);
  }

  /** Whether a quorum granted its vote. Refusals need no count: the timer ends a lost election. */
  hasWon(): boolean {
    return hasQuorum(this.configuration, (voter) => this.granted.has(voter));
  }
}
