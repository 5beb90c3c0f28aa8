import { invariant } from '@concordat/foundation';
import type { TransactionId } from '../vocabulary/types.js';

interface Waiting {
  readonly transactionId: TransactionId;
  readonly keys: readonly string[];
  /** keys at whose head it is not yet */
  missing: number;
}

/**
 * Admission by declared keys: transactions that will lock the same keys run one after another, in the order of their
 * arrival, instead of meeting in the databases as deadlocks and lock timeouts.
 *
 * One first-in-first-out queue per key. A transaction joins the queues of all its keys in one step and is admitted when
 * it is at the head of all of them, so no two can wait for each other. It leaves them when it is decided: its locks are
 * about to be released, and the work of the next one overlaps with its second phase.
 */
export class AdmissionQueue {
  private readonly queues = new Map<string, Waiting[]>();
  private readonly members = new Map<TransactionId, Waiting>();
  private waiting = 0;

  /** @param maximumWaiting maximum number of waiting transactions */
  constructor(private readonly maximumWaiting: number) {}

  get waitingCount(): number {
    return this.waiting;
  }

  /** Whether the maximum is waiting already. */
  get isFull(): boolean {
    return this.waiting >= this.maximumWaiting;
  }

  /** Whether a transaction with these keys would be admitted at once. */
  isFree(keys: Iterable<string>): boolean {
    for (const key of keys) if (this.queues.has(key)) return false;
    return true;
  }

  /** Joins the queues; true when it is admitted at once. A transaction without keys always is. */
  enter(transactionId: TransactionId, keys: Iterable<string>): boolean {
    invariant(!this.members.has(transactionId), 'a transaction enters admission once');
    const distinct = [...new Set(keys)];
    if (distinct.length === 0) return true;
    const entry: Waiting = { transactionId, keys: distinct, missing: 0 };
    this.members.set(transactionId, entry);
    for (const key of distinct) {
      const queue = this.queues.get(key);
      if (!queue) this.queues.set(key, [entry]);
      else if (queue.push(entry) > 1) entry.missing++;
    }
    if (entry.missing > 0) this.waiting++;
    return entry.missing === 0;
  }

  /** Leaves all queues, admitted or not; returns the transactions that are admitted by that, in order. */
  leave(transactionId: TransactionId): TransactionId[] {
    const entry = this.members.get(transactionId);
    if (!entry) return [];
    this.members.delete(transactionId);
    if (entry.missing > 0) this.waiting--;
    const admitted: TransactionId[] = [];
    for (const key of entry.keys) {
      const queue = this.queues.get(key);
      invariant(queue, 'every key of a member has a queue');
      const wasHead = queue[0] === entry;
      queue.splice(queue.indexOf(entry), 1);
      const next = queue[0];
      if (!next) this.queues.delete(key);
      else if (wasHead && --next.missing === 0) {
        this.waiting--;
        admitted.push(next.transactionId);
      }
    }
    return admitted;
  }
}

/** The admission keys of a transaction: those its operations declared, each in its participant's name space. */
export function admissionKeys(
  branches: Iterable<{
    readonly participant: string;
    readonly operations: readonly { readonly keys: readonly string[] }[];
  }>,
): Set<string> {
  const keys = new Set<string>();
  for (const { participant, operations } of branches) {
    for (const operation of operations) for (const key of operation.keys) keys.add(`${participant}/${key}`);
  }
  return keys;
}
