import type { NodeId } from '../types.js';

/**
 * - `TRANSFER_IN_PROGRESS`: leadership is being transferred to another node
 * - `ALREADY_LEADER`: the target is this node
 * - `NOT_A_VOTER`: the target is a learner, is leaving, or is no member
 */
export type TransferRefusal = 'TRANSFER_IN_PROGRESS' | 'ALREADY_LEADER' | 'NOT_A_VOTER';

/**
 * A leadership transfer (thesis, section 3.10). The leader accepts no proposals. Once the target has its whole log, the
 * leader sends `timeout-now`, and repeats that after every answer of the target. After one election timeout the leader
 * gives the transfer up.
 *
 *     waiting for the target to catch up --> timeout-now sent --> another leads;  any --election timeout--> given up
 */
export class LeadershipTransfer {
  private ticks = 0;

  constructor(
    readonly target: NodeId,
    private readonly timeoutTicks: number,
  ) {}

  /** One tick; true when the transfer must be given up. */
  tick(): boolean {
    return ++this.ticks >= this.timeoutTicks;
  }
}
