import type { OtherIncarnations } from './other-incarnations.js';
import type { MembershipChange } from './membership-change.js';
import type { Configuration, NodeId } from '../types.js';

/** The leader's knowledge of its followers. */
interface Followers {
  isActive(nodeId: NodeId): boolean;
  hasCaughtUp(nodeId: NodeId): boolean;
}

/**
 * How a leader takes back members that lost their directory. It replaces the old, silent incarnation by a learner with
 * the new one, and promotes that when it has caught up. A quorum without the lost vote commits both changes, so they
 * happen only where no committed entry can be missing.
 *
 * While the old incarnation answers, the new one is a second process with the same id, and is ignored.
 */
export class ReturningMembers {
  /** how long each has been waiting while the old incarnation was silent */
  private readonly waitedTicks = new Map<NodeId, number>();

  constructor(
    private readonly otherIncarnations: OtherIncarnations,
    private readonly patienceTicks: number,
  ) {}

  /** One tick. @returns the change that is due */
  tick(configuration: Configuration, followers: Followers): MembershipChange | undefined {
    const strangers = this.otherIncarnations.membersOf(configuration);
    for (const nodeId of this.waitedTicks.keys()) if (!strangers.has(nodeId)) this.waitedTicks.delete(nodeId);
    let due: MembershipChange | undefined;
    for (const [nodeId, incarnation] of strangers) {
      const waited = followers.isActive(nodeId) ? 0 : (this.waitedTicks.get(nodeId) ?? 0) + 1;
      this.waitedTicks.set(nodeId, waited);
      if (waited >= this.patienceTicks) due ??= { type: 'return', nodeId, incarnation };
    }
    const returned = configuration.members.find(({ nodeId, returning }) => returning && followers.hasCaughtUp(nodeId));
    return due ?? (returned && { type: 'promote', nodeId: returned.nodeId });
  }
}
