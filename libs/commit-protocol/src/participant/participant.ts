import { invariant, unreachable } from '@concordat/foundation';
import { isAcceptorSetOf, isLegitimateRequest } from '../ballots/ballot-legitimacy.js';
import {
  answerMessage,
  decisionsFor,
  isOwnRequest,
  type BallotStep,
  type BranchBallots,
  type OpenedBallot,
} from './branch-ballots.js';
import { revealsAmnesia } from '../ballots/acceptor.js';
import type { BallotAnswer } from '../ballots/ballot.js';
import type {
  BallotAnswerMessage,
  BallotRequestMessage,
  BranchAddress,
  CommitOnePhaseMessage,
  DecisionMessage,
  OperatorRulingMessage,
  ParticipantMessage,
  PrepareMessage,
  WorkMessage,
} from '../vocabulary/messages.js';
import {
  addressIn,
  addressOf,
  ballotsOf,
  branchOf,
  checkMemory,
  endByRuling,
  finish,
  isAtWork,
  mustRemember,
  voteAfter,
  type BranchMemory,
  type Running,
  type TransactionMemory,
} from './participant-branch.js';
import type {
  BallotMessage,
  BranchConclusion,
  BranchVote,
  ParticipantAlertCode,
  ParticipantBranchView,
  ParticipantEffect,
  ParticipantEvent,
} from './participant.types.js';
import { isHazard, type BranchEnd, type BranchId, type Decision, type TransactionId } from '../vocabulary/types.js';

/**
 * How far a leader's term may lie above the highest one seen. Without it, one forged number would make every prepare of
 * the real leaders look deposed; at ten elections in a second it is more than a day of them.
 */
export const MAXIMUM_TERM_JUMP = 1_000_000;

/** Remembered branches of one transaction: as many as it can have. */
const REMEMBERED_BRANCHES = 64;

export interface ParticipantMachineOptions {
  readonly participant: string;
  /** idle transactions that are remembered, so that repeats are answered from memory; default 20,000 */
  readonly rememberedTransactions?: number;
}

/**
 * The participant's side of both protocols (protocol sections 5, 6 and 7), pure: an event in, effects out. One for each
 * process of a participant. Several processes may serve the same branches, because everything durable or shared is in
 * the database behind the effects.
 *
 * Per branch: unknown → work running → voted → decision running → ended. A branch that got two different decisions is
 * stopped until an operator rules on it. A ruling is a message of its own: it ends the branch against the decision and
 * is answered with the real end. In three phases the branch is an acceptor for others, and a proposer when no
 * coordinator answers (see `BranchBallots`).
 *
 * Guarantees: each transaction has at most one operation running; a decision waits only for its own transaction's work;
 * prepares of deposed leaders are dropped; every repeated message is answered again; memory is bounded by what is
 * running plus `rememberedTransactions`. Forgetting is always safe: then the database answers.
 */
export class ParticipantMachine {
  private readonly busy = new Map<TransactionId, TransactionMemory>();
  /** nothing running; in the order of their last use, so that the oldest is forgotten first */
  private readonly idle = new Map<TransactionId, TransactionMemory>();
  private readonly rememberedTransactions: number;
  private highestTerm = 0;
  private effects: ParticipantEffect[] = [];

  constructor(private readonly options: ParticipantMachineOptions) {
    this.rememberedTransactions = options.rememberedTransactions ?? 20_000;
  }

  step(event: ParticipantEvent): readonly ParticipantEffect[] {
    this.effects = [];
    const address = event.type === 'message' ? addressIn(event.message) : event.branch;
    if (address?.participant !== this.options.participant) return [];
    if (event.type === 'message' && !this.admits(event.message)) return this.effects;
    const transaction = this.take(address.transactionId);
    const branch = branchOf(transaction, address);
    this.apply(event, transaction, branch);
    this.startNext(transaction);
    checkMemory(transaction);
    this.put(address.transactionId, transaction);
    return this.effects;
  }

