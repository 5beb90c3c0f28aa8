import { roughJsonSize } from '@concordat/foundation';
import type { EndedTransactions } from '../log/ended-transactions.js';
import type { TransactionState } from '../log/transaction-state.js';
import type { TransactionId } from '../vocabulary/types.js';

/** Keeps them uncompressed, for tests and simulations. */
export class PlainEndedTransactions implements EndedTransactions {
  private readonly byId = new Map<TransactionId, TransactionState>();
  private readonly byKey = new Map<string, TransactionState>();

  get size(): number {
    return this.byId.size;
  }

  add(transaction: TransactionState): void {
    this.byId.set(transaction.transactionId, transaction);
    for (const claim of transaction.claims) this.byKey.set(claim.key, transaction);
  }

  get(transactionId: TransactionId): TransactionState | undefined {
    return this.byId.get(transactionId);
  }

  findByKey(key: string): TransactionState | undefined {
    return this.byKey.get(key);
  }

  expire(before: number): TransactionId | undefined {
    let highest: TransactionId | undefined;
    for (const { transactionId, endedAt, claims } of this.byId.values()) {
      if ((endedAt ?? Infinity) >= before) continue;
      if (highest === undefined || transactionId > highest) highest = transactionId;
      this.byId.delete(transactionId);
      for (const claim of claims) this.byKey.delete(claim.key);
    }
    return highest;
  }

  oldestEndedAt(): number | undefined {
    let oldest: number | undefined;
    for (const { endedAt } of this.byId.values()) {
      if (endedAt !== undefined && (oldest === undefined || endedAt < oldest)) oldest = endedAt;
    }
    return oldest;
  }

  get sizeBytes(): number {
    let sizeBytes = 0;
    for (const transaction of this.byId.values()) sizeBytes += roughJsonSize(transaction);
    return sizeBytes;
  }

  endedBefore(keep: number, keepBytes: number): number | undefined {
    const youngestFirst = [...this.byId.values()].sort((a, b) => (b.endedAt ?? Infinity) - (a.endedAt ?? Infinity));
    let sizeBytes = 0;
    const excess = youngestFirst.find((transaction, place) => {
      sizeBytes += roughJsonSize(transaction);
      return place >= keep || sizeBytes > keepBytes;
    });
    return excess && (excess.endedAt ?? Infinity) + 1;
  }

  *newestFirst(belowId?: TransactionId): Iterable<TransactionState> {
    const ids = [...this.byId.keys()].filter((id) => belowId === undefined || id < belowId).sort();
    for (const id of ids.reverse()) yield this.byId.get(id)!;
  }
}
