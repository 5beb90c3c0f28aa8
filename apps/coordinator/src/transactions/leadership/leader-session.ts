import { errorMessage, invariant, unreachable, type Clock, type Random } from '@concordat/foundation';
import {
  AdmissionQueue,
  admissionKeys,
  CoordinatorTransaction,
  transactionFromBegin,
  type AnnounceMessage,
  type ApplyResult,
  type BeginRecord,
  type BranchDone,
  type CoordinatorEffect,
  type CoordinatorEvent,
  type DoneMessage,
  type EnlistRecord,
  type LeaderEpoch,
  type LogRecord,
  type ReplyMessage,
  type ResolveRecord,
  type TransactionId,
  type TransactionState,
} from '@concordat/commit-protocol';
import {
  LogUnavailableError,
  OutcomeUnknownError,
  type AppliedRecord,
  type DecisionLog,
} from '../../decision-log/decision-log.js';
import { Announcements } from './announcements.js';
import { ClaimsInFlight, type ClaimInFlight } from './claims-in-flight.js';
import { DoneBatch } from './done-batch.js';
import { LedTransaction } from './led-transaction.js';
import type { TransactionOptions } from '../options.js';
import type { BeginRequest, Holder } from '../transactions.api.js';
import { OutcomePublisher } from './outcome-publisher.js';
import { OutgoingMessages, type OutgoingMessagesDependencies } from './outgoing-messages.js';
import { answerAboutUnknown, type UnknownBranch } from './presumed-abort.js';
import { Recovery } from './recovery-order.js';
import type { ReservedIds } from './reserved-ids.js';
import type { UnknownOldBranches } from './unknown-old-branches.js';
import { LeaderTimers, TransactionTimers } from './transaction-timers.js';
import { WaitingBegins } from './waiting-begins.js';

export interface SessionDependencies extends OutgoingMessagesDependencies {
  readonly log: DecisionLog;
  readonly clock: Clock;
  readonly random: Random;
  readonly options: TransactionOptions;
  readonly unknownOld: UnknownOldBranches;
  /** whether a client waits for the end of a transaction */
  readonly awaitsEnd: (transactionId: TransactionId) => boolean;
  /** every branch of the transaction has reported its end; the log may not have it yet */
  readonly onEveryEnd: (transaction: TransactionState) => void;
  readonly onAlert: (detail: string) => void;
}

type BranchReply = Exclude<ReplyMessage, AnnounceMessage>;

/** Published outcomes that are kept before a record is logged only to say so. */
const MAXIMUM_PUBLISHED_UNLOGGED = 1_000;
/** Transactions that a new leader recovers per turn; a hundred take about a millisecond. */
const RECOVERED_PER_TURN = 256;

/**
 * One leadership of this node, and all state that ends with it. Passes events (requests, replies, applied records,
 * timers) to the pure machines and carries out their effects: the log first, then the messages.
 *
 * States: running → closed. A closed session changes nothing and sends nothing. During `recovery`, a transaction that a
 * request or a reply names is recovered first.
 */
export class LeaderSession {
  private readonly entries = new Map<TransactionId, LedTransaction>();
  private entriesBytes = 0;
  private readonly admission: AdmissionQueue;
  private readonly claims = new ClaimsInFlight();
  private readonly announcements: Announcements;
  private readonly done: DoneBatch;
  private readonly outcomes: OutcomePublisher;
  private readonly outgoing: OutgoingMessages;
  private readonly timers: LeaderTimers;
  private readonly waitingBegins: WaitingBegins;
  private recovery: Recovery | undefined;
  /** they enter the admission after those that an earlier leader admitted */
  private readonly afterRecovery: LedTransaction[] = [];
  private latestAppend: Promise<unknown> = Promise.resolve();
  private closed = false;

