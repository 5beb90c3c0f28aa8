import { invariant, unreachable } from '@concordat/foundation';
import {
  beginnerGone,
  verdictOfDelegated,
  causeOfRefusal,
  describeMissing,
  instanceGone,
  withinResultsLimit,
  withoutResults,
} from './branch-reports.js';
import { CoordinatorBallots, type BallotNews } from './coordinator-ballots.js';
import { alertOf, decisionFor, hazardOf, presumedAbort } from './coordinator-messages.js';
import {
  admit,
  checkProgress,
  follow,
  mayBeGivenUp,
  progressOf,
  takesVotes,
  undecidedPhase,
  type Balloting,
  type Open,
  type Progress,
  type Undecided,
  type Voting,
} from './coordinator-phase.js';
import type { CoordinatorEffect, CoordinatorEvent, Verdict } from './coordinator.types.js';
import { EarlyWork } from './early-work.js';
import type { DoneMessage, VoteMessage } from '../vocabulary/messages.js';
import type { BranchReport, DecideRecord } from '../log/records.js';
import { findBranch, type BranchState, type TransactionState } from '../log/transaction-state.js';
import type { Acceptor, Ballot } from '../ballots/ballot.js';
import {
  isHazard,
  type AbortCause,
  type AcceptorLoss,
  type BranchEnd,
  type BranchId,
  type Decision,
  type LeaderEpoch,
} from '../vocabulary/types.js';

/** Events that advance an undecided transaction; all others bring news of branches. */
const ADVANCING: ReadonlySet<CoordinatorEvent['type']> = new Set([
  'admitted',
  'commit',
  'abort',
  'deadline',
  'instance-gone',
  'beginner-gone',
  'resend',
]);

/**
 * The coordinator's side of one transaction on the leader (protocol section 4): events in, effects out, no clock and no
 * I/O; `now` comes with every event.
 *
 * `transaction` holds what is certain; only the log changes it. Everything else lives as long as the leader: votes,
 * proposals in flight, numbers of resends. A new leader starts from the log and asks again.
 *
 * The phase is one `Progress`. It agrees with the log once the leader has handled what was applied; the log may be
 * ahead by one record. Ballots are in `CoordinatorBallots`.
 */
export class CoordinatorTransaction {
  private progress: Progress;
  private readonly votes = new Map<BranchId, BranchReport>();
  private readonly done = new Map<BranchId, BranchEnd>();
  private readonly ballots: CoordinatorBallots;
  private readonly early: EarlyWork;
  /** the reason to abort, as soon as that can be proposed; ignored under a delegation or a ballot */
  private pendingAbort: AbortCause | undefined;
  /** resends since the transaction last advanced */
  private resendAttempt = 0;

  /**
   * @param state from the log, or from a `Begin` in flight (`logIndex` 0)
   * @param epoch of the leader, which fences its prepares
   * @param recovered whether an earlier leader may have sent work
   */
  constructor(
    private state: TransactionState,
    epoch: LeaderEpoch,
    recovered: boolean,
  ) {
    this.progress = progressOf(state);
    this.early = new EarlyWork(epoch, recovered);
    this.ballots = new CoordinatorBallots(state);
    for (const branch of state.branches) this.adoptEnlistedVote(branch);
  }

  get transaction(): TransactionState {
    return this.state;
  }

  /** Whether every branch has told that it has ended as decided, even if that is not logged yet. */
  get hasEveryEnd(): boolean {
    return this.state.decision !== undefined && this.unacknowledged().length === 0;
  }

  /** A branch's vote, even if it is not logged yet. */
  reportOf(branchId: BranchId): BranchReport | undefined {
    return this.votes.get(branchId);
  }

  /** What is known to have happened to a branch's database. */
  lossOf(branchId: BranchId): AcceptorLoss | undefined {
    return this.ballots.lossOf(branchId);
  }

  /** Every vote the leader has, for a decision record. */
  reportsFor(decision: Decision): readonly BranchReport[] {
    return decision === 'commit' ? withinResultsLimit(this.reports()) : this.reports().map(withoutResults);
  }

  handle(event: CoordinatorEvent, now: number): CoordinatorEffect[] {
    if (this.isOvertaken() && ADVANCING.has(event.type)) return [];
    const effects = this.take(event, now);
    if (event.type === 'applied') checkProgress(this.progress, this.state);
    return effects;
  }

