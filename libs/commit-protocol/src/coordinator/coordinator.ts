import { invariant, unreachable } from '@concordat/foundation';
import { causeOfRefusal, withinResultsLimit, withoutResults } from './branch-reports.js';
import { ACCEPTOR_AMNESIA, CoordinatorBallots } from './coordinator-ballots.js';
import type { CoordinatorEffect, CoordinatorEvent } from './coordinator.types.js';
import { delegate } from '../log/delegation.js';
import type {
  BallotAnswerMessage,
  BranchesDecidedMessage,
  CommitOnePhaseMessage,
  DecisionMessage,
  DoneMessage,
  OperatorRulingMessage,
  PrepareMessage,
  VoteMessage,
} from '../vocabulary/messages.js';
import type { BallotBasis, BranchReport, DecideRecord } from '../log/records.js';
import {
  acceptorsOf,
  findBranch,
  isHazard,
  type BranchState,
  type TransactionState,
} from '../log/transaction-state.js';
import type { Acceptor, Ballot } from '../ballots/ballot.js';
import type { AbortCause, AcceptorLoss, BranchEnd, BranchId, Decision, LeaderEpoch } from '../vocabulary/types.js';

/**
 * The coordinator's side of one transaction on the leader (protocol section 4): events in, effects out, no
 * clock and no I/O; `now` comes with every event.
 *
 * What is certain stands in `transaction`, which only the log changes. The rest lives as long as the leader:
 * votes, what is being proposed, how often was sent. A new leader starts from the log and asks again.
 *
 * States: waiting (not closed, or not admitted) → asking (work sent) → proposing (a decision is on its way
 * into the log) → telling (decided; the decision is sent until every branch is done) → ended. A delegated
 * transaction skips `proposing`: its branch decides, and the log records what it said. In three phases a ballot comes
 * before the decision: proposing (pre-commit) → balloting → proposing (decide).
 */
export class CoordinatorTransaction {
  private readonly votes = new Map<BranchId, BranchReport>();
  private readonly done = new Map<BranchId, BranchEnd>();
  private admitted = false;
  private proposing: 'commit-requested' | 'pre-commit' | 'decide' | undefined;
  private readonly ballots: CoordinatorBallots;
  private pendingAbort: AbortCause | undefined;
  private commitWanted = false;
  private workAttempt: number;
  private decisionAttempt = 0;
  private resendAttempt = 0;
  private workSent = false;
  /** what the delegated branch has said, while it is on its way into the log */
  private delegatedDone: DoneMessage | undefined;
  private told = false;
  private readonly ruledBranches = new Set<BranchId>(); // those that were told

  /**
   * @param state from the log, or from a `Begin` that is still on its way into it (`logIndex` 0)
   * @param epoch of the leader, which fences its prepares
   * @param recovered whether another leader may have sent work before
   */
  constructor(
    private state: TransactionState,
    private readonly epoch: LeaderEpoch,
    recovered: boolean,
  ) {
    this.workAttempt = recovered ? 1 : 0;
    this.ballots = new CoordinatorBallots(state);
    for (const branch of state.branches) this.adoptEnlistedVote(branch);
  }

  get transaction(): TransactionState {
    return this.state;
  }

  /** What the leader knows of a branch's vote beyond the log. */
  reportOf(branchId: BranchId): BranchReport | undefined {
    return this.votes.get(branchId);
  }

  /** What the leader knows to have happened to a branch's database. */
  lossOf(branchId: BranchId): AcceptorLoss | undefined {
    return this.ballots.lossOf(branchId);
  }

  /** Every vote the leader has, as a record that decides has them. */
  reportsFor(decision: Decision): readonly BranchReport[] {
    return decision === 'commit' ? withinResultsLimit(this.reports()) : this.reports().map(withoutResults);
  }

  get isAdmitted(): boolean {
    return this.admitted;
  }