  /** @param reserved handed out under this leadership */
  constructor(
    private readonly dependencies: SessionDependencies,
    private readonly epoch: LeaderEpoch,
    readonly reserved: ReservedIds,
  ) {
    const { options, clock, log, logger } = dependencies;
    this.announcements = new Announcements(log, clock, logger, (detail) => dependencies.onAlert(detail));
    this.admission = new AdmissionQueue(options.maximumWaitingForKeys);
    this.outgoing = new OutgoingMessages(dependencies);
    this.timers = new LeaderTimers({
      clock,
      options,
      random: dependencies.random,
      openCount: () => this.entries.size,
      instances: () => dependencies.bus.instances,
      published: () => this.outgoing.published,
      appended: () => this.latestAppend,
      onTurn: () => this.outgoing.flush(),
    });
    this.waitingBegins = new WaitingBegins(clock, options.beginDelayMs);
    this.outcomes = new OutcomePublisher(dependencies, log.state, () => {
      if (log.state.unpublishedCount > MAXIMUM_PUBLISHED_UNLOGGED) this.done.flush(true);
    });
    this.done = new DoneBatch(clock, options.doneDelayMs, (items) =>
      this.append({ type: 'branches-done', items, publishedIndex: this.outcomes.publishedIndex, at: clock.now() }),
    );
  }

  /** Includes those not in the log yet and those not recovered yet. */
  get openCount(): number {
    return Math.max(this.entries.size, this.dependencies.log.state.openCount);
  }

  /** Bytes of JSON of the open transactions that are recovered. */
  get openBytes(): number {
    return this.entriesBytes;
  }

  get admissionIsFull(): boolean {
    return this.admission.isFull;
  }

  get waitingForKeys(): number {
    return this.admission.waitingCount;
  }

  /** Recovers every open transaction, in slices if they are many. Their messages are sent at the pace of the bus. */
  recover(): void {
    this.recovery = new Recovery(this.dependencies.log.state.openTransactions());
    this.outcomes.publish();
    this.continueRecovery();
  }

  private continueRecovery(): void {
    const { recovery } = this;
    if (!recovery || this.closed) return;
    for (const transaction of recovery.next(RECOVERED_PER_TURN)) {
      const { transactionId } = transaction;
      const isOpen = this.dependencies.log.state.findOpen(transactionId) === transaction;
      if (isOpen && !this.entries.has(transactionId)) this.takeOver(transaction);
    }
    if (!recovery.contends) this.enterAfterRecovery();
    if (recovery.isOver) this.recovery = undefined;
    else this.dependencies.clock.setTimer(0, () => this.continueRecovery());
    this.outgoing.flush();
  }

  private enterAfterRecovery(): void {
    for (const entry of this.afterRecovery.splice(0)) if (this.isCurrent(entry)) this.enter(entry);
  }

  private takeOver(transaction: TransactionState): LedTransaction {
    const entry = this.track(new CoordinatorTransaction(transaction, this.epoch, true));
    const { machine } = entry;
    if (transaction.decision) {
      this.timers.paceResend(transaction, () => {
        this.handle(entry, { type: 'applied', transaction: machine.transaction });
      });
    } else if (transaction.closed && this.joinAdmission(entry)) {
      this.timers.paceResend(transaction, () => {
        if (!machine.transaction.decision) this.handle(entry, { type: 'admitted' });
      });
    }
    return entry;
  }

  /** The entry of an open transaction. Recovers it now if that has not happened yet. */
  private entryOf(transactionId: TransactionId): LedTransaction | undefined {
    const entry = this.entries.get(transactionId);
    if (entry || !this.recovery) return entry;
    const open = this.dependencies.log.state.findOpen(transactionId);
    return open && this.takeOver(open);
  }

  /** Logs which outcomes are published, unless the log has it: other records carry it, too. */
  logPublished(): void {
    const [oldest] = this.dependencies.log.state.unpublishedTransactions();
    if (oldest && oldest.logIndex <= this.outcomes.publishedIndex) this.done.flush(true);
  }

  /** Logs a record that only advances log time. */
  advanceLogTime(): void {
    this.done.flush(true);
  }

  close(): void {
    this.closed = true;
    this.waitingBegins.release(); // their proposals fail with the end of the leadership
    for (const { timers } of this.entries.values()) timers.cancel();
    this.entries.clear();
    this.entriesBytes = 0;
    this.timers.close();
    this.done.close();
    this.outcomes.close();
    this.outgoing.close();
  }

  machineOf(transactionId: TransactionId): CoordinatorTransaction | undefined {
    return this.entries.get(transactionId)?.machine;
  }

  claimInFlight(key: string): ClaimInFlight | undefined {
    return this.claims.get(key);
  }