  /** The log has decided, and the leader has not handled that yet: until then it proposes and sends nothing. */
  private isOvertaken(): boolean {
    const { phase } = this.progress;
    return this.state.decision !== undefined && phase !== 'decided' && phase !== 'telling';
  }

  private take(event: CoordinatorEvent, now: number): CoordinatorEffect[] {
    switch (event.type) {
      case 'admitted':
        return this.onAdmitted(now);
      case 'applied':
        return this.onApplied(event.transaction, now);
      case 'vote':
        return this.onVote(event.message, now);
      case 'done':
        return this.onDone(event.message, now);
      case 'ballot-answer': {
        const branch = this.senderOf(event.message);
        return branch ? this.onBallotNews(this.ballots.onAnswer(event.message, branch, this.state), now) : [];
      }
      case 'branches-decided': {
        const branch = this.senderOf(event.message);
        if (!branch) return [];
        const news = this.ballots.onBranchesDecided(event.message, branch, this.state, this.isUnderBallot());
        return this.onBallotNews(news, now);
      }
      case 'inquiry':
        return this.onInquiry(event.branchId, event.participant);
      case 'commit':
        if (this.progress.phase !== 'open') return [];
        this.early.join(event.joining ?? []);
        this.progress = { phase: 'open', isCommitWanted: true };
        return this.advance(now);
      case 'abort':
        this.pendingAbort ??= event.cause;
        return this.advance(now);
      case 'deadline':
        return this.onDeadline(now);
      case 'instance-gone':
        return this.onInstanceGone(event.participant, event.instance, now);
      case 'beginner-gone':
        return this.onBeginnerGone(event.participant, event.instance, now);
      case 'resend':
        return this.onResend(now);
      case 'proposal-failed':
        this.progress = undecidedPhase(this.progress);
        return [this.scheduleResend()];
      default:
        return unreachable(event, 'event');
    }
  }

  private onAdmitted(now: number): CoordinatorEffect[] {
    invariant(this.state.closed, 'the keys of a transaction are known when it is closed');
    this.progress = admit(this.progress);
    const isTooLate = this.progress.phase === 'voting' && this.isLate(now);
    return isTooLate ? this.giveUp(now) : [...this.sendWork(), ...this.advance(now)];
  }

  private onApplied(transaction: TransactionState, now: number): CoordinatorEffect[] {
    this.state = transaction;
    for (const branch of transaction.branches) this.adoptEnlistedVote(branch);
    if (transaction.decision) return [...this.overtaken(now), ...this.tell()];
    const { preCommit } = transaction;
    if (this.progress.phase === 'pre-committing' && preCommit && this.ballots.isNext(preCommit)) {
      return this.openBallot(preCommit, now);
    }
    this.progress = follow(this.progress, transaction);
    return this.progress.phase === 'delegated' ? this.sendWork() : this.advance(now); // not before the log has it
  }

  private onVote(message: VoteMessage, now: number): CoordinatorEffect[] {
    const branch = this.senderOf(message);
    if (!branch) return [];
    if (this.state.decision) return this.onLateVote(branch, message);
    if (!this.countsVotes()) return [];
    this.votes.set(branch.branchId, {
      branchId: branch.branchId,
      vote: message.vote,
      ...(message.results.length > 0 && { results: message.results }),
      ...(message.error && { error: message.error }),
    });
    return this.advance(now);
  }

  /** Under a ballot all have voted; from then on only their ballot messages count. */
  private countsVotes(): boolean {
    return takesVotes(this.progress) && !this.state.preCommit;
  }

  /**
   * After the decision (protocol 4.5): a `yes` is answered with the decision; a `no` after a counted `yes` is a hazard.
   */
  private onLateVote(branch: BranchState, { vote }: VoteMessage): CoordinatorEffect[] {
    if (vote === 'yes') return [this.sendDecisionTo(branch)];
    if (vote === 'read-only' || this.state.decision === 'abort' || branch.vote !== 'yes') return [];
    // An old message: the branch has kept its promise since, or the hazard is known.
    if (branch.end !== undefined || this.done.has(branch.branchId)) return [];
    const what = 'voted no after it had voted yes, and the transaction is committed';
    return [alertOf(this.state, branch, what), ...this.finish(branch, 'heuristic-rollback')];
  }

