import { sleep, type Clock, type Failpoints } from '@concordat/foundation';
import {
  LockHeldError,
  OutcomeUnknownError,
  type AcquireRequest,
  type LockProof,
  type LocksApi,
  type LockView,
  type RenewRequest,
} from 'concordat/embedded';
import type { LockPoint } from './crash-points.js';
import type { LockRequest } from './lock-requests.js';
import type { LockRules } from './lock-rules.js';

/** Who has a lock that a switch refuses. */
const ANOTHER_OWNER = 'another-owner';
const HELD_FOR_MS = 30_000;

/** Stands before the locks of a coordinator: requests are refused, late or lost by rules, and crash at armed points. */
export class FaultyLocks implements LocksApi {
  constructor(
    private readonly locks: LocksApi,
    private readonly rules: LockRules,
    private readonly crashPoints: Failpoints,
    private readonly clock: Clock,
  ) {}

  acquire(request: AcquireRequest, gone?: AbortSignal): Promise<LockView> {
    return this.pass('acquire', request.name, () => this.locks.acquire(request, gone));
  }

  renew(request: RenewRequest): Promise<LockView> {
    return this.pass('renew', request.name, () => this.locks.renew(request));
  }

  release(proof: LockProof): Promise<void> {
    return this.pass('release', proof.name, () => this.locks.release(proof));
  }

  list(...parameters: Parameters<LocksApi['list']>): ReturnType<LocksApi['list']> {
    return this.locks.list(...parameters);
  }

  endWaits(): void {
    this.locks.endWaits();
  }

  private async pass<T>(kind: LockRequest, name: string, work: () => Promise<T>): Promise<T> {
    const { delayMs, isRefused, isRequestLost, isReplyLost } = this.rules.fateOf(kind, name);
    if (delayMs > 0) await sleep(this.clock, delayMs);
    if (isRefused) throw heldByAnother(name, this.clock);
    if (isRequestLost) throw lost(kind, name);
    await this.crashPoints.hit(`${kind}.before` satisfies LockPoint);
    const result = await work();
    await this.crashPoints.hit(`${kind}.after` satisfies LockPoint);
    if (isReplyLost) throw lost(kind, name);
    return result;
  }
}

function heldByAnother(name: string, clock: Clock): LockHeldError {
  return new LockHeldError({
    name,
    owner: ANOTHER_OWNER,
    fencingToken: 0,
    renewedIndex: 0,
    ttlMs: HELD_FOR_MS,
    expiresAt: clock.now() + HELD_FOR_MS,
  });
}

/** As a coordinator answers whose leader has gone silent: a client cannot tell whether the request was carried out. */
function lost(kind: LockRequest, name: string): OutcomeUnknownError {
  return new OutcomeUnknownError(`a test has lost what was said about the ${kind} of the lock ${name}; ask again`);
}