  /**
   * Opens a transaction. The work of a closed one is sent at once (protocol 3.1).
   *
   * @param request `deferred`: its client does not wait for the log, so its `Begin` shares a write, as that of a closed
   *   one does
   */
  begin(
    record: BeginRecord,
    { deferred = false, beginner }: Pick<BeginRequest, 'deferred' | 'beginner'> = {},
  ): Promise<ApplyResult> {
    const machine = new CoordinatorTransaction(transactionFromBegin(record, 0), this.epoch, false);
    const entry = this.track(machine, beginner);
    const applied = this.logBegin(record, deferred).catch((error: unknown) => {
      this.drop(record.transactionId); // a prepared branch inquires and gets an abort
      this.outgoing.flush(); // work of transactions that waited for its keys
      throw error;
    });
    this.claims.add(record, applied);
    if (record.closed) this.enterInTurn(entry);
    this.outgoing.flush();
    return applied;
  }

  /**
   * Proposes `Begin`. Where all work is known and nothing is delegated, nobody needs it in the log before the decision.
   * So it waits a moment for the next proposal (its own decision at the latest) and shares its log write. If the leader
   * dies before that, the transaction is presumed aborted, as when a `Begin` is lost.
   */
  private logBegin(record: BeginRecord, deferred: boolean): Promise<ApplyResult> {
    const isEmpty = record.branches.length === 0;
    const needed = record.closed ? record.delegateTo !== undefined || isEmpty : !deferred;
    const propose = (): Promise<ApplyResult> => this.propose(record);
    if (!needed) return this.waitingBegins.add(propose);
    this.waitingBegins.release(); // the log has them in the order in which they have queued for their keys
    return propose();
  }

  /** Runs an enlistment after the earlier ones of the same transaction. */
  inOrder<T>(transactionId: TransactionId, action: () => Promise<T>): Promise<T> {
    const entry = this.entryOf(transactionId);
    if (!entry) return action();
    const result = entry.latestEnlistment.then(action);
    entry.latestEnlistment = result.catch(() => undefined);
    return result;
  }

  /** Proposes a client's or an operator's request about a transaction that is in the log. */
  record(record: EnlistRecord | ResolveRecord): Promise<ApplyResult> {
    this.waitingBegins.release(); // its own may be among them
    const applied = this.propose(record);
    this.claims.add(record, applied);
    return applied;
  }

  /**
   * Enlists the branches that a request to commit or abort names, and passes it on. All of it shares a write of the log.
   *
   * @returns settles with the last enlistment, whatever became of it; a commit is refused without one of them
   */
  async end(
    transactionId: TransactionId,
    enlistments: readonly EnlistRecord[],
    event: CoordinatorEvent,
  ): Promise<void> {
    const enlisted = Promise.allSettled(enlistments.map((record) => this.record(record)));
    this.request(transactionId, event);
    await enlisted;
  }

  /** Passes the client's request to commit or abort to the transaction. */
  request(transactionId: TransactionId, event: CoordinatorEvent): void {
    const entry = this.entryOf(transactionId);
    if (!entry) return;
    this.handle(entry, event);
    this.outgoing.flush();
  }

  /** Must be called with every record this node applies while the session runs. */
  onApplied({ record, result }: AppliedRecord): void {
    if (this.closed) return;
    if (record.type === 'begin' && result.refusal !== undefined) this.drop(record.transactionId);
    if (record.type === 'resolve' && result.refusal === undefined) this.sendOldRuling(record);
    for (const transaction of result.transactions) this.onTransactionApplied(transaction, record, result);
    if (result.transactions.some(({ endedAt }) => endedAt !== undefined)) this.outcomes.publish();
    this.outgoing.flush();
  }

  onReply(message: ReplyMessage): void {
    if (this.closed) return;
    switch (message.type) {
      case 'announce':
        return this.announcements.take(message);
      case 'inquiry':
        return this.onBranchMessage(message, message);
      case 'vote':
        return this.onBranchMessage(message, { type: 'vote', message });
      case 'done':
        return this.onDone(message);
      case 'ballot-answer':
        return this.onBranchMessage(message, { type: 'ballot-answer', message });
      case 'branches-decided':
        return this.behindBarrier(message, { type: 'branches-decided', message });
      default:
        unreachable(message, 'reply');
    }
  }

