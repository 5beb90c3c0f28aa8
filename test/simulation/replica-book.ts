import { canonicalJson } from '@concordat/foundation';
import type { AppliedRecord, DecisionLog, TransactionStatus } from '../../apps/coordinator/src/index.js';
import { rankOf } from './answer-book.js';

/** What the nodes of the group make of the log: all of them, in all their lives, the same. */
export class ReplicaBook {
  private readonly applied: string[] = [];
  private readonly states = new Map<number, string>();
  private readonly leaders = new Map<number, number>();
  private readonly terms = new Map<number, number>();

  /** @param comparedEvery the whole states of the nodes are compared at every so many-th index */
  constructor(
    private readonly violate: (rule: string) => void,
    private readonly comparedEvery: number,
  ) {}

  /** Raft, election safety. */
  leads(nodeId: number, term: number): void {
    const known = this.leaders.get(term);
    if (known !== undefined && known !== nodeId) this.violate(`nodes ${known} and ${nodeId} both lead term ${term}`);
    this.leaders.set(term, nodeId);
    this.terms.set(nodeId, term);
  }

  get leaderCount(): number {
    return this.leaders.size;
  }

  /** The last one that a node has led, or 0. */
  termOf(nodeId: number): number {
    return this.terms.get(nodeId) ?? 0;
  }

  /**
   * State machine safety: every node makes the same of the same entry.
   *
   * @param isFirst told what was applied, when no node has applied that index before
   */
  hasApplied(nodeId: number, log: DecisionLog, applied: AppliedRecord, isFirst: (summary: string) => void): void {
    const { index, record, result } = applied;
    const summary = canonicalJson({ record, result });
    const known = this.applied[index];
    if (known === undefined) {
      this.applied[index] = summary;
      isFirst(summary);
    } else if (known !== summary) {
      this.violate(`node ${nodeId} applied at ${index}\n  ${summary}\nanother one\n  ${known}`);
    }
    if (index % this.comparedEvery === 0) this.compareState(nodeId, log, index);
  }

  /** The whole state at an index, as a snapshot would carry it, and the archive behind it. */
  compareState(nodeId: number, { state }: DecisionLog, index: number): void {
    const summary = canonicalJson({
      ...state.takeSnapshot(),
      archived: [...state.archive.newestFirst()].map(({ transactionId, outcome }) => [transactionId, outcome]),
    });
    const known = this.states.get(index);
    if (known === undefined) this.states.set(index, summary);
    else if (known !== summary) {
      this.violate(`the state of node ${nodeId} at ${index} is\n  ${summary}\nanother one's\n  ${known}`);
    }
  }

  /** A node's own view of a transaction, in the order in which it shows it. */
  statusShown(nodeId: number, seen: Map<string, number>, transactionId: string, status: TransactionStatus): void {
    const rank = rankOf(status);
    if (rank < (seen.get(transactionId) ?? 0))
      this.violate(`node ${nodeId} showed ${transactionId} go back to ${status}`);
    seen.set(transactionId, rank);
  }
}
