import type { ApplyResult, LockLease, LockRecord } from '@concordat/commit-protocol';
import { LogUnavailableError, type DecisionLog } from '../decision-log/decision-log.js';
import { guarded, type Clock, type Timer } from '@concordat/foundation';
import { LockHeldError, LockNotHeldError, LockOfAnotherError, TooManyLocksError } from './errors.js';
import type { LockEvent } from './figures.js';
import { isHolder, mayActFor } from './holders.js';
import type { LeaseAges } from './lease-ages.js';
import { LeaseExpiry } from './lease-expiry.js';
import { LockQueues, type QueueLimits } from './lock-queues.js';
import type { AcquireRequest, LockProof, RenewRequest } from './locks.api.js';
import { Turns } from './turns.js';

export interface LockSessionPorts {
  readonly log: DecisionLog;
  /** its `now` is the time that records carry */
  readonly clock: Clock;
  readonly ages: LeaseAges;
  readonly queueLimits: QueueLimits;
  readonly count: (event: LockEvent) => void;
}

/** A client in a queue. */
interface Waiter {
  readonly request: AcquireRequest;
  readonly gone: AbortSignal | undefined;
  readonly resolve: (lease: LockLease | Promise<LockLease>) => void;
  readonly reject: (error: Error) => void;
  readonly timer: Timer;
  /** the wait ended while a grant was in flight */
  overdue: boolean;
}

/**
 * The locks during one leadership of this node: proposes what clients ask for, keeps the queues, and ends the leases
 * that have run out. The state machine decides; this decides only who asks it next.
 *
 * A lock that becomes free is proposed for its first waiter in the turn in which that is applied, so nobody who comes
 * later is in the log before it.
 *
 * States: running → closed. Who waits in a session that closes is refused, and nothing has happened.
 */
export class LockSession {
  private readonly queues: LockQueues<Waiter>;
  /** locks for whose first waiter a grant is in flight */
  private readonly granting = new Set<string>();
  private readonly expiry: LeaseExpiry;
  private readonly turns = new Turns();
  private closed = false;

  constructor(private readonly ports: LockSessionPorts) {
    const { log, clock, ages, queueLimits } = ports;
    this.queues = new LockQueues(queueLimits);
    this.expiry = new LeaseExpiry({
      clock,
      ages,
      find: (name) => log.state.locks.get(name),
      expire: (leases) => {
        // a failed one is proposed again by the next look, or the next leader
        this.propose({ type: 'lock-expire', leases, at: clock.now() }).catch(() => undefined);
      },
    });
    this.expiry.watchAll(log.state.locks.all()[Symbol.iterator]());
  }

  get waitingCount(): number {
    return this.queues.size;
  }

  waitingFor(name: string): number {
    return this.queues.sizeOf(name);
  }

  async acquire(request: AcquireRequest, gone: AbortSignal | undefined): Promise<LockLease> {
    const { name, waitMs } = request;
    const held = this.find(name);
    const mayBeFree = held ? isHolder(held, request) : this.queues.sizeOf(name) === 0;
    if (mayBeFree) {
      const result = await this.proposeAcquire(request, gone);
      if (result.refusal === undefined) return result.lock!;
    }
    return waitMs > 0 ? this.wait(request, gone) : this.refuse(request, gone);
  }

  async renew(request: RenewRequest): Promise<LockLease> {
    const { name, owner, fencingToken, ttlMs } = request;
    await this.checkSender(request);
    const record = { type: 'lock-renew', name, owner, fencingToken, ttlMs, at: this.now() } as const;
    const { refusal, lock } = await this.propose(record);
    if (refusal !== undefined) throw this.notHeld(name, owner, fencingToken);
    return lock!;
  }

  async release(proof: LockProof): Promise<void> {
    const { name, owner, fencingToken } = proof;
    await this.checkSender(proof);
    const { refusal } = await this.propose({ type: 'lock-release', name, owner, fencingToken, at: this.now() });
    if (refusal !== undefined) throw this.notHeld(name, owner, fencingToken);
  }

  /** Must be called with every record about locks that this node applies while the session runs. */
  onApplied({ lock, refusal, endedLocks = [] }: ApplyResult): void {
    if (this.closed) return;
    for (const { name } of endedLocks) {
      this.expiry.forget(name);
      this.serve(name);
    }
    if (!lock || refusal !== undefined) return;
    this.expiry.watch(lock);
    const ofHolder = ({ request }: Waiter): boolean => isHolder(lock, request);
    for (const waiter of this.queues.takeAll(lock.name, ofHolder)) this.grant(waiter);
  }

  /** @param error for all who wait; nothing has happened for them */
  endWaits(error: Error): void {
    for (const waiter of this.queues.removeAll()) waiter.reject(error);
  }

  close(): void {
    this.closed = true;
    this.expiry.close();
    this.endWaits(
      new LogUnavailableError('no-leader', 'another node leads, and this one keeps no queue any more; ask again'),
    );
  }

  private wait(request: AcquireRequest, gone: AbortSignal | undefined): Promise<LockLease> {
    return new Promise((resolve, reject) => {
      const { name, waitMs } = request;
      const leave = (): void => {
        if (this.queues.remove(name, waiter)) waiter.reject(new LockNotHeldError('the client has gone away'));
      };
      const guardedLeave = guarded(leave, reject);
      const end = (): void => {
        waiter.timer.cancel();
        gone?.removeEventListener('abort', guardedLeave);
      };
      const waiter: Waiter = {
        request,
        gone,
        resolve: (lease) => (end(), resolve(lease)),
        reject: (error) => (end(), reject(error)),
        timer: this.ports.clock.setTimer(waitMs, () => this.onTimeout(waiter)),
        overdue: false,
      };
      gone?.addEventListener('abort', guardedLeave);
      try {
        if (this.closed) throw new LogUnavailableError('no-leader', 'the leadership has ended; ask again');
        this.queues.add(name, waiter);
        if (gone?.aborted) leave();
      } catch (error) {
        waiter.reject(error as Error);
        return;
      }
      this.serve(name); // it may have become free since it was found held
    });
  }