  /** Whether nothing of the transaction is running or waiting. */
  isIdle(transactionId: TransactionId): boolean {
    return !this.busy.has(transactionId);
  }

  /**
   * The database has the branch prepared: a remembered end was undone, as by a restored backup, and its decision must
   * be carried out again. A stopped branch stays stopped.
   */
  foundPrepared(transactionId: TransactionId, branchId: BranchId): void {
    const branches = this.idle.get(transactionId)?.branches;
    const branch = branches?.get(branchId);
    if (branch?.end !== undefined && !branch.stopped) branches?.delete(branchId);
  }

  /** Transactions with an operation running or waiting. */
  get busyCount(): number {
    return this.busy.size;
  }

  /** Idle transactions that are remembered. */
  get rememberedCount(): number {
    return this.idle.size;
  }

  view(transactionId: TransactionId, branchId: BranchId): ParticipantBranchView | undefined {
    const transaction = this.busy.get(transactionId) ?? this.idle.get(transactionId);
    const branch = transaction?.branches.get(branchId);
    if (!branch) return undefined;
    return {
      ...(branch.vote && { vote: branch.vote.vote }),
      ...(branch.decision && { decision: branch.decision }),
      ...(branch.end && { end: branch.end }),
      stopped: branch.stopped,
      running: branch.running !== undefined,
    };
  }

  /** False for messages of a leader known to be deposed, and for those that break the rules of ballots. */
  private admits(message: ParticipantMessage): boolean {
    if (message.type === 'ballot-request' && !isLegitimateRequest(message)) {
      this.alert('IMPOSSIBLE_BALLOT', addressOf(message), 'a ballot was refused: its proposer cannot have opened it');
      return false;
    }
    return message.type !== 'prepare' || this.admitsPrepare(message);
  }

  private admitsPrepare(message: PrepareMessage): boolean {
    if (message.protocol === '3pc' && !isAcceptorSetOf(message.acceptors, message)) {
      this.alert('IMPOSSIBLE_BALLOT', addressOf(message), 'a prepare in three phases names all branches, its own too');
      return false;
    }
    const { term } = message.epoch;
    if (term < this.highestTerm) return false;
    if (this.highestTerm > 0 && term - this.highestTerm > MAXIMUM_TERM_JUMP) {
      this.alert('IMPOSSIBLE_TERM', addressOf(message), `no leader can have term ${term} yet: the prepare is dropped`);
      return false;
    }
    // The new leader does not know what the old one had not logged: only an inquiry ends such a branch.
    if (this.highestTerm > 0 && term > this.highestTerm) this.effects.push({ type: 'inquire-all' });
    this.highestTerm = term;
    return true;
  }

  private apply(event: ParticipantEvent, transaction: TransactionMemory, branch: BranchMemory): void {
    switch (event.type) {
      case 'message':
        if (branch.stopped && event.message.type !== 'ruling') return;
        return this.receive(event.message, branch);
      case 'voted':
        return this.voted(transaction, branch, event.result);
      case 'concluded':
        return this.concluded(transaction, branch, event.result);
      case 'ended':
        return this.ended(transaction, branch, event.end);
      case 'ballot-answered':
        return this.ballotAnswered(transaction, branch, event.request, event.answer);
      case 'ballot-opened':
        return this.ballotOpened(transaction, branch, event.opened);
      case 'unknown':
        if (branch.running === 'ruling') branch.ruling = undefined; // it is repeated
        finish(transaction, branch);
        return;
      default:
        unreachable(event, 'participant event');
    }
  }

  private receive(message: ParticipantMessage, branch: BranchMemory): void {
    switch (message.type) {
      case 'prepare':
        return this.receivePrepare(message, branch);
      case 'commit-one-phase':
        return this.receiveOnePhase(message, branch);
      case 'decision':
        return this.receiveDecision(message, branch);
      case 'ruling':
        return this.receiveRuling(message, branch);
      case 'ballot-request':
        return ballotsOf(branch).enqueue(message);
      case 'ballot-answer':
        return this.receiveBallotAnswer(message, branch);
      case 'termination-due':
        return this.receiveTerminationDue(branch);
      case 'undecided':
        return; // it only delays the branch's own ballot, which this machine does not time
      case 'unknown-old':
        return this.alert(
          'UNKNOWN_OLD_TRANSACTION',
          branch.address,
          'no coordinator knows the decision any more; the prepared branch is kept until an operator rules',
        );
      default:
        unreachable(message, 'message');
    }
  }

