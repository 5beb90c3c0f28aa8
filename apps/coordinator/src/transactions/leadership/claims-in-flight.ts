import type { BeginRecord, EnlistRecord, ResolveRecord, TransactionId } from '@concordat/commit-protocol';
import type { Idempotency } from '../transactions.api.js';

/** A request that claims an idempotency key and is not applied yet. */
export interface ClaimInFlight extends Idempotency {
  readonly transactionId: TransactionId;
  /** ends when the proposal does; never rejects */
  readonly settled: Promise<unknown>;
}

/** Idempotency keys of records in flight. A repeated request waits for them. */
export class ClaimsInFlight {
  private readonly byKey = new Map<string, ClaimInFlight>();

  get(key: string): ClaimInFlight | undefined {
    return this.byKey.get(key);
  }

  /** @param applied ends when the proposal does */
  add({ transactionId, idempotency }: BeginRecord | EnlistRecord | ResolveRecord, applied: Promise<unknown>): void {
    if (!idempotency) return;
    const forget = (): void => void this.byKey.delete(idempotency.key);
    this.byKey.set(idempotency.key, { ...idempotency, transactionId, settled: applied.then(forget, forget) });
  }
}
