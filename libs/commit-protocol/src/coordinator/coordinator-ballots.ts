import { invariant } from '@concordat/foundation';
import { BallotProposer } from '../ballots/ballot-proposer.js';
import {
  compareBallots,
  COORDINATOR_PROPOSER,
  FIRST_BALLOT,
  type Acceptor,
  type Ballot,
  type BallotAnswer,
} from '../ballots/ballot.js';
import { withinResultsLimit } from './branch-reports.js';
import { alertOf } from './coordinator-messages.js';
import type { CoordinatorEffect, Verdict } from './coordinator.types.js';
import type { BallotBasis, BranchLoss, BranchReport, PreCommitRecord } from '../log/records.js';
import { acceptorsOf, findBranch, type BranchState, type TransactionState } from '../log/transaction-state.js';
import type { BallotAnswerMessage, BranchesDecidedMessage } from '../vocabulary/messages.js';
import {
  isHazard,
  type AbortCause,
  type AcceptorLoss,
  type BranchEnd,
  type BranchId,
  type Decision,
} from '../vocabulary/types.js';

const ACCEPTOR_AMNESIA =
  'ACCEPTOR_AMNESIA: has no vote on record, although all had voted: its database has lost writes';

const CAUSE_OF_ABORT: AbortCause = {
  reason: 'BRANCHES_DECIDED',
  detail: 'the branches decided to abort, because no coordinator had sent a decision in time',
};

/** The result of a message about ballots. */
export interface BallotNews {
  readonly alerts: readonly CoordinatorEffect[];
  /** there are new requests, or the outcome is known now */
  readonly isNews: boolean;
}

const NO_NEWS: BallotNews = { alerts: [], isNews: false };

/**
 * A leader's ballots of one transaction in three phases (protocol section 6). Each is logged before its first message,
 * and used only by the leader that logged it. A new leader begins above the ballot in the log.
 *
 *     none --logged by this leader--> running --majority--> decided
 *     running --a branch has promised a higher one--> outbid --next one logged--> running
 */
export class CoordinatorBallots {
  private proposer: BallotProposer | undefined;
  private lowestRound: number;
  private readonly acceptedBy = new Set<string>();
  private decided: { readonly decision: Decision; readonly basis: BallotBasis } | undefined;
  /** bounded by the branches of the transaction */
  private readonly lossByBranch = new Map<BranchId, AcceptorLoss>();

  constructor(transaction: TransactionState) {
    this.lowestRound = transaction.preCommit ? transaction.preCommit.round + 1 : FIRST_BALLOT.round;
  }

  get decision(): Decision | undefined {
    return this.decided?.decision;
  }

  isRunning(): boolean {
    return this.proposer?.outcome.type === 'open';
  }

  /** Opens the next ballot; the first one needs all votes. */
  preCommit(
    { transactionId, preCommit }: TransactionState,
    votes: readonly BranchReport[],
    at: number,
  ): PreCommitRecord {
    const reports = preCommit ? [] : withinResultsLimit(votes);
    return { type: 'pre-commit', transactionId, ballot: this.next(), reports, at };
  }

  /** Whether a ballot in the log is this leader's next one, not one of an earlier leader. */
  isNext(ballot: Ballot): boolean {
    return compareBallots(ballot, this.next()) === 0;
  }

  /** Must be called when this leader's ballot is in the log. */
  opened(ballot: Ballot, transaction: TransactionState): void {
    const { preCommit } = transaction;
    invariant(preCommit && compareBallots(ballot, preCommit) === 0, 'a ballot is opened when it is in the log');
    invariant(ballot.round >= this.lowestRound, 'a leader uses no round twice, and none of another leader');
    const isFirst = ballot.round === FIRST_BALLOT.round;
    this.proposer = new BallotProposer(ballot, acceptorsOf(transaction), {
      ...(isFirst && { value: 'commit' }),
      isEveryVoteKnown: true, // a ballot is logged only with all votes
    });
    this.acceptedBy.clear();
    this.lowestRound = ballot.round + 1;
  }

  /** The unanswered requests; none when no ballot of this leader is running. */
  requests(transaction: TransactionState, attempt: number): CoordinatorEffect[] {
    const { transactionId } = transaction;
    const acceptors = acceptorsOf(transaction);
    const requests = (this.proposer?.requests() ?? []).map(({ to, request }): CoordinatorEffect => ({
      type: 'send',
      message: { type: 'ballot-request', transactionId, ...to, request, acceptors },
    }));
    return [...requests, { type: 'schedule-resend', attempt }];
  }

