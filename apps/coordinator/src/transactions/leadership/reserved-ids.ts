import { uuidV7Time, type Clock, type UuidV7Generator } from '@concordat/foundation';
import type { TransactionId } from '@concordat/commit-protocol';

/** Beyond these the oldest are forgotten. */
const MAXIMUM_RESERVED = 100_000;
/** Far below the least retention, so that no id is used that may have expired. */
export const RESERVED_FOR_MS = 30_000;

/**
 * Ids that a leader has handed out for transactions to come, each to be used once. They end with its leadership: no
 * other leader begins their transactions. So an id that has been presumed aborted, or whose `Begin` is lost, is never
 * begun again, as with every other id (protocol 3.1).
 */
export class ReservedIds {
  /** the principal that may use each, oldest first */
  private readonly owners = new Map<TransactionId, string | undefined>();

  constructor(
    private readonly clock: Clock,
    private readonly ids: UuidV7Generator,
  ) {}

  /** New ids, for a principal; undefined without authentication. */
  reserve(count: number, owner: string | undefined): TransactionId[] {
    const reserved = Array.from({ length: count }, () => this.ids.next());
    for (const id of reserved) this.owners.set(id, owner);
    this.forgetOldest();
    return reserved;
  }

  has(id: TransactionId): boolean {
    return this.owners.has(id);
  }

  /** Whether the id may be used; from then on it may not. */
  take(id: TransactionId, owner: string | undefined): boolean {
    if (!this.owners.has(id) || this.owners.get(id) !== owner) return false;
    this.owners.delete(id);
    return !this.isOver(id);
  }

  /** Nobody may use it any more. */
  withdraw(id: TransactionId): void {
    this.owners.delete(id);
  }

  private forgetOldest(): void {
    for (const id of this.owners.keys()) {
      if (this.owners.size <= MAXIMUM_RESERVED && !this.isOver(id)) return;
      this.owners.delete(id);
    }
  }

  private isOver(id: TransactionId): boolean {
    return this.clock.now() - (uuidV7Time(id) ?? 0) > RESERVED_FOR_MS;
  }
}
