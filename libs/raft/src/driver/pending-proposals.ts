import { invariant } from '@concordat/foundation';
import type { RaftCore } from '../core/raft-core.js';
import { NotLeaderError, ProposalDroppedError, ProposalUnknownError } from './errors.js';
import type { Committed } from './raft-node.types.js';

export interface ProposalLimits {
  readonly maximumCount: number;
  readonly maximumBytes: number;
  readonly maximumCommandBytes: number;
}

interface Pending<Result> {
  readonly command: Uint8Array;
  readonly resolve: (committed: Committed<Result>) => void;
  readonly reject: (error: Error) => void;
  /** 0 while it is only queued */
  index: number;
  term: number;
}

/**
 * Unanswered proposals of this node.
 *
 *     queued --appended--> in the log, by index --applied--> resolved
 *        \--dropped           \--leadership lost--> unknown
 *
 * Bounded in number and bytes over both states, so a group without a quorum uses bounded memory.
 */
export class PendingProposals<Result> {
  private queued: Pending<Result>[] = [];
  private appended: Pending<Result>[] = [];
  private head = 0; // of `appended`: settled ones at its front are removed in bulk
  private bytes = 0;

  constructor(private readonly limits: ProposalLimits) {}

  get count(): number {
    return this.queued.length + this.appended.length - this.head;
  }

  /** Queues a command. Rejects with `ProposalDroppedError` when it, or the queue, is too large. */
  add(command: Uint8Array): Promise<Committed<Result>> {
    const { maximumCount, maximumBytes, maximumCommandBytes } = this.limits;
    if (command.length > maximumCommandBytes) {
      const message = `a command of ${command.length} bytes is over the limit of ${maximumCommandBytes}`;
      return Promise.reject(new ProposalDroppedError('TOO_LARGE', message, { maximumCommandBytes }));
    }
    if (this.count >= maximumCount || this.bytes + command.length > maximumBytes) {
      const message = `${this.count} proposals (${this.bytes} bytes) wait already; try again later`;
      return Promise.reject(new ProposalDroppedError('OVERLOADED', message, { maximumCount, maximumBytes }));
    }
    this.bytes += command.length;
    return new Promise((resolve, reject) => this.queued.push({ command, resolve, reject, index: 0, term: 0 }));
  }

  /** Appends the queued commands to the leader's log; what it refuses is dropped. */
  appendTo(core: RaftCore): void {
    if (this.queued.length === 0) return;
    const appended = core.propose(this.queued.map(({ command }) => command));
    if ('count' in appended) {
      this.appendedAt(appended.firstIndex, appended.count, core.term);
      if (this.queued.length > 0)
        this.dropQueued(new ProposalDroppedError('OVERLOADED', 'too much waits for a quorum; try again later'));
    } else if (appended.refused === 'NOT_LEADER') {
      this.dropQueued(new NotLeaderError(core.leaderId));
    } else {
      this.dropQueued(new ProposalDroppedError(appended.refused, appended.reason));
    }
  }

  /** The first `count` of the queued commands are in the log now, from `firstIndex` on. */
  appendedAt(firstIndex: number, count: number, term: number): void {
    const batch = this.queued;
    this.queued = batch.splice(count);
    batch.forEach((pending, position) => {
      pending.index = firstIndex + position;
      pending.term = term;
      this.appended.push(pending);
    });
  }

  dropQueued(error: Error): void {
    const batch = this.queued;
    this.queued = [];
    for (const pending of batch) this.finish(pending).reject(error);
  }

  /** Whether a caller waits for the entry at `index`. */
  awaits(index: number): boolean {
    return this.appended[this.head]?.index === index;
  }

  /** The entry at `index` was applied; call it for every awaited entry, in order. */
  applied(index: number, term: number, result: Result): void {
    const pending = this.appended[this.head];
    invariant(pending?.index === index, 'the entry is awaited');
    this.advanceHead();
    this.finish(pending);
    if (pending.term === term) pending.resolve({ index, term, result });
    else pending.reject(new ProposalUnknownError(pending.index, pending.term));
  }

  private advanceHead(): void {
    this.head++;
    if (this.head < 1024 && this.head < this.appended.length) return;
    this.appended = this.appended.slice(this.head);
    this.head = 0;
  }

  /** Leadership is lost: entries after `commitIndex` may be committed by others or not. */
  rejectUnknownAfter(commitIndex: number): void {
    const end = this.appended.findIndex((pending, position) => position >= this.head && pending.index > commitIndex);
    if (end >= 0) this.lose(this.appended.splice(end));
  }

  /**
   * The state machine is at `index` without a result for it: from a snapshot, or from another leader's entry without a
   * command.
   */
  passedOver(index: number): void {
    while ((this.appended[this.head]?.index ?? Infinity) <= index) {
      const pending = this.appended[this.head]!;
      this.advanceHead();
      this.lose([pending]);
    }
  }

  private lose(lost: readonly Pending<Result>[]): void {
    for (const pending of lost) this.finish(pending).reject(new ProposalUnknownError(pending.index, pending.term));
  }

  private finish(pending: Pending<Result>): Pending<Result> {
    this.bytes -= pending.command.length;
    return pending;
  }
}