  private onTransactionApplied(transaction: TransactionState, record: LogRecord, result: ApplyResult): void {
    const entry = this.entryOf(transaction.transactionId);
    if (!entry) return;
    if (result.refusal !== undefined && !transaction.decision) {
      if (record.type !== 'decide' && record.type !== 'commit-requested' && record.type !== 'pre-commit') return;
      // The enlistment of a branch did not reach the log; a repeat of the request brings it.
      const isExpected = result.refusal === 'BRANCH_MISSING';
      if (!isExpected)
        this.dependencies.onAlert(`the log refused ${record.type} of ${transaction.transactionId}: ${result.refusal}`);
      this.handle(entry, { type: 'proposal-failed' });
      return;
    }
    this.handle(entry, { type: 'applied', transaction });
    if (record.type === 'enlist') this.onGrown(entry);
    if (transaction.decision) {
      entry.timers.cancelDeadline();
      this.leaveAdmission(transaction.transactionId);
    } else if (transaction.closed && !entry.enteredAdmission) this.enterInTurn(entry);
    if (transaction.endedAt !== undefined) this.drop(transaction.transactionId);
  }

  /**
   * A branch ended before the decision, and not by an abort: an operator ended it by hand, or this node was deposed and
   * its successor decided. Only a read barrier can tell which.
   */
  private onDone(message: DoneMessage): void {
    const known = this.entryOf(message.transactionId)?.machine.transaction;
    const early = known && !known.decision && known.delegatedTo !== message.branchId && message.end !== 'aborted';
    if (early) this.behindBarrier(message, { type: 'done', message });
    else this.onBranchMessage(message, { type: 'done', message });
  }

  private behindBarrier(message: BranchReply, event: CoordinatorEvent): void {
    this.dependencies.log.confirmLeadership().then(
      () => {
        if (!this.closed) this.onBranchMessage(message, event);
      },
      () => undefined, // deposed: the successor gets it too
    );
  }

  private onBranchMessage(message: BranchReply, event: CoordinatorEvent): void {
    const entry = this.entryOf(message.transactionId);
    if (entry) {
      this.handle(entry, event);
    } else {
      const ended = this.dependencies.log.state.find(message.transactionId);
      if (ended) this.run(undefined, new CoordinatorTransaction(ended, this.epoch, true).handle(event, this.now()));
      else if (message.type === 'inquiry' || (message.type === 'vote' && message.vote === 'yes')) {
        void this.answerUnknown(message);
      }
    }
    this.outgoing.flush();
  }

  private async answerUnknown(message: UnknownBranch): Promise<void> {
    const isUnknown = (): boolean => !this.closed && !this.entries.has(message.transactionId);
    const answer = await answerAboutUnknown(message, this.dependencies, isUnknown);
    if (!answer || !isUnknown()) return;
    this.reserved.withdraw(message.transactionId); // it is presumed aborted
    this.outgoing.add(answer);
    this.outgoing.flush();
  }

  /** Sends the ruling on a branch of a forgotten transaction. If the message is lost, the branch asks again. */
  private sendOldRuling({ transactionId, branchId, participant, action }: ResolveRecord): void {
    if (participant === undefined || branchId === undefined || action === 'forget') return;
    this.outgoing.add({ type: 'decision', transactionId, branchId, participant, decision: action, attempt: 0 });
  }

  private track(machine: CoordinatorTransaction, beginner?: Holder): LedTransaction {
    const { transactionId, decision } = machine.transaction;
    invariant(!this.entries.has(transactionId), 'a session has one machine for each transaction');
    const entry: LedTransaction = new LedTransaction(machine, (own) => {
      return new TransactionTimers(
        this.timers,
        () => machine.transaction,
        (event) => this.handle(own, event),
        beginner,
      );
    });
    this.entries.set(transactionId, entry);
    this.entriesBytes += entry.weigh();
    if (!decision) entry.timers.startDeadline();
    return entry;
  }

  private onGrown(entry: LedTransaction): void {
    this.entriesBytes += entry.weigh();
    if (!entry.machine.transaction.decision) entry.timers.watchHolders();
  }

  private drop(transactionId: TransactionId): void {
    const entry = this.entries.get(transactionId);
    if (!entry) return;
    entry.timers.cancel();
    this.entries.delete(transactionId);
    this.entriesBytes -= entry.sizeBytes;
    invariant(this.entries.size > 0 || this.entriesBytes === 0, 'only open transactions have bytes');
    this.leaveAdmission(transactionId);
  }

