import type { ParticipantRecord } from './records.js';

/** A participant with its operations, for operators. */
export interface ParticipantState {
  readonly name: string;
  readonly operations: ReadonlySet<string>;
}

export interface ParticipantSnapshot {
  readonly name: string;
  readonly operations: readonly string[];
}

/** Part of the replicated state: the participants that have announced themselves, each with its latest operations. */
export class KnownParticipants {
  private readonly byName = new Map<string, ParticipantState>();

  get(name: string): ParticipantState | undefined {
    return this.byName.get(name);
  }

  all(): Iterable<ParticipantState> {
    return this.byName.values();
  }

  announce({ name, operations }: Pick<ParticipantRecord, 'name' | 'operations'>): void {
    this.byName.set(name, { name, operations: new Set(operations) });
  }

  snapshot(): ParticipantSnapshot[] {
    return [...this.byName.values()].map(({ name, operations }) => ({ name, operations: [...operations] }));
  }

  restore(participants: readonly ParticipantSnapshot[]): void {
    this.byName.clear();
    for (const participant of participants) this.announce(participant);
  }
}