  private receivePrepare(message: PrepareMessage, branch: BranchMemory): void {
    if (branch.decisionDue || branch.ruling || branch.conclusion) return; // the running operation answers it
    if (branch.running && branch.running !== 'ballot') return;
    const vote = branch.end === undefined ? branch.vote : voteAfter(branch.end, branch.vote);
    if (vote) this.replyVote(branch, vote);
    else branch.work = message;
  }

  private receiveOnePhase(message: CommitOnePhaseMessage, branch: BranchMemory): void {
    if (branch.running || branch.decisionDue || branch.ruling) return;
    if (branch.conclusion) this.replyConclusion(branch, branch.conclusion);
    else if (branch.end) this.replyDone(branch, branch.end, true);
    else branch.work = message;
  }

  private receiveDecision({ decision, heldBy }: DecisionMessage, branch: BranchMemory): void {
    branch.isAwaited = heldBy !== undefined;
    if (branch.decision && branch.decision !== decision) {
      branch.stopped = true;
      branch.decisionDue = false;
      branch.work = undefined;
      return this.alert(
        'CONFLICTING_DECISIONS',
        branch.address,
        `got the decision ${branch.decision}, then ${decision}`,
      );
    }
    branch.decision = decision;
    branch.ballots?.settle();
    if (branch.end) return this.answerEnded(branch, branch.end, decision);
    if (branch.running === decision || branch.ruling) return;
    if (decision === 'commit' && branch.vote?.vote === 'read-only' && !isAtWork(branch)) {
      branch.end = 'read-only';
      return this.replyDone(branch, 'read-only');
    }
    branch.decisionDue = true;
    branch.work = undefined; // decided: work that has not begun is dropped
    if (branch.running === 'prepare') this.effects.push({ type: 'cancel-work', branch: branch.address });
  }

  /** A ruling that comes too late is answered with the end that the branch had before. */
  private receiveRuling({ ruling }: OperatorRulingMessage, branch: BranchMemory): void {
    branch.stopped = false;
    if (branch.end) return this.replyDone(branch, branch.end);
    branch.ruling = ruling;
    branch.ballots?.settle();
    branch.decisionDue = false;
    branch.work = undefined;
    if (branch.running === 'prepare') this.effects.push({ type: 'cancel-work', branch: branch.address });
  }

  /** A branch that ended by itself (a `no`, a delegated commit) may contradict the decision. */
  private answerEnded(branch: BranchMemory, end: BranchEnd, decision: Decision): void {
    const contradicts = decision === 'commit' ? end === 'aborted' : end === 'committed';
    if (contradicts) {
      branch.end = decision === 'commit' ? 'heuristic-rollback' : 'heuristic-commit';
      this.alertHazard(branch, branch.end);
    }
    this.replyDone(branch, branch.end ?? end);
  }

  private voted(transaction: TransactionMemory, branch: BranchMemory, result: BranchVote): void {
    finish(transaction, branch);
    branch.vote = result;
    // A `no` has its tombstone: the branch has ended, whatever arrives later.
    if (result.vote === 'no' && branch.decision !== 'commit') {
      branch.end = 'aborted';
      if (branch.decisionDue) {
        branch.decisionDue = false;
        return this.replyDone(branch, 'aborted');
      }
    }
    if (!branch.decisionDue && !branch.ruling && !branch.stopped) this.replyVote(branch, result);
  }