  /** The decision of the ballot, for the log; undefined while it is open. */
  verdict({ preCommit }: TransactionState, at: number): Verdict | undefined {
    if (!this.decided) return undefined;
    const { decision, basis } = this.decided;
    return {
      decision,
      reports: [],
      at,
      ...(decision === 'abort' && { cause: CAUSE_OF_ABORT }),
      ...(preCommit && { basis }),
    };
  }

  /** Ignores answers without a ballot in the log, or after the decision. */
  onAnswer(message: BallotAnswerMessage, branch: BranchState, transaction: TransactionState): BallotNews {
    if (transaction.decision || !transaction.preCommit) return NO_NEWS;
    const isNews = this.takeAnswer(branch.branchId, message.answer);
    return { alerts: this.alertAmnesia(this.proposer?.amnesiacs ?? [], transaction), isNews };
  }

  /** @param isProposed whether commit may have been proposed */
  onBranchesDecided(
    { decision, amnesiacs = [] }: BranchesDecidedMessage,
    branch: BranchState,
    transaction: TransactionState,
    isProposed: boolean,
  ): BallotNews {
    if (transaction.protocol !== '3pc') return NO_NEWS;
    const forgetful = amnesiacs.map((branchId) => findBranch(transaction, branchId)).filter((one) => one !== undefined);
    const alerts = this.alertAmnesia(forgetful, transaction);
    if (transaction.decision) {
      if (transaction.decision === decision) return { alerts, isNews: false };
      const what = `says that the branches decided ${decision}, against the log`;
      return { alerts: [alertOf(transaction, branch, what)], isNews: false };
    }
    if (decision === 'commit' && !isProposed) {
      const what = 'says that the branches decided commit, which nobody has proposed';
      return { alerts: [alertOf(transaction, branch, what)], isNews: false };
    }
    this.take(decision, branch.branchId);
    return { alerts, isNews: true };
  }

  /** A branch that ended before the log has the decision got it from the other branches. */
  onEnded(branch: BranchState, end: BranchEnd): BallotNews {
    if (end === 'read-only' || isHazard(end)) return NO_NEWS;
    this.take(end === 'committed' ? 'commit' : 'abort', branch.branchId);
    return { alerts: [], isNews: true };
  }

  /** What is known to have happened to the database of a branch. */
  lossOf(branchId: BranchId): AcceptorLoss | undefined {
    return this.lossByBranch.get(branchId);
  }

  /** The losses of all branches, for the decision record. */
  losses(): BranchLoss[] {
    return [...this.lossByBranch].map(([branchId, loss]) => ({ branchId, loss }));
  }

  private next(): Ballot {
    return { round: this.lowestRound, proposer: COORDINATOR_PROPOSER };
  }

  private take(decision: Decision, toldBy: BranchId): void {
    this.decided ??= { decision, basis: { type: 'branches', toldBy } };
  }

  private takeAnswer(branchId: BranchId, answer: BallotAnswer): boolean {
    const { proposer } = this;
    if (answer.type === 'decided') {
      this.take(answer.decision, branchId);
      return true;
    }
    if (!proposer) return false;
    if (isAbstention(answer, proposer.ballot) && !this.lossByBranch.has(branchId))
      this.lossByBranch.set(branchId, 'abstains');
    const isNews = proposer.onAnswer(branchId, answer);
    if (answer.type === 'accepted' && proposer.hasAccepted(branchId)) this.acceptedBy.add(branchId);
    const { outcome, ballot } = proposer;
    if (outcome.type === 'decided') {
      const basis: BallotBasis = { type: 'ballot', ballot, acceptedBy: [...this.acceptedBy] };
      this.decided ??= { decision: outcome.decision, basis };
    }
    if (outcome.type === 'outbid') this.lowestRound = Math.max(this.lowestRound, outcome.by.round + 1);
    return isNews;
  }

  /** Reports branches that have lost their votes; a leader names each of them once. */
  private alertAmnesia(acceptors: readonly Acceptor[], transaction: TransactionState): CoordinatorEffect[] {
    const alerts: CoordinatorEffect[] = [];
    for (const acceptor of acceptors) {
      if (this.lossByBranch.get(acceptor.branchId) === 'vote-lost') continue;
      this.lossByBranch.set(acceptor.branchId, 'vote-lost');
      alerts.push(alertOf(transaction, acceptor, ACCEPTOR_AMNESIA));
    }
    return alerts;
  }
}

function isAbstention(answer: BallotAnswer, ballot: Ballot): boolean {
  return answer.type === 'abstains' && compareBallots(answer.ballot, ballot) === 0;
}
