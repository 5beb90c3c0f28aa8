import { invariant } from '@concordat/foundation';
import { compareBallots, type BallotAnswer } from '../ballots/ballot.js';
import { CoordinatorTransaction } from '../coordinator/coordinator.js';
import type { CoordinatorEffect, CoordinatorEvent } from '../coordinator/coordinator.types.js';
import type { ApplyResult } from '../log/apply-result.js';
import { DecisionState } from '../log/decision-state.js';
import { PlainEndedTransactions } from './plain-ended-transactions.js';
import type { CoordinatorMessage, DoneMessage, VoteMessage } from '../vocabulary/messages.js';
import type { BeginRecord, BranchDone, LogRecord } from '../log/records.js';
import { transactionFromBegin, type TransactionState } from '../log/transaction-state.js';
import type { BranchEnd, BranchId, BranchSpecification, Decision, TransactionId, Vote } from '../vocabulary/types.js';

export const AT = Date.UTC(2026, 0, 1);
export const DEADLINE = AT + 10_000;

/** Made of digits, so that a failure can be read: transaction 1, branch 2. */
export function idOf(transaction: number, branch = 0): string {
  return `019b76da-a800-7000-8000-${String(transaction).padStart(6, '0')}${String(branch).padStart(6, '0')}`;
}

export function branchOf(branch: number, changes: Partial<BranchSpecification> = {}): BranchSpecification {
  return {
    branchId: idOf(1, branch),
    participant: `bank-${branch}`,
    operations: [{ operation: 'debit', payload: { amount: branch }, keys: [] }],
    ...changes,
  };
}

/** A branch whose service prepared it before it was enlisted. */
export function preparedBranch(branch: number, enlistedVote: Vote = 'yes'): BranchSpecification {
  return branchOf(branch, { operations: [], enlistedVote });
}

export function beginOf(branches: readonly BranchSpecification[], changes: Partial<BeginRecord> = {}): BeginRecord {
  return {
    type: 'begin',
    transactionId: idOf(1),
    protocol: '2pc',
    branches,
    closed: true,
    at: AT,
    deadline: DEADLINE,
    metadata: {},
    ...changes,
  };
}

/** What the machine itself proposes: it is told when the log refuses one. */
const MACHINE_RECORDS: ReadonlySet<string> = new Set(['commit-requested', 'pre-commit', 'decide']);

function whatOf(message: CoordinatorMessage): string {
  if (message.type === 'decision') return message.decision;
  return message.type === 'ballot-request' ? `${message.request.type}#${message.request.ballot.round}` : message.type;
}

/**
 * A leader with one transaction, and the log under it: what it proposes waits in `inFlight` until the test
 * applies or loses it, and what it sends lies in `sent`. Checks with every effect what protocol section 3 says
 * must have been applied before it.
 */
export class LeaderDriver {
  readonly state = new DecisionState(new PlainEndedTransactions());
  readonly alerts: string[] = [];
  inFlight: LogRecord[] = [];
  sent: CoordinatorMessage[] = [];
  /** attempt of the resend that is scheduled */
  resend: number | undefined;
  /** ends that were reported and are not yet proposed */
  done: BranchDone[] = [];
  machine: CoordinatorTransaction | undefined;
  now = AT;
  term = 1;
  private index = 1;
  private admittedMachine: CoordinatorTransaction | undefined;

  constructor(
    readonly transactionId: TransactionId = idOf(1),
    /** keys are free, so a closed transaction is admitted at once */
    private readonly admitsAtOnce = true,
  ) {}

  get transaction(): TransactionState {
    const transaction = this.state.find(this.transactionId);
    invariant(transaction, 'the transaction is in the log');
    return transaction;
  }

  begin(record: BeginRecord): this {
    this.machine = new CoordinatorTransaction(transactionFromBegin(record, 0), this.epoch(), false);
    this.inFlight.push(record);
    if (record.closed && this.admitsAtOnce) this.admit();
    return this;
  }

  /** A transaction whose `Begin` is applied; `sent` is empty. */
  begun(record: BeginRecord): this {
    this.begin(record).applyAll();
    this.sent = [];
    return this;
  }

  propose(record: LogRecord): this {
    this.inFlight.push(record);
    return this;
  }

  applyAll(): this {
    while (this.inFlight.length > 0) this.applyNext();
    return this;
  }

  applyNext(): ApplyResult {
    const record = this.inFlight.shift();
    invariant(record, 'something is in flight');
    const result = this.state.apply(record, ++this.index);
    for (const transaction of result.transactions) this.onApplied(record, transaction, result);
    return result;
  }

  /** The log certainly did not take the oldest proposal. */
  failNext(): this {
    invariant(this.inFlight.shift(), 'something is in flight');
    return this.handle({ type: 'proposal-failed' });
  }

  handle(event: CoordinatorEvent): this {
    if (this.machine) this.run(this.machine.handle(event, this.now));
    return this;
  }

  /** An event about a transaction that has ended: a leader keeps no machine for it. */
  handleEnded(event: CoordinatorEvent): this {
    this.run(new CoordinatorTransaction(this.transaction, this.epoch(), true).handle(event, this.now));
    return this;
  }

  vote(branch: number, vote: Vote, extra: Partial<VoteMessage> = {}): this {
    const { transactionId } = this;
    const address = { transactionId, branchId: idOf(1, branch), participant: `bank-${branch}` };
    return this.handle({ type: 'vote', message: { type: 'vote', ...address, vote, results: [], ...extra } });
  }