  handle(event: CoordinatorEvent, now: number): CoordinatorEffect[] {
    switch (event.type) {
      case 'admitted':
        this.admitted = true;
        return this.isLate(now) ? this.giveUp(now) : [...this.sendWork(), ...this.advance(now)];
      case 'applied':
        return this.onApplied(event.transaction, now);
      case 'vote':
        return this.onVote(event.message, now);
      case 'done':
        return this.onDone(event.message, now);
      case 'ballot-answer':
        return this.onBallotAnswer(event.message, now);
      case 'branches-decided':
        return this.onBranchesDecided(event.message, now);
      case 'inquiry':
        return this.onInquiry(event.branchId, event.participant);
      case 'commit':
        this.commitWanted = true;
        return this.advance(now);
      case 'abort':
        this.pendingAbort ??= event.cause;
        return this.advance(now);
      case 'deadline':
        return this.onDeadline(now);
      case 'resend':
        return this.onResend(now);
      case 'proposal-failed':
        this.proposing = undefined;
        return [{ type: 'schedule-resend', attempt: this.resendAttempt }];
      default:
        return unreachable(event, 'event');
    }
  }

  private onApplied(transaction: TransactionState, now: number): CoordinatorEffect[] {
    this.state = transaction;
    for (const branch of transaction.branches) this.adoptEnlistedVote(branch);
    if (transaction.decision) return [...this.overtaken(now), ...this.tell()];
    if (this.proposing === 'commit-requested') this.proposing = undefined;
    const { preCommit } = transaction;
    if (this.proposing === 'pre-commit' && preCommit && this.ballots.isNext(preCommit)) {
      return this.openBallot(preCommit, now);
    }
    if (transaction.delegatedTo !== undefined && !this.workSent) return this.sendWork(); // only now may it leave
    return this.advance(now);
  }

  private onVote(message: VoteMessage, now: number): CoordinatorEffect[] {
    const branch = findBranch(this.state, message.branchId);
    if (!branch || branch.participant !== message.participant) return [];
    if (this.state.decision) return this.onLateVote(branch, message);
    if (this.state.delegatedTo !== undefined || this.proposing === 'decide') return [];
    if (this.state.preCommit) return []; // all have voted; what else they say, they say in ballots
    this.votes.set(branch.branchId, {
      branchId: branch.branchId,
      vote: message.vote,
      ...(message.results.length > 0 && { results: message.results }),
      ...(message.error && { error: message.error }),
    });
    return this.advance(now);
  }

  /** After the decision (protocol 4.5): a `yes` is told the decision; a `no` after a counted `yes` is a hazard. */
  private onLateVote(branch: BranchState, { vote }: VoteMessage): CoordinatorEffect[] {
    if (vote === 'yes') return [{ type: 'send', message: this.rulingFor(branch) }];
    if (vote === 'read-only' || this.state.decision === 'abort' || branch.vote !== 'yes') return [];
    // an old message: the branch has kept its promise meanwhile, or the hazard is known
    if (branch.end !== undefined || this.done.has(branch.branchId)) return [];
    return [
      this.alert(branch, 'voted no after it had voted yes, and the transaction is committed'),
      ...this.finish(branch, 'heuristic-rollback'),
    ];
  }

  private onDone(message: DoneMessage, now: number): CoordinatorEffect[] {
    const branch = findBranch(this.state, message.branchId);
    if (!branch || branch.participant !== message.participant) return [];
    if (!this.state.decision) return this.onEarlyDone(branch, message, now);
    if (branch.end !== undefined || this.done.has(branch.branchId)) return [];
    const end = hazardOf(this.state.decision, message.end) ?? message.end;
    const alerts = isHazard(end) ? [this.alert(branch, `ended as ${end}, against the decision`)] : [];
    // a branch that was forgotten is heard of after all; the log has closed the books
    return this.state.endedAt === undefined ? [...alerts, ...this.finish(branch, end)] : alerts;
  }

  /** A delegated branch that was given up just before its end reached the log may have ended otherwise. */
  private overtaken(now: number): CoordinatorEffect[] {
    const said = this.delegatedDone;
    this.delegatedDone = undefined;
    return said ? this.onDone(said, now) : [];
  }

