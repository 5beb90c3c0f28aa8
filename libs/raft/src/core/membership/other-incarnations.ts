import { incarnationOf, isMember, memberWithId } from './configuration.js';
import type { Configuration, Incarnation, Introduction, NodeId } from '../types.js';

interface Sighting {
  readonly incarnation: Incarnation;
  ticksAgo: number;
}

/**
 * Members that recently introduced themselves with another incarnation than the one with their rights: they lost their
 * directory, or are a second process with the id of a live one. Every node keeps them to explain a missing leader; a
 * leader acts on them (`ReturningMembers`).
 */
export class OtherIncarnations {
  private readonly met = new Map<NodeId, Sighting>();

  /** @param memoryTicks after which a silent one is dropped; it introduces itself more often than that */
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

  /** Those that the configuration has with another incarnation, by id. */
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
