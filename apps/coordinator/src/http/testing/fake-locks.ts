import type {
  AcquireRequest,
  LockPage,
  LockProof,
  LockQuery,
  LocksApi,
  LockView,
  RenewRequest,
} from '../../locks/locks.api.js';
import type { Consistency, Reading } from '../../transactions/transactions.api.js';
import type { EngineCall } from './fake-engine.js';

export const lock: LockView = {
  name: 'invoice-7',
  owner: 'worker-1',
  fencingToken: 41,
  expiresAt: '2026-01-01T00:00:30.000Z',
};

/** Answers what a test puts into its fields, notes every call, and throws `failure` instead when it is set. */
export class FakeLocks implements LocksApi {
  readonly calls: EngineCall[] = [];
  failure: Error | undefined;
  page: LockPage = { items: [{ ...lock, waiters: 2 }], nextCursor: null };
  leaderKnowsMore = false;
  /** acquisitions that wait until their clients go away */
  hanging = false;
  waitsEnded = 0;
  readonly gone: string[] = [];

  acquire(request: AcquireRequest, gone?: AbortSignal): Promise<LockView> {
    if (!this.hanging) return this.answer(['acquire', request], lock);
    this.calls.push(['acquire', request]);
    return new Promise((_resolve, reject) => {
      gone?.addEventListener('abort', () => {
        this.gone.push(request.owner);
        reject(new TypeError('nobody hears of this'));
      });
    });
  }

  renew(request: RenewRequest): Promise<LockView> {
    return this.answer(['renew', request], lock);
  }

  release(proof: LockProof): Promise<void> {
    return this.answer(['release', proof], undefined);
  }

  list(query: LockQuery, consistency: Consistency): Promise<Reading<LockPage>> {
    const { page: value, leaderKnowsMore } = this;
    return this.answer(['list', query, consistency], { value, appliedIndex: 41, leaderKnowsMore });
  }

  endWaits(): void {
    this.waitsEnded++;
  }

  private async answer<Value>(call: EngineCall, value: Value): Promise<Value> {
    this.calls.push(call);
    if (this.failure) throw this.failure;
    return value;
  }
}