  /** Before the decision only a delegated branch ends; any other that says so has aborted alone. */
  private onEarlyDone(branch: BranchState, message: DoneMessage, now: number): CoordinatorEffect[] {
    if (this.state.preCommit) return this.onEndedByBranches(branch, message, now);
    if (this.state.delegatedTo !== branch.branchId) {
      if (message.end !== 'aborted') return [this.alert(branch, `ended as ${message.end} before any decision`)];
      const error = { code: 'ABORTED_BY_PARTICIPANT', message: 'the participant had aborted this branch' };
      const { transactionId, branchId, participant } = message;
      return this.onVote({ type: 'vote', transactionId, branchId, participant, vote: 'no', results: [], error }, now);
    }
    if (this.proposing === 'decide') return [];
    this.delegatedDone = message;
    const committed = message.end === 'committed' || message.end === 'read-only';
    const report: BranchReport = {
      branchId: branch.branchId,
      vote: committed ? (message.end === 'read-only' ? 'read-only' : 'yes') : 'no',
      ...(message.results && message.results.length > 0 && { results: message.results }),
      ...(message.error && { error: message.error }),
    };
    const cause = committed ? undefined : causeOfRefusal(branch, message.error);
    return [this.decide(committed ? 'commit' : 'abort', [report], now, cause, message.end)];
  }

  /** A branch that the closed transaction does not have was never part of it: it may be presumed aborted. */
  private onInquiry(branchId: BranchId, participant: string): CoordinatorEffect[] {
    const branch = findBranch(this.state, branchId);
    if (this.state.decision && branch) return [{ type: 'send', message: this.rulingFor(branch) }];
    if (branch && this.state.protocol === '3pc') return this.sayUndecided(branch);
    if (branch || !this.state.closed || this.state.logIndex === 0) return [];
    const { transactionId } = this.state;
    return [
      {
        type: 'send',
        message: { type: 'decision', transactionId, branchId, participant, decision: 'abort', attempt: 0 },
      },
    ];
  }

  /** A delegated transaction is not the coordinator's to decide, not even now (protocol 4.7). */
  private onDeadline(now: number): CoordinatorEffect[] {
    if (this.state.decision || this.proposing === 'decide' || this.isUnderBallot()) return [];
    const queued = this.state.closed && !this.admitted;
    this.pendingAbort ??= queued
      ? { reason: 'ADMISSION_TIMEOUT', detail: 'the keys of the transaction did not become free before its deadline' }
      : { reason: 'DEADLINE_EXCEEDED', detail: this.describeMissing() };
    return this.advance(now);
  }

  private onResend(now: number): CoordinatorEffect[] {
    if (this.state.endedAt !== undefined) return [];
    this.resendAttempt++;
    if (this.state.decision) {
      this.decisionAttempt++;
      return this.sendDecision();
    }
    if (this.state.preCommit) return [...this.advance(now), ...this.sendRequests()];
    if (this.isLate(now)) return this.giveUp(now);
    this.workAttempt++;
    return [...this.sendWork(), ...this.advance(now)];
  }

  /** Past its deadline nobody is asked for a vote any more (protocol 4.2); a delegated branch is, for ever (4.7). */
  private isLate(now: number): boolean {
    return now >= this.state.deadline && this.state.delegatedTo === undefined && !this.isUnderBallot();
  }

  /** Proposes what the transaction is ready for with what is known, and an abort if that is nothing. */
  private giveUp(now: number): CoordinatorEffect[] {
    const effects = this.advance(now);
    return effects.length > 0 ? effects : this.onDeadline(now);
  }

  /** Proposes what the transaction is ready for. */
  private advance(now: number): CoordinatorEffect[] {
    const { state } = this;
    if (state.decision || this.proposing) return [];
    if (state.delegatedTo !== undefined) return [];
    // nobody decides commit before a ballot is in the log, and the log would refuse it
    if (state.preCommit || this.ballots.decision?.decision === 'abort') return this.advanceBallot(now);
    if (this.pendingAbort) return [this.decide('abort', this.reports(), now, this.pendingAbort)];
    if (!state.closed) return this.commitWanted && state.logIndex > 0 ? this.requestCommit(now) : [];
    const refused = state.branches.find((branch) => this.votes.get(branch.branchId)?.vote === 'no');
    if (refused) {
      const cause = causeOfRefusal(refused, this.votes.get(refused.branchId)?.error);
      return [this.decide('abort', this.reports(), now, cause)];
    }
    const unanimous = state.branches.every((branch) => this.votes.has(branch.branchId));
    if (!unanimous) return [];
    return [this.needsBallot() ? this.preCommit(now) : this.decide('commit', this.reports(), now)];
  }

