import { invariant, unreachable } from '@concordat/foundation';
import {
  DecisionState,
  transactionFromBegin,
  type ApplyResult,
  type BallotAnswerMessage,
  type BeginRecord,
  type BranchesDecidedMessage,
  type CoordinatorEffect,
  type CoordinatorEvent,
  type CoordinatorMessage,
  type CoordinatorTransaction,
  type Decision,
  type DoneMessage,
  type InquiryMessage,
  type LeaderEpoch,
  type LogRecord,
  type TransactionState,
  type VoteMessage,
} from '@concordat/commit-protocol';
import { PlainEndedTransactions } from '@concordat/commit-protocol/testing';

/** A replica of the replicated state machine, by the real reducer. */
export class LogReplica {
  index = 0;

  constructor(readonly state: DecisionState = new DecisionState(new PlainEndedTransactions())) {}

  append(record: LogRecord): ApplyResult {
    return this.state.apply(record, ++this.index);
  }
}

export interface NodeOutput {
  readonly sent: readonly CoordinatorMessage[];
  readonly alerts: readonly string[];
  /** what a client that waits is told now */
  readonly told?: Decision;
  /** what the log refused although a leader must not have proposed it */
  readonly refused?: string;
}

export type TransactionFactory = (
  state: TransactionState,
  epoch: LeaderEpoch,
  recovered: boolean,
) => CoordinatorTransaction;

export type BranchReply = VoteMessage | DoneMessage | InquiryMessage | BallotAnswerMessage | BranchesDecidedMessage;

/**
 * A coordinator that leads, or believes so, around the real machine of its one transaction, as the leader session
 * is one: first the log, then the wire. What it proposes waits in `proposed`, in order, for the log to take or lose
 * it; the world decides which.
 */
export class CoordinatorNode {
  proposed: LogRecord[] = [];
  machine: CoordinatorTransaction | undefined;
  resendScheduled = false;
  deadlineScheduled = false;
  private sent: CoordinatorMessage[] = [];
  private alerts: string[] = [];
  private told: Decision | undefined;
  private refused: string | undefined;

  /** @param log all that was committed before it was elected, its own no-op as the last */
  constructor(
    readonly log: LogReplica,
    readonly term: number,
    private readonly transactionId: string,
    private readonly createTransaction: TransactionFactory,
  ) {}

  /** Takes over what the log has. */
  recover(now: number): NodeOutput {
    this.log.index++; // its no-op
    const transaction = this.transaction;
    if (transaction && transaction.endedAt === undefined) {
      const machine = this.track(this.createTransaction(transaction, this.epoch, true));
      this.run(machine.handle(transaction.decision ? { type: 'applied', transaction } : { type: 'admitted' }, now));
    }
    if (transaction?.decision) this.told = transaction.decision;
    return this.output();
  }

  begin(record: BeginRecord, now: number): NodeOutput {
    invariant(!this.machine, 'the one transaction begins once');
    const machine = this.track(this.createTransaction(transactionFromBegin(record, 0), this.epoch, false));
    this.proposed.push(record);
    this.run(machine.handle({ type: 'admitted' }, now));
    return this.output();
  }

  /** The log has taken the oldest proposal, and this node applies it. */
  committed(now: number): NodeOutput {
    const record = this.proposed.shift();
    invariant(record, 'something was proposed');
    const result = this.log.append(record);
    if (record.type === 'begin' && result.refusal !== undefined) this.drop();
    for (const transaction of result.transactions) this.applied(transaction, record, result, now);
    if (result.refusal === 'UNKNOWN_TRANSACTION') this.give({ type: 'proposal-failed' }, now);
    return this.output();
  }

  /** The log has certainly not taken the youngest proposal. */
  proposalFailed(now: number): NodeOutput {
    const record = this.proposed.pop();
    invariant(record, 'something was proposed');
    if (record.type === 'begin') this.drop();
    else if (record.type === 'branches-done')
      this.proposed.push(record); // gathered again with the next
    else this.give({ type: 'proposal-failed' }, now);
    return this.output();
  }