  private concluded(transaction: TransactionMemory, branch: BranchMemory, result: BranchConclusion): void {
    finish(transaction, branch);
    branch.conclusion = result;
    branch.end = result.end;
    if (isHazard(result.end)) this.alertHazard(branch, result.end);
    this.replyConclusion(branch, result);
    branch.decisionDue = false; // it has reported its end; the branch decided it
    branch.ruling = undefined;
  }

  private ended(transaction: TransactionMemory, branch: BranchMemory, reported: BranchEnd): void {
    const end = branch.running === 'ruling' ? endByRuling(reported) : reported;
    finish(transaction, branch);
    branch.end = end;
    branch.decisionDue = false;
    branch.ruling = undefined;
    if (isHazard(end)) this.alertHazard(branch, end);
    if (!branch.stopped) this.replyDone(branch, end);
  }

  /**
   * No coordinator has answered for long. An undecided branch opens a ballot. A failed decision is tried again, because
   * its sender may not be there to repeat it.
   */
  private receiveTerminationDue(branch: BranchMemory): void {
    if (branch.end !== undefined || branch.ruling) return;
    if (branch.decision === undefined) ballotsOf(branch).terminate();
    else if (branch.running !== branch.decision) branch.decisionDue = true;
  }

  /** Its own answer comes from the database, never over the bus. */
  private receiveBallotAnswer({ branchId, participant, answer }: BallotAnswerMessage, branch: BranchMemory): void {
    if (branch.ballots && branchId !== branch.address.branchId)
      this.afterBallot(branch, branch.ballots, branch.ballots.onAnswer({ branchId, participant }, answer));
  }

  private ballotAnswered(
    transaction: TransactionMemory,
    branch: BranchMemory,
    request: BallotRequestMessage,
    answer: BallotAnswer,
  ): void {
    finish(transaction, branch);
    if (branch.stopped) return;
    if (revealsAmnesia(request.request, answer)) this.alertAmnesia(branch.address);
    if (!isOwnRequest(request)) return this.send(answerMessage(request, answer));
    const ballots = ballotsOf(branch);
    this.afterBallot(branch, ballots, ballots.onAnswer(branch.address, answer));
  }

  private ballotOpened(transaction: TransactionMemory, branch: BranchMemory, opened: OpenedBallot): void {
    finish(transaction, branch);
    const isNeeded = branch.decision === undefined && !branch.ruling && !branch.stopped;
    if (opened.type !== 'opened' || !isNeeded) return;
    const ballots = ballotsOf(branch);
    this.afterBallot(branch, ballots, ballots.onOpened(opened));
  }

  /** A decision by ballot goes to the other branches, to the coordinators, and to this branch. */
  private afterBallot(branch: BranchMemory, ballots: BranchBallots, step: BallotStep): void {
    const { requests, decision, amnesiacs = [] } = step;
    const { address } = branch;
    for (const request of requests) this.send(request);
    for (const acceptor of amnesiacs) this.alertAmnesia({ transactionId: address.transactionId, ...acceptor });
    if (decision === undefined) return;
    for (const message of decisionsFor(ballots.others, address.transactionId, decision)) this.send(message);
    const lost = ballots.knownAmnesiacs;
    this.send({ ...address, type: 'branches-decided', decision, ...(lost.length > 0 && { amnesiacs: lost }) });
    this.receiveDecision({ ...address, type: 'decision', decision, attempt: 0 }, branch);
  }

  private startBallot(transaction: TransactionMemory, branch: BranchMemory, ballots: BranchBallots): void {
    const next = ballots.takeNext();
    invariant(next, 'a branch with a ballot to run has one');
    this.run(transaction, branch, 'ballot');
    if (next === 'open') this.effects.push({ type: 'open-ballot', branch: branch.address });
    else this.effects.push({ type: 'run-ballot', request: next });
  }

  private send(message: BallotMessage): void {
    this.effects.push({ type: 'send', message });
  }

