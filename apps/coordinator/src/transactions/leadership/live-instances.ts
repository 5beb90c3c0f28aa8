/** An instance that has not announced itself for so long does not live any more; three announcements fit into it. */
export const INSTANCE_EXPIRY_MS = 35_000;
/** Instances of one participant at most; beyond, the one that has been silent for longest is forgotten. */
export const MAXIMUM_INSTANCES = 64;

interface Instance {
  readonly operations: ReadonlySet<string>;
  readonly heardAt: number;
}

/**
 * What each live process of each participant serves, as its announcements say. In the memory of a leader: a new one
 * hears it anew. Times in milliseconds of any clock that only goes forward.
 */
export class LiveInstances {
  /** by participant, then by instance, in the order in which they were last heard */
  private readonly byParticipant = new Map<string, Map<string, Instance>>();

  announce(participant: string, instance: string, operations: readonly string[], now: number): void {
    const instances = this.byParticipant.get(participant) ?? new Map<string, Instance>();
    instances.delete(instance);
    instances.set(instance, { operations: new Set(operations), heardAt: now });
    const [longestSilent] = instances.keys();
    if (instances.size > MAXIMUM_INSTANCES && longestSilent !== undefined) instances.delete(longestSilent);
    this.byParticipant.set(participant, instances);
  }

  /** A process has said good-bye. */
  leave(participant: string, instance: string): void {
    const instances = this.byParticipant.get(participant);
    instances?.delete(instance);
    if (instances?.size === 0) this.byParticipant.delete(participant);
  }

  /**
   * The operations that every live instance serves, so that whichever of them gets the work can do it; undefined when
   * none lives.
   */
  servedByAll(participant: string, now: number): ReadonlySet<string> | undefined {
    const instances = this.byParticipant.get(participant);
    if (!instances) return undefined;
    for (const [name, { heardAt }] of instances) if (now - heardAt >= INSTANCE_EXPIRY_MS) instances.delete(name);
    const [first, ...others] = instances.values();
    if (!first) {
      this.byParticipant.delete(participant);
      return undefined;
    }
    return new Set(
      [...first.operations].filter((operation) => others.every(({ operations }) => operations.has(operation))),
    );
  }
}