  private requestCommit(at: number): CoordinatorEffect[] {
    this.proposing = 'commit-requested';
    const { transactionId, branches } = this.state;
    const delegateTo = delegate(branches);
    return [
      {
        type: 'append',
        record: { type: 'commit-requested', transactionId, at, ...(delegateTo !== undefined && { delegateTo }) },
      },
    ];
  }

  private decide(
    decision: 'commit' | 'abort',
    reports: readonly BranchReport[],
    at: number,
    cause?: AbortCause,
    delegatedEnd?: BranchEnd,
    basis?: BallotBasis,
  ): CoordinatorEffect {
    invariant(this.proposing === undefined, 'a leader proposes one record of a transaction at a time');
    this.proposing = 'decide';
    const losses = this.ballots.losses();
    const record: DecideRecord = {
      type: 'decide',
      transactionId: this.state.transactionId,
      decision,
      reports: decision === 'commit' ? withinResultsLimit(reports) : reports.map(withoutResults),
      at,
      ...(cause && { cause }),
      ...(delegatedEnd && { delegatedEnd }),
      ...(basis && { basis }),
      ...(losses.length > 0 && { losses }),
    };
    return { type: 'append', record };
  }

  // --- three phases

  /** Branches that hold nothing never start a ballot, so a commit of nothing but them cannot be contradicted. */
  private needsBallot(): boolean {
    return this.state.protocol === '3pc' && this.reports().some(({ vote }) => vote === 'yes');
  }

  /** From then on nothing but a ballot decides, not even the deadline. */
  private isUnderBallot(): boolean {
    return this.state.preCommit !== undefined || this.proposing === 'pre-commit';
  }

  private preCommit(at: number): CoordinatorEffect {
    invariant(this.proposing === undefined, 'a leader proposes one record of a transaction at a time');
    this.proposing = 'pre-commit';
    const reports = this.state.preCommit ? [] : withinResultsLimit(this.reports());
    const { transactionId } = this.state;
    return {
      type: 'append',
      record: { type: 'pre-commit', transactionId, ballot: this.ballots.next(), reports, at },
    };
  }

  private openBallot(ballot: Ballot, now: number): CoordinatorEffect[] {
    this.proposing = undefined;
    this.resendAttempt = 0;
    this.ballots.opened(ballot, this.state);
    return [...this.advance(now), ...this.sendRequests()];
  }

  private sendRequests(): CoordinatorEffect[] {
    if (this.proposing !== undefined || this.state.decision) return [];
    const requests = this.ballots.requests(this.state);
    return [
      ...requests.map((message): CoordinatorEffect => ({ type: 'send', message })),
      { type: 'schedule-resend', attempt: this.resendAttempt },
    ];
  }

  /** Logs what the ballot decided, or the next one when this leader has none, or was outbid and has waited. */
  private advanceBallot(now: number): CoordinatorEffect[] {
    const { decision: decided } = this.ballots;
    if (decided) {
      const { decision, basis } = decided;
      const cause = decision === 'abort' ? this.causeOfBallot() : undefined;
      return [this.decide(decision, [], now, cause, undefined, this.state.preCommit && basis)];
    }
    return this.ballots.isRunning() ? [] : [this.preCommit(now)];
  }

  private causeOfBallot(): AbortCause {
    return {
      reason: 'BRANCHES_DECIDED',
      detail: 'the branches decided to abort, because no coordinator had told them otherwise in time',
    };
  }

