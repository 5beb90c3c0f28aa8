import { isMember } from '../core/membership/configuration.js';
import type { RaftCore } from '../core/raft-core.js';
import type { NodeId } from '../core/types.js';
import { NotLeaderError, TransferFailedError, TransferRefusedError } from './errors.js';

interface Waiter {
  readonly target: NodeId;
  readonly term: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Callers of `transferLeadership`: each waits until another node leads, or this one has given the transfer up. */
export class TransferWaiters {
  private waiters: Waiter[] = [];

  begin(core: RaftCore, target: NodeId): Promise<void> {
    const refusal = core.transferLeadership(target);
    if (refusal?.refused === 'NOT_LEADER') return Promise.reject(new NotLeaderError(core.leaderId));
    if (refusal) return Promise.reject(new TransferRefusedError(refusal.refused, refusal.reason));
    const { term } = core;
    return new Promise((resolve, reject) => this.waiters.push({ target, term, resolve, reject }));
  }

  /** Once per pass. Between two leaders the result is unknown, so callers keep waiting. */
  advance(core: RaftCore): void {
    if (this.waiters.length === 0) return;
    const isTransferring = core.transferTarget !== undefined;
    const hasNoLeader = core.leaderId === undefined;
    // A leader that was removed in between never learns its successor.
    if (hasNoLeader && !isMember(core.configuration, core.nodeId)) return this.rejectAll();
    if (isTransferring || hasNoLeader) return;
    const waiters = this.waiters;
    this.waiters = [];
    for (const { target, resolve, reject } of waiters) {
      if (core.role === 'leader') reject(new TransferFailedError(target));
      else resolve();
    }
  }

  rejectAll(): void {
    const waiters = this.waiters;
    this.waiters = [];
    for (const { reject } of waiters) reject(new NotLeaderError(undefined));
  }
}
