import { hasQuorum } from '../membership/quorum.js';
import { incarnationOf } from '../membership/configuration.js';
import type { Configuration, Incarnation, NodeId } from '../types.js';

/**
 * The votes (or pre-votes) of one candidate in one election. A voter's repeated answer counts once. Only the
 * incarnation in the configuration counts: another does not know what was promised under that id.
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
