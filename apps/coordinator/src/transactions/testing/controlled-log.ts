import { DecisionState, type ApplyResult, type LeaderEpoch, type LogRecord } from '@concordat/commit-protocol';
import { PlainEndedTransactions } from '@concordat/commit-protocol/testing';
import {
  LogUnavailableError,
  OutcomeUnknownError,
  RecordTooLargeError,
  type AppliedRecord,
  type DecisionLog,
  type Leadership,
  type LeadershipListener,
} from '../../decision-log/decision-log.js';

interface Proposal {
  readonly record: LogRecord;
  readonly resolve: (result: ApplyResult) => void;
  readonly reject: (error: Error) => void;
}

interface Confirmation {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * A decision log with a real state machine, in which the test decides what becomes of each proposal and who
 * leads. Records go through JSON as they do in the real one, so that nothing is shared with their proposer.
 */
export class ControlledLog implements DecisionLog {
  readonly state = new DecisionState(new PlainEndedTransactions());
  /** while set, proposals wait for `applyNext`, `refuseNext` or a loss of leadership */
  held = false;
  /** while set, confirmations wait for `answerConfirmations` */
  confirmationsHeld = false;
  /** while set, every proposal is refused as overloaded */
  overloaded = false;
  /** while set, every proposal is refused because of its size */
  tooSmall = false;
  /** while set, every proposal is refused because the disk is full */
  full = false;
  /** while set, every proposal is refused because the leadership is handed over */
  handingOver = false;
  /** the leader that this node follows; it answers read barriers at once unless confirmations are held */
  followed: number | undefined;
  /** committed records that this follower applies with `caughtUp` */
  readonly unapplied: LogRecord[] = [];
  /** how many need them at once */
  promptCallers = 0;
  /** every record that was applied, in order */
  readonly applied: AppliedRecord[] = [];
  private readonly pending: Proposal[] = [];
  private confirmations: Confirmation[] = [];
  private readonly applyListeners = new Set<(applied: AppliedRecord) => void>();
  private readonly leadershipListeners = new Set<LeadershipListener>();
  private epoch: LeaderEpoch | undefined;
  private term = 0;
  private index = 0;

  /** @param bornAt when the group was born; left out: it is not born yet */
  constructor(bornAt?: number) {
    if (bornAt !== undefined) this.state.apply({ type: 'group-born', at: bornAt }, 0);
  }

  get appliedIndex(): number {
    return this.index;
  }

  get lastIndex(): number {
    return this.index;
  }

  /** Records that were proposed and are neither applied nor refused. */
  get proposed(): readonly LogRecord[] {
    return this.pending.map(({ record }) => record);
  }

  leadership(): Leadership {
    return { epoch: this.epoch, leaderId: this.epoch ? 1 : this.followed };
  }

  append(record: LogRecord): Promise<ApplyResult> {
    if (!this.epoch) return Promise.reject(new LogUnavailableError('no-leader', 'this node does not lead'));
    if (this.overloaded) return Promise.reject(new LogUnavailableError('overloaded', 'too much under way'));
    if (this.full) return Promise.reject(new LogUnavailableError('disk-full', 'no space left'));
    if (this.handingOver) return Promise.reject(new LogUnavailableError('handing-over', 'another node takes over'));
    if (this.tooSmall) return Promise.reject(new RecordTooLargeError('no record of this size fits'));
    return new Promise((resolve, reject) => {
      this.pending.push({ record: copy(record), resolve, reject });
      if (!this.held) queueMicrotask(() => this.applyAll());
    });
  }

  confirmLeadership(): Promise<void> {
    if (!this.epoch) return Promise.reject(new LogUnavailableError('no-leader', 'this node does not lead'));
    return this.confirm();
  }

  readBarrier(): Promise<void> {
    if (this.leadership().leaderId === undefined)
      return Promise.reject(new LogUnavailableError('no-leader', 'no leader is known'));
    return this.confirm();
  }

  caughtUp(): Promise<void> {
    for (const record of this.unapplied.splice(0)) this.apply(record);
    return Promise.resolve();
  }

  applyPromptly(): () => void {
    this.promptCallers++;
    return () => this.promptCallers--;
  }

  onApplied(listener: (applied: AppliedRecord) => void): () => void {
    this.applyListeners.add(listener);
    return () => this.applyListeners.delete(listener);
  }

  onLeadership(listener: LeadershipListener): () => void {
    this.leadershipListeners.add(listener);
    return () => this.leadershipListeners.delete(listener);
  }

  /** This node leads in a new term, and its no-op is applied. */
  lead(): void {
    this.epoch = { term: ++this.term, index: ++this.index };
    this.tell();
  }

  /** Another node leads, and this one knows. */
  followLeader(leaderId: number): void {
    this.followed = leaderId;
    this.follow();
  }

  /** Leadership is lost; what was proposed has an unknown fate. `committed`: of those, so many are in the log. */
  follow(committed = 0): void {
    const lost = this.pending.splice(0);
    this.epoch = undefined;
    for (const { reject } of lost) reject(new OutcomeUnknownError('leadership was lost'));
    for (const { reject } of this.confirmations.splice(0))
      reject(new LogUnavailableError('no-leader', 'leadership was lost'));
    this.tell();
    for (const { record } of lost.slice(0, committed)) this.apply(record);
  }

  /** Another leader's record arrives at this follower; or one that no client of this node asked for. */
  apply(record: LogRecord): ApplyResult {
    const entry = copy(record);
    const index = ++this.index;
    const applied = { index, record: entry, result: this.state.apply(entry, index) };
    this.applied.push(applied);
    for (const listener of this.applyListeners) listener(applied);
    return applied.result;
  }

  /** A snapshot arrives that holds what these records make of the state; none of them is applied here by itself. */
  install(records: readonly LogRecord[]): void {
    for (const record of records) this.state.apply(copy(record), ++this.index);
    this.tell(this.index);
  }

  applyNext(): void {
    const proposal = this.pending.shift();
    if (!proposal) throw new Error('nothing is proposed');
    proposal.resolve(this.apply(proposal.record));
  }

  applyAll(): void {
    while (this.pending.length > 0) this.applyNext();
  }

  /** The next proposal is certainly not in the log. */
  refuseNext(): void {
    const proposal = this.pending.shift();
    if (!proposal) throw new Error('nothing is proposed');
    proposal.reject(new LogUnavailableError('overloaded', 'too much under way'));
  }

  /** From now on proposals are applied at once again. */
  release(): void {
    this.held = false;
    this.applyAll();
  }

  answerConfirmations(): void {
    for (const { resolve } of this.confirmations.splice(0)) resolve();
  }

  /** Nobody is known to lead any more. */
  refuseConfirmations(): void {
    for (const { reject } of this.confirmations.splice(0))
      reject(new LogUnavailableError('no-leader', 'no leader answered'));
  }

  private confirm(): Promise<void> {
    if (!this.confirmationsHeld) return Promise.resolve();
    return new Promise((resolve, reject) => this.confirmations.push({ resolve, reject }));
  }

  private tell(replacedThrough?: number): void {
    for (const listener of this.leadershipListeners) listener(this.leadership(), replacedThrough);
  }
}

function copy(record: LogRecord): LogRecord {
  return JSON.parse(JSON.stringify(record)) as LogRecord;
}
