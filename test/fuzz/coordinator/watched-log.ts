import { DecisionState, type ApplyResult, type LeaderEpoch, type LogRecord } from '@concordat/commit-protocol';
import { PlainEndedTransactions } from '@concordat/commit-protocol/testing';
import {
  LogUnavailableError,
  OutcomeUnknownError,
  type AppliedRecord,
  type DecisionLog,
  type Leadership,
  type LeadershipListener,
} from '../../../apps/coordinator/src/index.js';

/** Sees every record, and stops the run by throwing. */
export interface LogWatcher {
  /** before it is applied, as it was proposed */
  proposed(record: LogRecord): void;
  applied(applied: AppliedRecord): void;
}

interface Proposal {
  readonly record: LogRecord;
  readonly resolve: (result: ApplyResult) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A decision log of one node with a real state machine. Some proposals can be held up, as by a quorum that does not
 * answer. Records go through JSON as in the real one.
 */
export class WatchedLog implements DecisionLog {
  readonly state = new DecisionState(new PlainEndedTransactions());
  /** which proposals wait */
  isHeld: (record: LogRecord) => boolean = () => false;
  private pending: Proposal[] = [];
  private readonly applyListeners = new Set<(applied: AppliedRecord) => void>();
  private readonly leadershipListeners = new Set<LeadershipListener>();
  private epoch: LeaderEpoch | undefined;
  private term = 0;
  private index = 0;

  constructor(private readonly watcher: LogWatcher) {}

  get appliedIndex(): number {
    return this.index;
  }

  leadership(): Leadership {
    return { epoch: this.epoch, leaderId: this.epoch ? 1 : undefined };
  }

  append(record: LogRecord): Promise<ApplyResult> {
    if (!this.epoch) return Promise.reject(new LogUnavailableError('no-leader', 'this node does not lead'));
    this.watcher.proposed(record);
    return new Promise((resolve, reject) => {
      this.pending.push({ record: copy(record), resolve, reject });
      queueMicrotask(() => this.applyPending());
    });
  }

  confirmLeadership(): Promise<void> {
    return this.epoch
      ? Promise.resolve()
      : Promise.reject(new LogUnavailableError('no-leader', 'this node does not lead'));
  }

  readBarrier(): Promise<void> {
    return this.confirmLeadership();
  }

  caughtUp(): Promise<void> {
    return Promise.resolve();
  }

  applyPromptly(): () => void {
    return () => undefined;
  }

  onApplied(listener: (applied: AppliedRecord) => void): () => void {
    this.applyListeners.add(listener);
    return () => this.applyListeners.delete(listener);
  }

  onLeadership(listener: LeadershipListener): () => void {
    this.leadershipListeners.add(listener);
    return () => this.leadershipListeners.delete(listener);
  }

  /** A new leadership of this node; what an earlier one had proposed and is held is lost. */
  lead(): void {
    this.follow();
    this.epoch = { term: ++this.term, index: ++this.index };
    this.tell();
  }

  /** Nobody leads. */
  follow(): void {
    this.epoch = undefined;
    for (const { reject } of this.pending.splice(0)) reject(new OutcomeUnknownError('leadership was lost'));
    this.tell();
  }

  /** Nothing is held any more. */
  release(): void {
    this.isHeld = () => false;
    this.applyPending();
  }

  private applyPending(): void {
    const waiting = this.pending;
    this.pending = waiting.filter(({ record }) => this.isHeld(record));
    for (const proposal of waiting) {
      if (this.pending.includes(proposal)) continue;
      const index = ++this.index;
      const applied = { index, record: proposal.record, result: this.state.apply(proposal.record, index) };
      this.watcher.applied(applied);
      for (const listener of this.applyListeners) listener(applied);
      proposal.resolve(applied.result);
    }
  }

  private tell(): void {
    for (const listener of this.leadershipListeners) listener(this.leadership());
  }
}

function copy(record: LogRecord): LogRecord {
  return JSON.parse(JSON.stringify(record)) as LogRecord;
}
