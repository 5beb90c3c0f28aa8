import { incarnationOf, isMember, memberWithId } from './configuration.js';
import type { Configuration, Incarnation, Introduction, NodeId } from '../types.js';

interface Sighting {
  readonly incarnation: Incarnation;
  ticksAgo: number;
}

/**
 * Members that introduced themselves lately under another incarnation than the one which has their rights: they have
 * lost their directory, or are a second process with the id of a living one. Every node keeps them, so that each can
 * say why there is no leader; a leader acts on them (`ReturningMembers`).
 */
export class OtherIncarnations {
  private readonly met = new Map<NodeId, Sighting>();

  /** @param memoryTicks after which one that is silent is forgotten; it introduces itself more often than that */
  constructor(private readonly memoryTicks: number) {}

  get isEmpty(): boolean {
    return this.met.size === 0;
  }

  introduced({ from, fromIncarnation }: Introduction): void {
    this.met.set(from, { incarnation: fromIncarnation, ticksAgo: 0 });
  }

  tick(): void {
    for (const [nodeId, sighting] of this.met) if (++sighting.ticksAgo > this.memoryTicks) this.met.delete(nodeId);
  }

  /** Those that the configuration knows under another incarnation, by id. */
  membersOf(configuration: Configuration): ReadonlyMap<NodeId, Incarnation> {
    const others = new Map<NodeId, Incarnation>();
    for (const [nodeId, { incarnation }] of this.met) {
      if (!isMember(configuration, nodeId)) continue;
      const named = incarnationOf(configuration, nodeId);
      const isNamed = named === incarnation || memberWithId(configuration, nodeId)!.nextIncarnation === incarnation;
      if (named !== 0 && !isNamed) others.set(nodeId, incarnation);
    }
    return others;
  }
}
