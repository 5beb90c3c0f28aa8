import type { Decision } from '@concordat/commit-protocol';
import type { TransactionStatus } from '../../apps/coordinator/src/index.js';

const RANK: Readonly<Record<TransactionStatus, number>> = {
  active: 0,
  preparing: 1,
  precommitted: 2,
  committing: 3,
  aborting: 3,
  mixed: 3,
  committed: 4,
  aborted: 4,
};

/** How far a transaction has come: nobody is shown a lower one after a higher one. */
export function rankOf(status: TransactionStatus): number {
  return RANK[status];
}

/** What clients were told of transactions (rule C1). */
export class AnswerBook {
  private readonly told = new Map<string, { rank: number; decision?: Decision }>();

  /** @param inLog what the log says of a transaction; undefined when it is not there */
  constructor(
    private readonly violate: (rule: string) => void,
    private readonly inLog: (transactionId: string) => { readonly decision?: Decision } | undefined,
  ) {}

  /** What is known to have been told before a read begins; its answer must not be older. */
  toldSoFar(transactionId: string): number {
    return this.told.get(transactionId)?.rank ?? 0;
  }

  /** C1: an answer is true when it is given, and for ever. */
  answered(transactionId: string, status: TransactionStatus, decision: Decision | null, atLeast: number): void {
    const rank = rankOf(status);
    if (rank < atLeast) this.violate(`a client was told of ${transactionId} as ${status} after a later status`);
    const known = this.inLog(transactionId);
    if (!known) this.violate(`a client was told of ${transactionId}, which is not in the log`);
    if (decision !== null && known?.decision !== decision) {
      this.violate(`C1: a client was told ${decision} of ${transactionId}, the log says ${known?.decision}`);
    }
    const before = this.told.get(transactionId);
    this.told.set(transactionId, {
      rank: Math.max(rank, before?.rank ?? 0),
      ...((decision ?? before?.decision) && { decision: decision ?? before?.decision }),
    });
  }
}
