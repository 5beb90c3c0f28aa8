import { invariant, type Clock } from '@concordat/foundation';
import { isLockRecord, type LockLease } from '@concordat/commit-protocol';
import {
  LogUnavailableError,
  type AppliedRecord,
  type DecisionLog,
  type Leadership,
} from '../decision-log/decision-log.js';
import { SINGLE_VOTER, type GroupClocks } from '../transactions/clocks/group-clocks.js';
import { LogClock } from '../transactions/clocks/log-clock.js';
import { ReadBarrier } from '../transactions/queries/read-barrier.js';
import type { Consistency, Reading } from '../transactions/transactions.api.js';
import { LOCK_EVENTS, type LockEvent, type LockFigures } from './figures.js';
import { LeaseAges } from './lease-ages.js';
import { DEFAULT_QUEUE_LIMITS, type QueueLimits } from './lock-queues.js';
import { LockSession } from './lock-session.js';
import type {
  AcquireRequest,
  ListedLock,
  LockPage,
  LockProof,
  LockQuery,
  LocksApi,
  LockView,
  RenewRequest,
} from './locks.api.js';

export interface LocksDependencies {
  readonly log: DecisionLog;
  /** of the machine */
  readonly clock: Clock;
  /** the clocks of the other nodes; without them the node is the only voter */
  readonly groupClocks?: GroupClocks;
  readonly queueLimits?: QueueLimits;
}

/**
 * The locks of this node: answers requests while it leads, and reads at any time.
 *
 * It owns what outlives a leadership: how long this node has seen each lease, and what it has counted. Queues and timers
 * are in the `LockSession`.
 *
 * States: following ⇄ leading (a session per leadership) → stopped.
 */
export class Locks implements LocksApi {
  private session: LockSession | undefined;
  private readonly clock: LogClock;
  private readonly ages: LeaseAges;
  private readonly barrier: ReadBarrier;
  private readonly events = Object.fromEntries(LOCK_EVENTS.map((event) => [event, 0])) as Record<LockEvent, number>;
  private readonly detach: (() => void)[];
  private stopped = false;

  constructor(private readonly dependencies: LocksDependencies) {
    const { log, clock, groupClocks = SINGLE_VOTER } = dependencies;
    this.clock = new LogClock(clock, log.state, groupClocks);
    this.ages = new LeaseAges(clock);
    this.barrier = new ReadBarrier(log, clock);
    this.ages.replace(log.state.locks.all());
    this.detach = [
      log.onApplied((applied) => this.onApplied(applied)),
      log.onLeadership((leadership, replacedThrough) => this.onLeadership(leadership, replacedThrough)),
    ];
    this.onLeadership(log.leadership());
  }

  figures(): LockFigures {
    const { locks } = this.dependencies.log.state;
    return { held: locks.size, waiting: this.session?.waitingCount ?? 0, events: { ...this.events } };
  }

  async acquire(request: AcquireRequest, gone?: AbortSignal): Promise<LockView> {
    return viewOf(await this.leading().acquire(request, gone));
  }

  async renew(request: RenewRequest): Promise<LockView> {
    return viewOf(await this.leading().renew(request));
  }

  async release(proof: LockProof): Promise<void> {
    await this.leading().release(proof);
  }

  async list({ limit, cursor = 0, principal }: LockQuery, consistency: Consistency): Promise<Reading<LockPage>> {
    const { log } = this.dependencies;
    if (consistency === 'linearizable') await this.barrier.pass();
    else await log.caughtUp();
    const { session } = this;
    const items: ListedLock[] = [];
    let nextCursor: number | null = null;
    for (const lease of log.state.locks.all()) {
      if (lease.fencingToken <= cursor || (principal !== undefined && lease.principal !== principal)) continue;
      if (items.length === limit) {
        nextCursor = items.at(-1)!.fencingToken;
        break;
      }
      const { principal: holder } = lease;
      const waiters = session?.waitingFor(lease.name) ?? null;
      items.push({ ...viewOf(lease), ...(holder !== undefined && { principal: holder }), waiters });
    }
    const leaderKnowsMore = consistency === 'linearizable' && !session && items.length > 0;
    return { value: { items, nextCursor }, appliedIndex: log.appliedIndex, leaderKnowsMore };
  }

  endWaits(): void {
    this.session?.endWaits(new LogUnavailableError('handing-over', 'this node is stopping; ask another one'));
  }

  /** Ends the leadership and every wait. */
  stop(): void {
    this.stopped = true;
    for (const detach of this.detach) detach();
    this.endSession();
  }

  private onApplied({ record, result }: AppliedRecord): void {
    this.clock.onApplied();
    if (record.type === 'group-born') this.startSession();
    if (!isLockRecord(record)) return;
    const { lock, refusal, endedLocks = [] } = result;
    for (const lease of endedLocks) this.ages.end(lease);
    if (lock && refusal === undefined) this.ages.begin(lock);
    if (!this.session) return;
    if (record.type === 'lock-expire') this.count('expired', endedLocks.length);
    else if (endedLocks.length > 0) this.count('released');
    else if (lock && refusal === undefined) this.count(lock.renewedIndex === lock.fencingToken ? 'granted' : 'renewed');
    this.session.onApplied(result);
  }

  private onLeadership({ epoch }: Leadership, replacedThrough?: number): void {
    this.endSession();
    if (replacedThrough !== undefined) this.ages.replace(this.dependencies.log.state.locks.all());
    if (epoch && this.dependencies.log.state.bornAt !== undefined) this.startSession();
  }

  /** The birth of the group comes first in its log. */
  private startSession(): void {
    const { log, queueLimits = DEFAULT_QUEUE_LIMITS } = this.dependencies;
    if (this.session || this.stopped || !log.leadership().epoch) return;
    invariant(log.state.bornAt !== undefined, 'nothing is locked before the birth of the group is logged');
    const { clock, ages } = this;
    this.session = new LockSession({ log, clock, ages, queueLimits, count: (event) => this.count(event) });
  }

  private endSession(): void {
    this.session?.close();
    this.session = undefined;
  }

  private count(event: LockEvent, amount = 1): void {
    this.events[event] += amount;
  }

  private leading(): LockSession {
    if (this.session) return this.session;
    throw new LogUnavailableError('no-leader', 'this node does not lead the cluster');
  }
}

function viewOf({ name, owner, fencingToken, expiresAt }: LockLease): LockView {
  return { name, owner, fencingToken, expiresAt: new Date(expiresAt).toISOString() };
}