  /** @param leads whether a read barrier would succeed */
  receive(message: BranchReply, leads: boolean, now: number): NodeOutput {
    const event = eventOf(message);
    if (this.machine) {
      if (!this.isPuzzling(message) || leads) this.give(event, now);
    } else if (this.transaction) {
      this.run(this.createTransaction(this.transaction, this.epoch, true).handle(event, now));
    } else if (leads && (message.type === 'inquiry' || (message.type === 'vote' && message.vote === 'yes'))) {
      this.presumeAbort(message);
    }
    return this.output();
  }

  deadline(now: number): NodeOutput {
    this.deadlineScheduled = false;
    this.give({ type: 'deadline' }, now);
    return this.output();
  }

  resend(now: number): NodeOutput {
    this.resendScheduled = false;
    this.give({ type: 'resend' }, now);
    return this.output();
  }

  get transaction(): TransactionState | undefined {
    return this.log.state.find(this.transactionId);
  }

  protected presumeAbort({ transactionId, branchId, participant }: BranchReply): void {
    this.sent.push({ type: 'decision', transactionId, branchId, participant, decision: 'abort', attempt: 0 });
  }

  /** What the branches decided, and an end that is not an abort, is news before the decision, only behind a read barrier. */
  private isPuzzling(message: BranchReply): boolean {
    if (message.type === 'branches-decided') return true;
    if (message.type !== 'done' || !this.machine) return false;
    const { decision, delegatedTo } = this.machine.transaction;
    return !decision && delegatedTo !== message.branchId && message.end !== 'aborted';
  }

  private applied(transaction: TransactionState, record: LogRecord, result: ApplyResult, now: number): void {
    if (result.refusal !== undefined && result.refusal !== 'DECIDED') {
      this.refused = `${record.type}: ${result.refusal}`;
    }
    if (transaction.decision) this.told = transaction.decision;
    if (result.refusal !== undefined && !transaction.decision) {
      if (record.type === 'decide' || record.type === 'pre-commit') this.give({ type: 'proposal-failed' }, now);
      return;
    }
    this.give({ type: 'applied', transaction }, now);
    if (transaction.decision) this.deadlineScheduled = false;
    if (transaction.endedAt !== undefined) this.drop();
  }

  private get epoch(): LeaderEpoch {
    return { term: this.term, index: this.log.index };
  }

  private track(machine: CoordinatorTransaction): CoordinatorTransaction {
    this.machine = machine;
    this.deadlineScheduled = machine.transaction.decision === undefined;
    return machine;
  }

  private drop(): void {
    this.machine = undefined;
    this.deadlineScheduled = false;
    this.resendScheduled = false;
  }

  private give(event: CoordinatorEvent, now: number): void {
    if (this.machine) this.run(this.machine.handle(event, now));
  }

  private run(effects: readonly CoordinatorEffect[]): void {
    for (const effect of effects) {
      switch (effect.type) {
        case 'append':
          this.proposed.push(effect.record);
          break;
        case 'send':
          this.sent.push(effect.message);
          break;
        case 'schedule-resend':
          this.resendScheduled = this.machine !== undefined;
          break;
        case 'cancel-resend':
          this.resendScheduled = false;
          break;
        case 'branch-done': {
          const at = this.machine?.transaction.deadline ?? 0;
          this.proposed.push({ type: 'branches-done', items: [effect.done], publishedIndex: 0, at });
          break;
        }
        case 'alert':
          this.alerts.push(effect.detail);
          break;
        default:
          unreachable(effect, 'effect of a coordinator');
      }
    }
  }

  private output(): NodeOutput {
    const { sent, alerts, told, refused } = this;
    this.sent = [];
    this.alerts = [];
    this.told = undefined;
    this.refused = undefined;
    return { sent, alerts, ...(told && { told }), ...(refused !== undefined && { refused }) };
  }
}

function eventOf(message: BranchReply): CoordinatorEvent {
  switch (message.type) {
    case 'inquiry':
      return message;
    case 'vote':
      return { type: 'vote', message };
    case 'done':
      return { type: 'done', message };
    case 'ballot-answer':
      return { type: 'ballot-answer', message };
    case 'branches-decided':
      return { type: 'branches-decided', message };
  }
}
