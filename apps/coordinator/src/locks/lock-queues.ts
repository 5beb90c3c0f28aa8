import { invariant } from '@concordat/foundation';
import { TooManyWaitersError } from './errors.js';

/** Maximum number of clients that wait for one lock, and for all. */
export interface QueueLimits {
  readonly perLock: number;
  readonly inAll: number;
}

export const DEFAULT_QUEUE_LIMITS: QueueLimits = { perLock: 1_000, inAll: 10_000 };

/** Who waits for which lock, first come first served. Bounded; who comes to a full queue is refused. */
export class LockQueues<Waiter> {
  private readonly byName = new Map<string, Set<Waiter>>();
  private count = 0;

  constructor(private readonly limits: QueueLimits) {}

  /** Of all locks. */
  get size(): number {
    return this.count;
  }

  sizeOf(name: string): number {
    return this.byName.get(name)?.size ?? 0;
  }

  /** @throws TooManyWaitersError */
  add(name: string, waiter: Waiter): void {
    const { perLock, inAll } = this.limits;
    if (this.sizeOf(name) >= perLock) {
      throw new TooManyWaitersError(
        `${perLock} clients wait for the lock ${name}, which is the limit; ask again later`,
      );
    }
    if (this.count >= inAll) {
      throw new TooManyWaitersError(`${inAll} clients wait for locks, which is the limit; ask again later`);
    }
    this.byName.set(name, (this.byName.get(name) ?? new Set()).add(waiter));
    this.count++;
  }

  /** Removes the one that has waited longest. */
  takeFirst(name: string): Waiter | undefined {
    const [first] = this.byName.get(name) ?? [];
    if (first) this.remove(name, first);
    return first;
  }

  /** Removes those of which it is true, in their order. */
  takeAll(name: string, isMeant: (waiter: Waiter) => boolean): Waiter[] {
    const taken = [...(this.byName.get(name) ?? [])].filter(isMeant);
    for (const waiter of taken) this.remove(name, waiter);
    return taken;
  }

  /** Puts back what `takeFirst` has taken: it waits in front of all others. */
  putBack(name: string, waiter: Waiter): void {
    const others = this.byName.get(name) ?? [];
    this.byName.set(name, new Set([waiter, ...others]));
    this.count++;
  }

  /** @returns whether it waited */
  remove(name: string, waiter: Waiter): boolean {
    const queue = this.byName.get(name);
    if (!queue?.delete(waiter)) return false;
    if (queue.size === 0) this.byName.delete(name);
    this.count--;
    invariant(this.count > 0 || this.byName.size === 0, 'the number of those who wait is that of the queues');
    return true;
  }

  removeAll(): Waiter[] {
    const all = [...this.byName.values()].flatMap((queue) => [...queue]);
    this.byName.clear();
    this.count = 0;
    return all;
  }
}
