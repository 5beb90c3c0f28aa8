import { BallotProposer } from '../ballots/ballot-proposer.js';
import {
  compareBallots,
  COORDINATOR_PROPOSER,
  FIRST_BALLOT,
  type Acceptor,
  type Ballot,
  type BallotAnswer,
} from '../ballots/ballot.js';
import type { BallotAnswerMessage, BallotRequestMessage } from '../vocabulary/messages.js';
import type { BallotBasis, BranchLoss } from '../log/records.js';
import { acceptorsOf, findBranch, type TransactionState } from '../log/transaction-state.js';
import type { AcceptorLoss, BranchId, Decision } from '../vocabulary/types.js';

/** What is said of a branch that turns out to have forgotten its vote. */
export const ACCEPTOR_AMNESIA =
  'ACCEPTOR_AMNESIA: has no vote on record, although all had voted: its database has lost writes';

export interface BallotDecision {
  readonly decision: Decision;
  readonly basis: BallotBasis;
}

/**
 * A leader's ballots of one transaction in three phases (protocol section 6). Each is logged before its first message,
 * and used only by the leader that logged it: one that takes over begins above what it finds.
 *
 *     none --logged by this leader--> running --majority--> decided
 *     running --a branch has promised a higher one--> outbid --next one logged--> running
 */
export class CoordinatorBallots {
  private proposer: BallotProposer | undefined;
  private lowestRound: number;
  private readonly acceptedBy = new Set<string>();
  private decided: BallotDecision | undefined;
  /** no more than the branches of the transaction */
  private readonly lost = new Map<BranchId, AcceptorLoss>();

  constructor(transaction: TransactionState) {
    this.lowestRound = transaction.preCommit ? transaction.preCommit.round + 1 : FIRST_BALLOT.round;
  }

  get decision(): BallotDecision | undefined {
    return this.decided;
  }

  isRunning(): boolean {
    return this.proposer?.outcome.type === 'open';
  }

  /** The ballot to be logged next. */
  next(): Ballot {
    return { round: this.lowestRound, proposer: COORDINATOR_PROPOSER };
  }

  /** Whether a ballot in the log is the one that this leader was to log next, not one that it found there. */
  isNext(ballot: Ballot): boolean {
    return compareBallots(ballot, this.next()) === 0;
  }

  /** The ballot is in the log, put there by this leader. */
  opened(ballot: Ballot, transaction: TransactionState): void {
    const isFirst = ballot.round === FIRST_BALLOT.round;
    this.proposer = new BallotProposer(ballot, acceptorsOf(transaction), {
      ...(isFirst && { value: 'commit' }),
      isEveryVoteKnown: true, // no ballot is in the log without all votes
    });
    this.acceptedBy.clear();
    this.lowestRound = ballot.round + 1;
  }

  /** What is unanswered; empty when no ballot of this leader runs. */
  requests(transaction: TransactionState): BallotRequestMessage[] {
    const { transactionId } = transaction;
    const acceptors = acceptorsOf(transaction);
    return (this.proposer?.requests() ?? []).map(({ to, request }) => ({
      type: 'ballot-request',
      transactionId,
      branchId: to.branchId,
      participant: to.participant,
      request,
      acceptors,
    }));
  }

  /** @returns whether there is something new to ask, or the outcome is known now */
  onAnswer({ branchId, answer }: BallotAnswerMessage): boolean {
    const { proposer } = this;
    if (answer.type === 'decided') {
      this.decided ??= { decision: answer.decision, basis: { type: 'branches', toldBy: branchId } };
      return true;
    }
    if (!proposer) return false;
    if (isAbstention(answer, proposer.ballot) && !this.lost.has(branchId)) this.lost.set(branchId, 'abstains');
    const isNews = proposer.onAnswer(branchId, answer);
    if (answer.type === 'accepted' && proposer.hasAccepted(branchId)) this.acceptedBy.add(branchId);
    const { outcome, ballot } = proposer;
    if (outcome.type === 'decided')
      this.decided ??= {
        decision: outcome.decision,
        basis: { type: 'ballot', ballot, acceptedBy: [...this.acceptedBy] },
      };
    if (outcome.type === 'outbid') this.lowestRound = Math.max(this.lowestRound, outcome.by.round + 1);
    return isNews;
  }

  /** What is known to have happened to the database of a branch. */
  lossOf(branchId: BranchId): AcceptorLoss | undefined {
    return this.lost.get(branchId);
  }

  /** Of all branches, for the record of the decision. */
  losses(): BranchLoss[] {
    return [...this.lost].map(([branchId, loss]) => ({ branchId, loss }));
  }

  /** Branches that turn out to have lost their votes; each is named once by a leader. */
  newAmnesiacs(): readonly Acceptor[] {
    return this.noteAmnesiacs(this.proposer?.amnesiacs ?? []);
  }

  /** The branches decided among themselves. */
  branchesDecided(decision: Decision, toldBy: string): void {
    this.decided ??= { decision, basis: { type: 'branches', toldBy } };
  }

  /** A branch has found in its own ballot that others have lost their votes. @returns those that are news */
  toldOfAmnesiacs(branchIds: readonly BranchId[], transaction: TransactionState): readonly Acceptor[] {
    return this.noteAmnesiacs(
      branchIds.map((branchId) => findBranch(transaction, branchId)).filter((branch) => branch !== undefined),
    );
  }

  private noteAmnesiacs(acceptors: readonly Acceptor[]): readonly Acceptor[] {
    const news: Acceptor[] = [];
    for (const acceptor of acceptors) {
      if (this.lost.get(acceptor.branchId) === 'vote-lost') continue;
      this.lost.set(acceptor.branchId, 'vote-lost');
      news.push(acceptor);
    }
    return news;
  }
}

function isAbstention(answer: BallotAnswer, ballot: Ballot): boolean {
  return answer.type === 'abstains' && compareBallots(answer.ballot, ballot) === 0;
}
