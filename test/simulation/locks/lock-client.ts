import { CodedError, randomChance, randomInteger, randomItem, type SeededRandom } from '@concordat/foundation';
import { ConnectionLostError, ConnectionRefusedError } from '@concordat/foundation/testing';
import type { Locks, LockView } from '../../../apps/coordinator/src/index.js';
import type { CoordinatorNode } from '../coordinator-node.js';
import type { World } from '../world.js';
import type { LockBook } from './lock-book.js';
import type { LockAsk } from './waiting-lines.js';

/** Most want the same one, so that some stand in line for it. */
const NAMES = ['invoice', 'invoice', 'invoice', 'invoice', 'ledger', 'report'];
const TTLS_MS = [150, 400, 1_500];
const WAITS_MS = [0, 300, 2_000, 6_000, 6_000];
/** A client hangs up after this much more than it is ready to wait. */
const PATIENCE_MS = [50, 1_000, 4_000];
const TASKS = 14;
const LIST_LIMIT = 50;

type Answer<T> =
  | { readonly type: 'value'; readonly value: T }
  | { readonly type: 'refused'; readonly error: CodedError }
  /** nothing happened, or nobody knows */
  | { readonly type: 'nothing' | 'unknown' };

/**
 * A client that takes locks, works under them, renews, gives back, and forgets to. It is paused now and then, for longer
 * than its lease, and does not notice: what it writes then the resource must refuse.
 */
export class LockClient {
  finished = false;
  private retired = false;
  private preferred = 0;

  constructor(
    private readonly owner: string,
    private readonly world: World,
    private readonly random: SeededRandom,
    private readonly book: LockBook,
  ) {}

  async run(): Promise<void> {
    for (let task = 0; task < TASKS && !this.retired; task++) {
      await this.pause(0, 1_500);
      if (randomChance(this.random, 0.2)) await this.look();
      else await this.work(randomItem(this.random, NAMES));
    }
    this.finished = true;
  }

  retire(): void {
    this.retired = true;
  }

  /** The task behind the lock. */
  private async work(name: string): Promise<void> {
    const { random, book } = this;
    const ttlMs = randomItem(random, TTLS_MS);
    const lock = await this.acquire(name, ttlMs);
    if (!lock) return;
    const { fencingToken } = lock;
    for (let step = randomInteger(random, 1, 4); step > 0; step--) {
      if (randomChance(random, 0.15)) await this.pause(0, 4 * ttlMs); // it sleeps, and wakes in the midst of its work
      if (!book.writes(name, this.owner, fencingToken)) return book.letsGo(name, fencingToken);
      await this.pause(0, ttlMs / 2);
      if (randomChance(random, 0.6) && !(await this.renew(lock, randomItem(random, TTLS_MS)))) return;
    }
    if (randomChance(random, 0.1)) return; // it dies: the lease ends by itself
    book.letsGo(name, fencingToken);
    await this.release(lock);
  }

  private async acquire(name: string, ttlMs: number): Promise<LockView | undefined> {
    const { random, owner, book } = this;
    const waitMs = randomItem(random, WAITS_MS);
    for (let attempt = randomInteger(random, 1, 3); attempt > 0; attempt--) {
      const sentAt = this.now();
      let over = (): void => undefined;
      const answer = await this.ask((locks, gone, node) => {
        book.asks(owner);
        book.mayShorten(name, owner, sentAt + ttlMs);
        over = book.lines.ask({ name, owner, waitMs, ...this.lineAt(node, name, waitMs) });
        gone.addEventListener('abort', over);
        return locks.acquire({ name, owner, ttlMs, waitMs }, gone);
      }, waitMs);
      over();
      if (answer.type === 'value') {
        book.heardOf(answer.value, sentAt, ttlMs);
        return answer.value;
      }
      if (answer.type === 'refused') this.refused(answer.error, name, sentAt);
      await this.pause(20, 400);
    }
    return undefined;
  }

  /** Where the request stands when it reaches the node. */
  private lineAt(node: CoordinatorNode, name: string, waitMs: number): Pick<LockAsk, 'leadership' | 'isQueued'> {
    const { process, log } = node;
    const term = log?.leadership().epoch?.term;
    if (!process || !log || term === undefined) return { leadership: undefined, isQueued: false };
    const termOf = (one: CoordinatorNode): number => one.log?.leadership().epoch?.term ?? 0;
    const isCurrent = (): boolean =>
      node.process === process && termOf(node) === term && this.world.coordinators.every((one) => termOf(one) <= term);
    const held = log.state.locks.get(name);
    return {
      leadership: { process, term, isCurrent },
      isQueued: waitMs > 0 && held !== undefined && held.owner !== this.owner,
    };
  }

