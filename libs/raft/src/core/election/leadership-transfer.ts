import type { NodeId } from '../types.js';

/**
 * - `TRANSFER_IN_PROGRESS`: leadership is being transferred to another node
 * - `ALREADY_LEADER`: the target is this node
 * - `NOT_A_VOTER`: the target is a learner, is about to leave, or is no member at all
 */
export type TransferRefusal = 'TRANSFER_IN_PROGRESS' | 'ALREADY_LEADER' | 'NOT_A_VOTER';

/**
 * A leader on its way out (thesis, section 3.10). It takes no proposals; once the target holds its whole log it
 * tells the target to stand for election at once, and repeats that with every answer of the target. After one
 * election timeout it gives up and goes on leading.
 *
 *     waiting for the target to catch up --> told --> another leads;  any --election timeout--> given up
 */
export class LeadershipTransfer {
  private ticks = 0;

  constructor(
    readonly target: NodeId,
    private readonly timeoutTicks: number,
  ) {}

  /** One tick; true when it is to be given up. */
  tick(): boolean {
    return ++this.ticks >= this.timeoutTicks;
  }
}