  /** As long as a coordinator answers, the branches leave the decision to it. */
  private sayUndecided({ branchId, participant }: BranchState): CoordinatorEffect[] {
    if (this.state.logIndex === 0) return []; // asks again; nothing of it is certain yet
    const { transactionId } = this.state;
    return [{ type: 'send', message: { type: 'undecided', transactionId, branchId, participant } }];
  }

  private onBallotAnswer(message: BallotAnswerMessage, now: number): CoordinatorEffect[] {
    const branch = findBranch(this.state, message.branchId);
    if (!branch || branch.participant !== message.participant || this.state.decision) return [];
    if (!this.state.preCommit) return []; // not asked for: no ballot of the coordinators is open
    const isNews = this.ballots.onAnswer(message);
    const alerts = this.alertAmnesia(this.ballots.newAmnesiacs());
    return isNews ? [...alerts, ...this.afterBallotNews(now)] : alerts;
  }

  private afterBallotNews(now: number): CoordinatorEffect[] {
    if (this.ballots.decision) return this.advance(now);
    // outbid: whoever did it gets time to finish, and the next ballot comes with the next resend
    return this.ballots.isRunning() ? this.sendRequests() : [{ type: 'schedule-resend', attempt: this.resendAttempt }];
  }

  private onBranchesDecided(message: BranchesDecidedMessage, now: number): CoordinatorEffect[] {
    const branch = findBranch(this.state, message.branchId);
    if (!branch || branch.participant !== message.participant || this.state.protocol !== '3pc') return [];
    const alerts = this.alertAmnesia(this.ballots.toldOfAmnesiacs(message.amnesiacs ?? [], this.state));
    if (this.state.decision) {
      if (this.state.decision === message.decision) return alerts;
      return [this.alert(branch, `says that the branches decided ${message.decision}, against the log`)];
    }
    if (message.decision === 'commit' && !this.isUnderBallot())
      return [this.alert(branch, 'says that the branches decided commit, which nobody has proposed')];
    this.ballots.branchesDecided(message.decision, branch.branchId);
    return [...alerts, ...this.advance(now)];
  }

  /** A branch that has ended before the log knows the decision was told it by the other branches. */
  private onEndedByBranches(branch: BranchState, { end }: DoneMessage, now: number): CoordinatorEffect[] {
    if (end === 'read-only' || isHazard(end)) return [];
    this.ballots.branchesDecided(end === 'committed' ? 'commit' : 'abort', branch.branchId);
    return this.advance(now);
  }

  // --- the decision

  /** The decision is in the log: tell it, for ever, to every branch that has not ended by it. */
  private tell(): CoordinatorEffect[] {
    this.proposing = undefined;
    if (this.state.endedAt !== undefined) return [{ type: 'cancel-resend' }];
    const ruled = this.state.branches.filter(({ branchId, ruling }) => ruling && !this.ruledBranches.has(branchId));
    if (this.told && ruled.length === 0) return this.untold().length > 0 ? [] : [{ type: 'cancel-resend' }];
    for (const { branchId } of ruled) this.ruledBranches.add(branchId);
    this.told = true;
    this.resendAttempt = 0;
    return this.sendDecision();
  }

  private sendDecision(): CoordinatorEffect[] {
    const effects = this.untold().map((branch): CoordinatorEffect => {
      return { type: 'send', message: this.rulingFor(branch) };
    });
    if (effects.length === 0) return [{ type: 'cancel-resend' }];
    return [...effects, { type: 'schedule-resend', attempt: this.resendAttempt }];
  }

  /** Branches that are waited for and have not answered. */
  private untold(): BranchState[] {
    return this.state.branches.filter((branch) => {
      return branch.end === undefined && !branch.forgotten && !this.done.has(branch.branchId);
    });
  }

  /** The decision, or what an operator ruled for this branch against it. */
  private rulingFor(branch: BranchState): DecisionMessage | OperatorRulingMessage {
    const { branchId, participant, ruling } = branch;
    if (ruling === undefined) return this.decisionFor(branch);
    const { transactionId } = this.state;
    return { type: 'ruling', transactionId, branchId, participant, ruling, attempt: this.decisionAttempt };
  }