  ended(branch: number, end: BranchEnd, extra: Partial<DoneMessage> = {}): this {
    const { transactionId } = this;
    const address = { transactionId, branchId: idOf(1, branch), participant: `bank-${branch}` };
    return this.handle({ type: 'done', message: { type: 'done', ...address, end, ...extra } });
  }

  inquire(branch: number): this {
    return this.handle({ type: 'inquiry', branchId: idOf(1, branch), participant: `bank-${branch}` });
  }

  /** A branch answers a ballot. */
  answer(branch: number, answer: BallotAnswer, participant = `bank-${branch}`): this {
    const address = { transactionId: this.transactionId, branchId: idOf(1, branch), participant };
    return this.handle({ type: 'ballot-answer', message: { type: 'ballot-answer', ...address, answer } });
  }

  /** A branch has found in its own ballot what the branches decide, and that others have lost their votes. */
  branchesDecidedWithout(branch: number, decision: Decision, ...amnesiacs: string[]): this {
    const address = { transactionId: this.transactionId, branchId: idOf(1, branch) };
    const told = { ...address, participant: `bank-${branch}`, decision, amnesiacs };
    return this.handle({ type: 'branches-decided', message: { type: 'branches-decided', ...told } });
  }

  /** A branch says what the branches decided among themselves. */
  branchesDecided(branch: number, decision: Decision, participant = `bank-${branch}`): this {
    const address = { transactionId: this.transactionId, branchId: idOf(1, branch), participant };
    return this.handle({ type: 'branches-decided', message: { type: 'branches-decided', ...address, decision } });
  }

  /** Reported ends go into the log. */
  flushDone(): this {
    const items = this.done;
    this.done = [];
    if (items.length > 0) this.propose({ type: 'branches-done', items, publishedIndex: 0, at: this.now });
    return this;
  }

  /** The keys are free; every machine is told once. */
  private admit(): this {
    if (this.admittedMachine === this.machine) return this;
    this.admittedMachine = this.machine;
    return this.handle({ type: 'admitted' });
  }

  /** Another leader: it knows what was applied and nothing else. What is still in flight is lost. */
  failOver(): this {
    this.inFlight = [];
    this.done = [];
    this.resend = undefined;
    this.term++;
    this.index++; // its no-op
    const transaction = this.state.find(this.transactionId);
    if (!transaction || transaction.endedAt !== undefined) {
      this.machine = undefined;
      return this;
    }
    this.machine = new CoordinatorTransaction(transaction, this.epoch(), true);
    if (transaction.decision) return this.handle({ type: 'applied', transaction });
    return transaction.closed && this.admitsAtOnce ? this.admit() : this;
  }

  /** What was sent since the last call, as `prepare 1`, `commit 2`, `accept#0 3`, …, with the branch behind it. */
  takeSent(): string[] {
    const { sent } = this;
    this.sent = [];
    return sent.map((message) => {
      return `${whatOf(message)} ${Number(message.branchId.slice(-6))}`;
    });
  }

  /** What is in flight, as `begin`, `pre-commit#0`, `decide commit`, … */
  proposed(): string[] {
    return this.inFlight.map((record) => {
      if (record.type === 'pre-commit') return `pre-commit#${record.ballot.round}`;
      return record.type === 'decide' ? `decide ${record.decision}` : record.type;
    });
  }

  endOf(branch: number): BranchEnd | undefined {
    return this.transaction.branches.find(({ branchId }) => branchId === idOf(1, branch))?.end;
  }

  reportOf(branchId: BranchId): Vote | undefined {
    return this.machine?.reportOf(branchId)?.vote;
  }

  private epoch(): { term: number; index: number } {
    return { term: this.term, index: this.index };
  }

  private onApplied(record: LogRecord, transaction: TransactionState, result: ApplyResult): void {
    if (result.refusal !== undefined && !transaction.decision) {
      if (MACHINE_RECORDS.has(record.type)) this.handle({ type: 'proposal-failed' });
      return;
    }
    this.handle({ type: 'applied', transaction });
    if (transaction.closed && !transaction.decision && this.admitsAtOnce) this.admit();
  }

  private run(effects: readonly CoordinatorEffect[]): void {
    for (const effect of effects) {
      if (effect.type === 'append') this.inFlight.push(effect.record);
      else if (effect.type === 'send') this.send(effect.message);
      else if (effect.type === 'schedule-resend') this.resend = effect.attempt;
      else if (effect.type === 'cancel-resend') this.resend = undefined;
      else if (effect.type === 'branch-done') this.done.push(effect.done);
      else this.alerts.push(effect.detail);
    }
  }

  private send(message: CoordinatorMessage): void {
    const applied = this.state.find(message.transactionId);
    if (message.type === 'decision') {
      const member = applied?.branches.some(({ branchId }) => branchId === message.branchId);
      const presumed = applied?.closed === true && !member && message.decision === 'abort';
      invariant(presumed || applied?.decision === message.decision, 'a decision is applied before it is sent');
    }
    if (message.type === 'ruling') {
      const branch = applied?.branches.find(({ branchId }) => branchId === message.branchId);
      invariant(branch?.ruling === message.ruling, 'a ruling is applied before it is sent');
    }
    if (message.type === 'ballot-request') {
      const logged = applied?.preCommit && compareBallots(applied.preCommit, message.request.ballot) === 0;
      invariant(logged && !applied.decision, 'PreCommit is applied before its ballot is sent, and Decide ends it');
    }
    if (message.type === 'commit-one-phase') {
      invariant(applied?.delegatedTo === message.branchId, 'Delegate is applied before commit-one-phase is sent');
    }
    this.sent.push(message);
  }
}
