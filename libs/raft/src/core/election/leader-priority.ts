import type { NodeId } from '../types.js';

/** Election timeouts between a failed transfer and the next. */
const PAUSE_ELECTION_TIMEOUTS = 10;

/**
 * A voter of higher priority gets the leadership by transfer, never by a shorter timeout, so priorities cannot harm the
 * liveness of elections. Checked once per election timeout, less often after a failure.
 */
export class LeaderPriority {
  private pauseTicks: number;

  constructor(private readonly electionTicks: number) {
    this.pauseTicks = electionTicks;
  }

  /** One tick; true when the leader must look for a voter of higher priority. */
  tick(): boolean {
    if (--this.pauseTicks > 0) return false;
    this.pauseTicks = this.electionTicks;
    return true;
  }

  handedOver(): void {
    this.pauseTicks = this.electionTicks * PAUSE_ELECTION_TIMEOUTS;
  }
}

/** A possible successor, from the leader's view. */
export interface Successor {
  readonly nodeId: NodeId;
  readonly priority: number;
}

/** The successor of highest priority above `priority`, the lowest id among equals; undefined when there is none. */
export function preferredSuccessor(successors: Iterable<Successor>, priority: number): NodeId | undefined {
  let best: Successor | undefined;
  for (const successor of successors) {
    if (successor.priority > (best?.priority ?? priority)) best = successor;
  }
  return best?.nodeId;
}