  private decisionFor({ branchId, participant }: BranchState): DecisionMessage {
    const { transactionId, decision } = this.state;
    invariant(decision && this.state.logIndex > 0, 'a decision is told only when it is in the log');
    return { type: 'decision', transactionId, branchId, participant, decision, attempt: this.decisionAttempt };
  }

  /** Sends work to every branch that has not answered; nothing before the keys are free. */
  private sendWork(): CoordinatorEffect[] {
    const { state } = this;
    if (!this.admitted || !state.closed || state.decision || this.proposing === 'decide' || state.preCommit) return [];
    if (state.delegatedTo !== undefined && state.logIndex === 0) return []; // `Begin` must be committed first
    const effects: CoordinatorEffect[] = state.branches
      .filter((branch) => !this.votes.has(branch.branchId))
      .map((branch) => ({ type: 'send', message: this.workFor(branch) }));
    if (effects.length === 0) return [];
    this.workSent = true;
    return [...effects, { type: 'schedule-resend', attempt: this.resendAttempt }];
  }

  private workFor(branch: BranchState): PrepareMessage | CommitOnePhaseMessage {
    const { branchId, participant, operations } = branch;
    const { transactionId, deadline, protocol } = this.state;
    const work = { transactionId, branchId, participant, operations, deadline, attempt: this.workAttempt };
    if (this.state.delegatedTo === branchId) return { type: 'commit-one-phase', ...work };
    return { type: 'prepare', ...work, protocol, epoch: this.epoch, ...this.acceptingFor(branch) };
  }

  /** In three phases a branch must know all others, also one that its service has prepared. */
  private acceptingFor({ selfPrepared, vote }: BranchState): Pick<PrepareMessage, 'acceptors' | 'enlistedVote'> {
    if (this.state.protocol !== '3pc') return {};
    const acceptors = acceptorsOf(this.state);
    return selfPrepared && vote !== undefined && vote !== 'no' ? { acceptors, enlistedVote: vote } : { acceptors };
  }

  private finish(branch: BranchState, end: BranchEnd): CoordinatorEffect[] {
    if (this.done.has(branch.branchId)) return [];
    this.done.set(branch.branchId, end);
    const effects: CoordinatorEffect[] = [
      { type: 'branch-done', done: { transactionId: this.state.transactionId, branchId: branch.branchId, end } },
    ];
    return this.untold().length === 0 ? [...effects, { type: 'cancel-resend' }] : effects;
  }

  /** In three phases a vote counts only when the branch has it on record as an acceptor, so it is asked, too. */
  private adoptEnlistedVote(branch: BranchState): void {
    if (this.state.protocol === '3pc' && branch.vote !== 'no' && !this.state.preCommit) return;
    if (!branch.selfPrepared || branch.vote === undefined || this.votes.has(branch.branchId)) return;
    this.votes.set(branch.branchId, { branchId: branch.branchId, vote: branch.vote });
  }

  private reports(): BranchReport[] {
    return [...this.votes.values()];
  }

  private describeMissing(): string {
    if (!this.state.closed) return 'the commit was not requested before the deadline';
    const missing = this.state.branches.filter((branch) => !this.votes.has(branch.branchId));
    return `no vote before the deadline from ${[...new Set(missing.map(({ participant }) => participant))].join(', ')}`;
  }

  private alertAmnesia(acceptors: readonly Acceptor[]): CoordinatorEffect[] {
    return acceptors.map((acceptor) => this.alert(acceptor, ACCEPTOR_AMNESIA));
  }

  private alert({ branchId, participant }: Acceptor, what: string): CoordinatorEffect {
    const { transactionId } = this.state;
    return { type: 'alert', detail: `transaction ${transactionId}: branch ${branchId} of ${participant} ${what}` };
  }
}

function hazardOf(decision: 'commit' | 'abort', end: BranchEnd): BranchEnd | undefined {
  if (decision === 'commit' && end === 'aborted') return 'heuristic-rollback';
  if (decision === 'abort' && end === 'committed') return 'heuristic-commit';
  return undefined;
}
