import { invariant } from '@concordat/foundation';
import type { Entry, Snapshot } from '../core/types.js';
import type { PendingProposals } from './pending-proposals.js';
import type { StateMachine } from './ports.js';
import type { SnapshotKeeper } from './snapshot-keeper.js';

/** Advances the state machine: by committed entries in order, each once, or by a snapshot in one step. */
export class Applier<Result> {
  private lastApplied = 0;

  constructor(
    private readonly stateMachine: StateMachine<Result>,
    private readonly proposals: PendingProposals<Result>,
    private readonly snapshots: SnapshotKeeper,
  ) {}

  get appliedIndex(): number {
    return this.lastApplied;
  }

  apply(entries: readonly Entry[]): void {
    const last = entries.at(-1);
    if (!last) return;
    for (const entry of entries) {
      invariant(entry.index === this.lastApplied + 1, 'entries are applied in order, each once');
      if (entry.kind === 'normal') {
        const result = this.stateMachine.apply(entry.data, entry.index, entry.term);
        if (this.proposals.awaits(entry.index)) this.proposals.applied(entry.index, entry.term, result);
      } else this.proposals.passedOver(entry.index);
      this.lastApplied = entry.index;
      this.snapshots.applied(entry);
    }
    this.stateMachine.applied?.(last.index);
  }

  /** Restores the state machine from a snapshot: its own when the node starts, later the leader's. In several steps. */
  *restore(snapshot: Snapshot): Generator<void, void> {
    const { index } = snapshot.metadata;
    const steps = this.stateMachine.restoreSnapshot(snapshot.data, snapshot.metadata);
    if (steps) yield* steps;
    this.proposals.passedOver(index);
    this.lastApplied = index;
    this.snapshots.restored(snapshot);
    this.stateMachine.applied?.(index);
  }
}