  private onDone(message: DoneMessage, now: number): CoordinatorEffect[] {
    const branch = this.senderOf(message);
    if (!branch) return [];
    if (!this.state.decision) return this.onEarlyDone(branch, message, now);
    if (branch.end !== undefined || this.done.has(branch.branchId)) return [];
    const end = hazardOf(this.state.decision, message.end) ?? message.end;
    const alerts = isHazard(end) ? [alertOf(this.state, branch, `ended as ${end}, against the decision`)] : [];
    // An answer of a forgotten branch: the transaction has ended in the log.
    return this.state.endedAt === undefined ? [...alerts, ...this.finish(branch, end)] : alerts;
  }

  /** A delegated branch that was given up before its answer reached the log may have ended otherwise. */
  private overtaken(now: number): CoordinatorEffect[] {
    const before = undecidedPhase(this.progress);
    return before.phase === 'delegated' && before.latestDone ? this.onDone(before.latestDone, now) : [];
  }

  /** Before the decision only a delegated branch ends. Any other branch that reports its end has aborted alone. */
  private onEarlyDone(branch: BranchState, message: DoneMessage, now: number): CoordinatorEffect[] {
    if (this.state.preCommit) return this.onBallotNews(this.ballots.onEnded(branch, message.end), now);
    if (this.state.delegatedTo === branch.branchId) return this.onDelegatedDone(branch, message, now);
    if (message.end !== 'aborted') {
      return [alertOf(this.state, branch, `ended as ${message.end} before any decision`)];
    }
    const error = { code: 'ABORTED_BY_PARTICIPANT', message: 'the participant had aborted this branch' };
    const { transactionId, branchId, participant } = message;
    return this.onVote({ type: 'vote', transactionId, branchId, participant, vote: 'no', results: [], error }, now);
  }

  private onDelegatedDone(branch: BranchState, message: DoneMessage, at: number): CoordinatorEffect[] {
    const { progress } = this;
    if (progress.phase !== 'delegated') return []; // its earlier answer is in flight
    return [this.decide({ ...progress, latestDone: message }, verdictOfDelegated(branch, message, at))];
  }

  private onInquiry(branchId: BranchId, participant: string): CoordinatorEffect[] {
    const { decision, closed, logIndex, protocol, transactionId } = this.state;
    const branch = findBranch(this.state, branchId);
    if (decision && branch) return [this.sendDecisionTo(branch)];
    if (logIndex === 0) return []; // it asks again; nothing is certain yet
    if (branch) {
      // In three phases the branches do not start ballots while a coordinator answers.
      const message = { type: 'undecided', transactionId, branchId, participant: branch.participant } as const;
      return protocol === '3pc' ? [{ type: 'send', message }] : [];
    }
    return closed ? [{ type: 'send', message: presumedAbort(this.state, branchId, participant) }] : [];
  }

  /** The coordinator never decides a delegated transaction, even after its deadline (protocol 4.7). */
  private onDeadline(now: number): CoordinatorEffect[] {
    const { progress } = this;
    if (!mayBeGivenUp(this.progress)) return [];
    this.pendingAbort ??=
      progress.phase === 'voting' && !progress.isAdmitted
        ? {
            reason: 'ADMISSION_TIMEOUT',
            detail: 'the keys of the transaction did not become free before its deadline',
          }
        : { reason: 'DEADLINE_EXCEEDED', detail: describeMissing(this.state, this.missing()) };
    return this.advance(now);
  }

  /** Aborts as at the deadline, only earlier: no vote of the branch can come any more. */
  private onInstanceGone(participant: string, instance: string, now: number): CoordinatorEffect[] {
    if (!mayBeGivenUp(this.progress)) return [];
    const lost = this.missing().find((branch) => branch.heldBy === instance && branch.participant === participant);
    if (!lost) return [];
    this.pendingAbort ??= causeOfRefusal(lost, instanceGone(instance));
    return this.advance(now);
  }

  /** Nobody will request the commit, unless it was requested. */
  private onBeginnerGone(participant: string, instance: string, now: number): CoordinatorEffect[] {
    const { progress } = this;
    if (progress.phase !== 'open' || progress.isCommitWanted) return [];
    this.pendingAbort ??= beginnerGone(participant, instance);
    return this.advance(now);
  }

  private onResend(now: number): CoordinatorEffect[] {
    const { progress } = this;
    if (this.state.endedAt !== undefined) return [];
    this.resendAttempt++;
    switch (progress.phase) {
      case 'decided':
        return this.tell();
      case 'telling':
        this.progress = { ...progress, attempt: progress.attempt + 1 };
        return this.sendDecision();
      case 'balloting':
        return [...this.advance(now), ...this.sendRequests()];
      case 'deciding':
      case 'pre-committing':
        return [];
      case 'open':
      case 'closing':
      case 'voting':
      case 'delegated':
        if (this.isLate(now)) return this.giveUp(now);
        this.early.askAgain();
        return [...this.sendWork(), ...this.sendEarly(), ...this.advance(now)];
      default:
        return unreachable(progress, 'phase');
    }
  }