  /** A transaction that closes during the recovery queues behind those closed under an earlier leader. */
  private enterInTurn(entry: LedTransaction): void {
    if (!this.recovery?.contends) return this.enter(entry);
    entry.enteredAdmission = true;
    this.afterRecovery.push(entry);
  }

  private enter(entry: LedTransaction): void {
    if (this.joinAdmission(entry)) this.handle(entry, { type: 'admitted' });
  }

  /** Returns true when it is admitted at once. */
  private joinAdmission(entry: LedTransaction): boolean {
    entry.enteredAdmission = true;
    const { transactionId, branches } = entry.machine.transaction;
    return this.admission.enter(transactionId, admissionKeys(branches));
  }

  private leaveAdmission(transactionId: TransactionId): void {
    for (const next of this.admission.leave(transactionId)) {
      this.outgoing.hurry(); // a hot key costs all that wait for it what this flight waits, even for a client's answer
      const entry = this.entries.get(next);
      if (entry) this.handle(entry, { type: 'admitted' });
    }
  }

  private handle(entry: LedTransaction, event: CoordinatorEvent): void {
    if (this.closed || !this.isCurrent(entry)) return; // dropped in the meantime
    this.run(entry, entry.machine.handle(event, this.now()));
  }

  private isCurrent(entry: LedTransaction): boolean {
    return this.entries.get(entry.machine.transaction.transactionId) === entry;
  }

  private run(entry: LedTransaction | undefined, effects: readonly CoordinatorEffect[]): void {
    for (const effect of effects) {
      switch (effect.type) {
        case 'append':
          void this.append(effect.record, entry);
          break;
        case 'send':
          this.outgoing.add(effect.message);
          break;
        case 'schedule-resend':
          entry?.timers.scheduleResend(effect.attempt);
          break;
        case 'cancel-resend':
          entry?.timers.cancelResend();
          break;
        case 'branch-done':
          this.done.add(effect.done, this.isAwaited(effect.done, entry));
          if (entry?.machine.hasEveryEnd) this.dependencies.onEveryEnd(entry.machine.transaction);
          break;
        case 'alert':
          this.dependencies.onAlert(effect.detail);
          break;
        default:
          unreachable(effect, 'effect');
      }
    }
  }

  /** Whether a client waits for it: for the end of the last branch, with which the transaction ends. */
  private isAwaited({ transactionId }: BranchDone, entry: LedTransaction | undefined): boolean {
    return (entry?.machine.hasEveryEnd ?? true) && this.dependencies.awaitsEnd(transactionId);
  }

  /** For proposals of the machines; the result arrives through `onApplied`. */
  private async append(record: LogRecord, entry?: LedTransaction): Promise<void> {
    this.waitingBegins.release(); // before it, into the same batch
    const proposed = this.propose(record);
    if (record.type !== 'branches-done') this.done.ride(); // behind it, into the same batch
    this.latestAppend = proposed.catch(() => undefined);
    try {
      const { refusal } = await proposed;
      // Its `Begin` was delayed and comes after it: nothing was decided, so it must be proposed again.
      if (refusal === 'UNKNOWN_TRANSACTION' && entry) this.handle(entry, { type: 'proposal-failed' });
    } catch (error) {
      const reason = error instanceof LogUnavailableError ? error.reason : undefined;
      if (this.closed || reason === 'no-leader' || error instanceof OutcomeUnknownError) return;
      const { logger } = this.dependencies;
      const sentence = `the log did not take a ${record.type} record: ${errorMessage(error)}`;
      if (reason === 'handing-over') logger.debug(sentence);
      else logger.warn(sentence);
      if (entry) this.handle(entry, { type: 'proposal-failed' });
      else if (record.type === 'branches-done') this.done.restore(record.items);
    }
  }

  /** @throws LogUnavailableError also when the session is closed, even if this node leads again */
  private async propose(record: LogRecord): Promise<ApplyResult> {
    if (this.closed) {
      throw new LogUnavailableError('no-leader', 'the leadership ended before the record was proposed');
    }
    return this.dependencies.log.append(record);
  }

  private now(): number {
    return this.dependencies.clock.now();
  }
}