  private refused(error: CodedError, name: string, sentAt: number): void {
    const { holder } = error.details as { holder?: { owner: string } };
    if (error.code === 'LOCK_HELD' && holder) this.book.wasHeld(name, holder.owner, this.owner, sentAt);
    else this.world.checker.violate(`${this.owner} was refused ${name} with ${error.code}`);
  }

  /** Whether the client may go on. */
  private async renew(lock: LockView, ttlMs: number): Promise<boolean> {
    const { name, owner, fencingToken } = lock;
    const sentAt = this.now();
    this.book.mayShorten(name, owner, sentAt + ttlMs);
    const answer = await this.ask((locks) => locks.renew({ name, owner, fencingToken, ttlMs }));
    if (answer.type === 'value') this.book.heardOf(answer.value, sentAt, ttlMs);
    if (answer.type !== 'refused') return true;
    this.notHeld(answer.error, lock);
    return false;
  }

  private async release(lock: LockView): Promise<void> {
    const { name, owner, fencingToken } = lock;
    const sentAt = this.now();
    const answer = await this.ask(async (locks) => {
      await locks.release({ name, owner, fencingToken });
      return lock;
    });
    if (answer.type === 'value') this.book.wasReleased(lock, sentAt);
    if (answer.type === 'refused') this.notHeld(answer.error, lock);
  }

  private notHeld({ code }: CodedError, lock: LockView): void {
    if (code !== 'LOCK_NOT_HELD') return this.world.checker.violate(`${this.owner} was refused with ${code}`);
    this.book.wasNotHeld(lock);
    this.book.letsGo(lock.name, lock.fencingToken);
  }

  private async look(): Promise<void> {
    const sentAt = this.now();
    const answer = await this.ask((locks) => locks.list({ limit: LIST_LIMIT }, 'linearizable'));
    if (answer.type === 'value') this.book.listed(answer.value.value.items, LIST_LIMIT, sentAt);
  }

  /** One request to one node. A client that has waited enough hangs up. */
  private async ask<T>(
    request: (locks: Locks, gone: AbortSignal, node: CoordinatorNode) => Promise<T>,
    waitMs = 0,
  ): Promise<Answer<T>> {
    const { world, random } = this;
    const node = world.coordinators[this.preferred % world.coordinators.length]!;
    const { process, locks } = node;
    const gone = new AbortController();
    try {
      if (!process || !locks) throw new ConnectionRefusedError('the node is down');
      const answer = process.call(() => request(locks, gone.signal, node));
      const value = await this.inTime(answer, waitMs + randomItem(random, PATIENCE_MS), () => {
        if (process.isAlive) process.enter(() => gone.abort());
      });
      if (randomChance(random, 0.05)) throw new ConnectionLostError('the answer was lost');
      return { type: 'value', value };
    } catch (error) {
      this.preferred = randomInteger(random, 0, world.coordinators.length - 1);
      if (error instanceof ConnectionRefusedError) return { type: 'nothing' };
      if (error instanceof ConnectionLostError || error instanceof HungUpError) return { type: 'unknown' };
      if (!(error instanceof CodedError)) {
        world.checker.violate(`a request about a lock failed with ${error instanceof Error ? error.stack : 'nothing'}`);
        return { type: 'unknown' };
      }
      if (error.code === 'LOG_UNAVAILABLE') return { type: 'nothing' };
      return error.code === 'OUTCOME_UNKNOWN' ? { type: 'unknown' } : { type: 'refused', error };
    }
  }

  private inTime<T>(answer: Promise<T>, timeoutMs: number, hangUp: () => void): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = this.world.clock.setTimer(timeoutMs, () => {
        hangUp();
        reject(new HungUpError('no answer'));
      });
      answer.then(resolve, reject).finally(() => timer.cancel());
    });
  }

  private pause(minimumMs: number, maximumMs: number): Promise<void> {
    return this.world.sleep(randomInteger(this.random, minimumMs, Math.floor(maximumMs)));
  }

  private now(): number {
    return this.world.clock.monotonic();
  }
}

class HungUpError extends Error {
  override readonly name = 'HungUpError';
}