  /** After its deadline no branch is asked for a vote (protocol 4.2); a delegated one is asked for ever (4.7). */
  private isLate(now: number): boolean {
    return now >= this.state.deadline && this.state.delegatedTo === undefined;
  }

  /** Proposes what the known votes allow, otherwise an abort. */
  private giveUp(now: number): CoordinatorEffect[] {
    const effects = this.advance(now);
    return effects.length > 0 ? effects : this.onDeadline(now);
  }

  /** Proposes what the known votes allow. */
  private advance(now: number): CoordinatorEffect[] {
    const { progress } = this;
    if (progress.phase === 'balloting') return this.advanceBallot(progress, now);
    if (progress.phase !== 'open' && progress.phase !== 'voting') return [];
    if (this.ballots.decision === 'abort') return this.advanceBallot(progress, now);
    if (this.pendingAbort) return [this.abort(progress, this.pendingAbort, now)];
    return progress.phase === 'open' ? this.requestCommit(progress, now) : this.judgeVotes(progress, now);
  }

  private requestCommit(from: Open, at: number): CoordinatorEffect[] {
    if (!from.isCommitWanted) return [];
    this.progress = { phase: 'closing', from };
    const request: CoordinatorEffect = { type: 'append', record: this.early.commitRequest(this.state, at) };
    return this.isLate(at) ? [request] : [request, ...this.sendEarly()];
  }

  /** While the commit request is on its way to the log: asks branches that need not wait for it. */
  private sendEarly(): CoordinatorEffect[] {
    if (this.progress.phase !== 'closing') return [];
    return this.withResend(this.early.askEarly(this.state, ({ branchId }) => !this.votes.has(branchId)));
  }

  private judgeVotes(from: Voting, at: number): CoordinatorEffect[] {
    const { branches } = this.state;
    const refused = branches.find(({ branchId }) => this.votes.get(branchId)?.vote === 'no');
    if (refused) {
      return [this.abort(from, causeOfRefusal(refused, this.votes.get(refused.branchId)?.error), at)];
    }
    if (branches.some(({ branchId }) => !this.votes.has(branchId))) return [];
    if (this.needsBallot()) return [this.preCommit(from, at)];
    return [this.decide(from, { decision: 'commit', reports: this.reportsFor('commit'), at })];
  }

  private abort(from: Undecided, cause: AbortCause, at: number): CoordinatorEffect {
    return this.decide(from, { decision: 'abort', reports: this.reportsFor('abort'), at, cause });
  }

  private decide(from: Undecided, verdict: Verdict): CoordinatorEffect {
    this.progress = { phase: 'deciding', from };
    const { transactionId } = this.state;
    const losses = this.ballots.losses();
    const record: DecideRecord = { type: 'decide', transactionId, ...verdict, ...(losses.length > 0 && { losses }) };
    return { type: 'append', record };
  }

  /** Branches that hold nothing never start a ballot, so a commit of only these cannot be contradicted. */
  private needsBallot(): boolean {
    return this.state.protocol === '3pc' && this.reports().some(({ vote }) => vote === 'yes');
  }

  /** Commit may have been proposed, or may be at any time. */
  private isUnderBallot(): boolean {
    return this.state.preCommit !== undefined || this.progress.phase === 'pre-committing';
  }

  private preCommit(from: Voting | Balloting, at: number): CoordinatorEffect {
    this.progress = { phase: 'pre-committing', from };
    return { type: 'append', record: this.ballots.preCommit(this.state, this.reports(), at) };
  }

  private openBallot(ballot: Ballot, now: number): CoordinatorEffect[] {
    this.progress = { phase: 'balloting' };
    this.resendAttempt = 0;
    this.ballots.opened(ballot, this.state);
    return [...this.advance(now), ...this.sendRequests()];
  }

  private sendRequests(): CoordinatorEffect[] {
    return this.progress.phase === 'balloting' ? this.ballots.requests(this.state, this.resendAttempt) : [];
  }

