/** An instance that has not announced itself for this long is not alive; three announcements fit into it. */
export const INSTANCE_EXPIRY_MS = 35_000;
/** Instances of one participant; beyond that, the one that was silent longest is forgotten. */
export const MAXIMUM_INSTANCES = 64;

interface Instance {
  readonly operations: ReadonlySet<string>;
  readonly announcedAt: number;
  /** undefined: it does not say which */
  readonly database: string | undefined;
}

/**
 * The operations of each live process of each participant, from its announcements. Lives in the memory of a leader; a
 * new leader starts empty. Times are milliseconds of a monotonic clock.
 */
export class LiveInstances {
  /** by participant, then by instance, in the order of their latest announcements */
  private readonly byParticipant = new Map<string, Map<string, Instance>>();

  announce(participant: string, instance: string, operations: readonly string[], now: number, database?: string): void {
    const instances = this.byParticipant.get(participant) ?? new Map<string, Instance>();
    instances.delete(instance);
    instances.set(instance, { operations: new Set(operations), announcedAt: now, database });
    const [longestSilent] = instances.keys();
    if (instances.size > MAXIMUM_INSTANCES && longestSilent !== undefined) instances.delete(longestSilent);
    this.byParticipant.set(participant, instances);
  }

  /** Whether live processes of the participant use different databases, as far as they say. */
  usesSeveralDatabases(participant: string, now: number): boolean {
    const databases = new Set<string>();
    for (const { announcedAt, database } of this.byParticipant.get(participant)?.values() ?? [])
      if (database !== undefined && now - announcedAt < INSTANCE_EXPIRY_MS) databases.add(database);
    return databases.size > 1;
  }

  /** Removes a process that announced its stop. */
  leave(participant: string, instance: string): void {
    const instances = this.byParticipant.get(participant);
    instances?.delete(instance);
    if (instances?.size === 0) this.byParticipant.delete(participant);
  }

  /**
   * The operations that every live instance serves, so that any of them can do the work; undefined when none is alive.
   */
  servedByAll(participant: string, now: number): ReadonlySet<string> | undefined {
    const instances = this.byParticipant.get(participant);
    if (!instances) return undefined;
    for (const [name, { announcedAt }] of instances)
      if (now - announcedAt >= INSTANCE_EXPIRY_MS) instances.delete(name);
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
