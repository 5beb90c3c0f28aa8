import type { NodeId } from '../types.js';

/** After a hand-over that failed, so many election timeouts pass before the next. */
const PAUSE_ELECTION_TIMEOUTS = 10;

/**
 * A voter of higher priority gets the leadership by transfer, never by a shorter timeout, so a priority cannot harm
 * the liveness of elections. Looks once per election timeout, more seldom after a failure.
 */
export class LeaderPriority {
  private pauseTicks: number;

  constructor(private readonly electionTicks: number) {
    this.pauseTicks = electionTicks;
  }

  /** One tick; true when it is time to look for a better leader. */
  tick(): boolean {
    if (--this.pauseTicks > 0) return false;
    this.pauseTicks = this.electionTicks;
    return true;
  }

  handedOver(): void {
    this.pauseTicks = this.electionTicks * PAUSE_ELECTION_TIMEOUTS;
  }
}

/** A candidate for the leadership, as its leader sees it. */
export interface Successor {
  readonly nodeId: NodeId;
  readonly priority: number;
}

/** The one of highest priority above `priority`, the lowest id among equals; undefined when there is none. */
export function preferredSuccessor(successors: Iterable<Successor>, priority: number): NodeId | undefined {
  let best: Successor | undefined;
  for (const successor of successors) {
    if (successor.priority > (best?.priority ?? priority)) best = successor;
  }
  return best?.nodeId;
}