  private startNext(transaction: TransactionMemory): void {
    if (transaction.running) return;
    for (const branch of transaction.branches.values()) {
      if (branch.stopped) continue;
      if (branch.ruling) {
        this.run(transaction, branch, 'ruling');
        this.effects.push({ type: 'run-ruling', branch: branch.address, ruling: branch.ruling });
        return;
      }
      if (branch.decisionDue) {
        invariant(branch.decision, 'a decision that is due is known');
        branch.decisionDue = false;
        this.run(transaction, branch, branch.decision);
        this.effects.push({ type: branch.decision === 'commit' ? 'run-commit' : 'run-abort', branch: branch.address });
        return;
      }
      if (branch.ballots?.hasWork) return this.startBallot(transaction, branch, branch.ballots);
      if (branch.work) {
        this.startWork(transaction, branch, branch.work);
        return;
      }
    }
  }

  private startWork(transaction: TransactionMemory, branch: BranchMemory, message: WorkMessage): void {
    branch.work = undefined;
    this.run(transaction, branch, message.type === 'prepare' ? 'prepare' : 'one-phase');
    if (message.type === 'prepare') this.effects.push({ type: 'run-prepare', message });
    else this.effects.push({ type: 'run-one-phase', message });
  }

  private run(transaction: TransactionMemory, branch: BranchMemory, what: Running): void {
    branch.running = what;
    transaction.running = branch;
  }

  private replyVote(branch: BranchMemory, { vote, results, error }: BranchVote): void {
    const message = { ...branch.address, type: 'vote', vote, results, ...(error && { error }) } as const;
    this.effects.push({ type: 'reply', message, prompt: true });
  }

  private replyDone(branch: BranchMemory, end: BranchEnd, prompt = branch.isAwaited): void {
    this.effects.push({ type: 'reply', message: { ...branch.address, type: 'done', end }, prompt });
  }

  private replyConclusion(branch: BranchMemory, { end, results, error }: BranchConclusion): void {
    const message = { ...branch.address, type: 'done', end, results, ...(error && { error }) } as const;
    this.effects.push({ type: 'reply', message, prompt: true });
  }

  private alertHazard(branch: BranchMemory, end: BranchEnd): void {
    this.alert(
      'HEURISTIC_OUTCOME',
      branch.address,
      `the branch was ended by hand, or by an operator's ruling, against its decision, or its database lost it: ${end}`,
    );
  }

  private alertAmnesia(of: BranchAddress): void {
    const { branchId, participant } = of;
    const who = participant === this.options.participant ? 'this participant' : participant;
    this.alert(
      'ACCEPTOR_AMNESIA',
      of,
      `branch ${branchId} of ${who} has no vote on record, although the commit was accepted, which needed it: ` +
        'its database has lost writes',
    );
  }

  private alert(code: ParticipantAlertCode, branch: BranchAddress, detail: string): void {
    this.effects.push({ type: 'alert', code, branch, detail });
  }

  private take(transactionId: TransactionId): TransactionMemory {
    const busy = this.busy.get(transactionId);
    if (busy) return busy;
    const idle = this.idle.get(transactionId);
    this.idle.delete(transactionId);
    return idle ?? { branches: new Map(), running: undefined };
  }

  private put(transactionId: TransactionId, transaction: TransactionMemory): void {
    forgetSurplus(transaction);
    if (transaction.running) {
      this.busy.set(transactionId, transaction);
      return;
    }
    this.busy.delete(transactionId);
    this.idle.set(transactionId, transaction);
    if (this.idle.size <= this.rememberedTransactions) return;
    for (const [oldest, { branches }] of this.idle) {
      // A stopped branch stays stopped while the process lives; there are only ever a few.
      if ([...branches.values()].some(({ stopped }) => stopped)) continue;
      this.idle.delete(oldest);
      return;
    }
  }
}

/** The database answers for forgotten branches. Branches that are running, waiting or stopped are not forgotten. */
function forgetSurplus({ branches }: TransactionMemory): void {
  if (branches.size <= REMEMBERED_BRANCHES) return;
  for (const [branchId, branch] of branches) {
    if (mustRemember(branch)) continue;
    branches.delete(branchId);
    return;
  }
}