  /** Logs the decision of the branches, or the next ballot when this leader has none or was outbid and has waited. */
  private advanceBallot(from: Open | Voting | Balloting, now: number): CoordinatorEffect[] {
    const verdict = this.ballots.verdict(this.state, now);
    if (verdict) return [this.decide(from, verdict)];
    return from.phase !== 'balloting' || this.ballots.isRunning() ? [] : [this.preCommit(from, now)];
  }

  private onBallotNews({ alerts, isNews }: BallotNews, now: number): CoordinatorEffect[] {
    if (!isNews) return [...alerts];
    if (this.ballots.decision) return [...alerts, ...this.advance(now)];
    // Outbid: the other proposer gets time to finish. The next ballot comes with the next resend.
    return [...alerts, ...(this.ballots.isRunning() ? this.sendRequests() : [this.scheduleResend()])];
  }

  /** The decision is in the log: send it, for ever, to every branch that has not ended by it. */
  private tell(): CoordinatorEffect[] {
    const before = this.progress.phase === 'telling' ? this.progress : undefined;
    const rulingsSent = this.state.branches.filter(({ ruling }) => ruling !== undefined).length;
    this.progress = { phase: 'telling', attempt: before?.attempt ?? 0, rulingsSent };
    if (this.state.endedAt !== undefined) return [{ type: 'cancel-resend' }];
    if (before?.rulingsSent === rulingsSent) return this.unacknowledged().length > 0 ? [] : [{ type: 'cancel-resend' }];
    this.resendAttempt = 0;
    return this.sendDecision();
  }

  private sendDecision(): CoordinatorEffect[] {
    const effects = this.unacknowledged().map((branch) => this.sendDecisionTo(branch));
    return effects.length === 0 ? [{ type: 'cancel-resend' }] : [...effects, this.scheduleResend()];
  }

  /** Branches that have not acknowledged the decision, and are not given up. */
  private unacknowledged(): BranchState[] {
    return this.state.branches.filter((branch) => {
      return branch.end === undefined && !branch.forgotten && !this.done.has(branch.branchId);
    });
  }

  private sendDecisionTo(branch: BranchState): CoordinatorEffect {
    const attempt = this.progress.phase === 'telling' ? this.progress.attempt : 0;
    return { type: 'send', message: decisionFor(this.state, branch, attempt) };
  }

  /** Sends work to every branch that has not answered; nothing before the keys are free. */
  private sendWork(): CoordinatorEffect[] {
    const { progress, state } = this;
    if ((progress.phase !== 'voting' && progress.phase !== 'delegated') || !progress.isAdmitted) return [];
    if (progress.phase === 'delegated' && state.logIndex === 0) return []; // `Begin` must be committed first
    return this.withResend(this.early.ask(state, this.missing()));
  }

  private withResend(effects: readonly CoordinatorEffect[]): CoordinatorEffect[] {
    return effects.length === 0 ? [] : [...effects, this.scheduleResend()];
  }

  private scheduleResend(): CoordinatorEffect {
    return { type: 'schedule-resend', attempt: this.resendAttempt };
  }

  private finish(branch: BranchState, end: BranchEnd): CoordinatorEffect[] {
    invariant(this.state.decision, 'a branch is done when it has carried out the decision');
    if (this.done.has(branch.branchId)) return [];
    this.done.set(branch.branchId, end);
    const effects: CoordinatorEffect[] = [
      { type: 'branch-done', done: { transactionId: this.state.transactionId, branchId: branch.branchId, end } },
    ];
    return this.unacknowledged().length === 0 ? [...effects, { type: 'cancel-resend' }] : effects;
  }

  /** In three phases a vote counts only when the branch has recorded it as an acceptor, so the branch is asked, too. */
  private adoptEnlistedVote(branch: BranchState): void {
    if (this.state.protocol === '3pc' && branch.vote !== 'no' && !this.state.preCommit) return;
    if (!branch.selfPrepared || branch.vote === undefined || this.votes.has(branch.branchId)) return;
    this.votes.set(branch.branchId, { branchId: branch.branchId, vote: branch.vote });
  }

  private reports(): BranchReport[] {
    return [...this.votes.values()];
  }

  /** The sender of a message; undefined when this participant has no such branch in the transaction. */
  private senderOf({ branchId, participant }: Acceptor): BranchState | undefined {
    const { state, early } = this;
    const branch = findBranch(state, branchId) ?? (state.decision ? undefined : early.find(branchId));
    return branch?.participant === participant ? branch : undefined;
  }

  /** Branches that have not voted. */
  private missing(): BranchState[] {
    return this.state.branches.filter(({ branchId }) => !this.votes.has(branchId));
  }
}