  private onTimeout(waiter: Waiter): void {
    const { request, gone } = waiter;
    if (this.queues.remove(request.name, waiter)) waiter.resolve(this.refuse(request, gone));
    else waiter.overdue = true;
  }

  /** A lock that is free goes to its first waiter. */
  private serve(name: string): void {
    if (this.closed || this.granting.has(name) || this.find(name)) return;
    const waiter = this.queues.takeFirst(name);
    if (!waiter) return;
    this.granting.add(name);
    this.grant(waiter, () => {
      this.granting.delete(name);
      this.serve(name);
    });
  }

  /** @param onSettled called when the log has answered */
  private grant(waiter: Waiter, onSettled: () => void = () => undefined): void {
    const { request, gone } = waiter;
    this.proposeAcquire(request, gone)
      .then(
        ({ refusal, lock }) => {
          if (refusal === undefined) waiter.resolve(lock!);
          else if (waiter.overdue || this.closed) waiter.resolve(this.refuse(request, gone));
          else this.queues.putBack(request.name, waiter); // somebody who did not wait was in the log before
        },
        (error: Error) => waiter.reject(error),
      )
      .finally(onSettled);
  }

  /** Says who holds the lock, when a majority agrees that this node knows. Where nobody does, the lock is taken. */
  private async refuse(request: AcquireRequest, gone: AbortSignal | undefined): Promise<LockLease> {
    await this.ports.log.confirmLeadership();
    const held = this.find(request.name);
    if (held && !isHolder(held, request)) throw this.heldBy(held);
    const { refusal, lock } = await this.proposeAcquire(request, gone);
    if (refusal !== undefined) throw this.heldBy(lock!);
    return lock!;
  }

  /** @throws TooManyLocksError */
  private async proposeAcquire(request: AcquireRequest, gone: AbortSignal | undefined): Promise<ApplyResult> {
    const { name, owner, principal, ttlMs } = request;
    // To the state machine equal owners are one holder. So a name is asked for by one of them at a time, and the lease that
    // stands then is compared with the principal: nobody gets, or shortens, the lease of another by its owner's text.
    const result = await this.turns.run(JSON.stringify([name, owner]), async () => {
      const held = this.find(name);
      if (held?.owner === owner && !isHolder(held, request)) return refusedBy(held);
      const sender = principal !== undefined && { principal };
      return this.propose({ type: 'lock-acquire', name, owner, ...sender, ttlMs, at: this.now() });
    });
    if (result.refusal === 'TOO_MANY_LOCKS') {
      throw new TooManyLocksError('too many locks are held; ask again when some have been released');
    }
    if (result.refusal === undefined && gone?.aborted) this.giveBack(result.lock!);
    return result;
  }

  /** Nobody was told of the grant. A renewal by a repeat of the same owner saves it. */
  private giveBack({ name, owner, fencingToken, renewedIndex }: LockLease): void {
    if (renewedIndex !== fencingToken) return; // it had the lock before
    this.ports.count('abandoned');
    const proof = { name, owner, fencingToken, unrenewedSince: renewedIndex } as const;
    this.propose({ type: 'lock-release', ...proof, at: this.now() }).catch(() => undefined); // it expires
  }

  /**
   * Owner and token are known to more than the holder: to who reads the list, and where requests are logged. A lease never
   * changes its principal, and a session begins with all that earlier leaders have granted.
   *
   * @throws LockOfAnotherError
   */
  private async checkSender(proof: LockProof): Promise<void> {
    const { name, owner, fencingToken } = proof;
    const held = this.find(name);
    const isMeant = held?.owner === owner && held.fencingToken === fencingToken;
    if (isMeant ? mayActFor(held, proof) : proof.principal === undefined) return;
    if (!isMeant) {
      await this.ports.log.confirmLeadership();
      throw this.notHeld(name, owner, fencingToken);
    }
    this.ports.count('refused');
    throw new LockOfAnotherError(
      `the lock ${name} was taken by another principal, and only that one may renew or release it; an operator may do so ` +
        'with force=true',
    );
  }

  private heldBy(lease: LockLease): LockHeldError {
    this.ports.count('refused');
    return new LockHeldError(lease);
  }

  private notHeld(name: string, owner: string, fencingToken: number): LockNotHeldError {
    this.ports.count('refused');
    return new LockNotHeldError(
      `${owner} does not hold the lock ${name} under the fencing token ${fencingToken}: ` +
        'it was released or has expired; stop the guarded work and acquire the lock again',
    );
  }

  private find(name: string): LockLease | undefined {
    return this.ports.log.state.locks.get(name);
  }

  private async propose(record: LockRecord): Promise<ApplyResult> {
    if (this.closed) throw new LogUnavailableError('no-leader', 'the leadership ended before the record was proposed');
    return this.ports.log.append(record);
  }

  private now(): number {
    return this.ports.clock.now();
  }
}

/** As the state machine refuses a record. */
function refusedBy(lock: LockLease): ApplyResult {
  return { transactions: [], refusal: 'LOCK_HELD', lock };
}
