import { invariant, unreachable } from '@concordat/foundation';
import type {
  BranchAddress,
  CommitOnePhaseMessage,
  DecisionMessage,
  OperatorRulingMessage,
  PrepareMessage,
  UnknownOldMessage,
  WorkMessage,
} from './messages.js';
import type {
  BranchConclusion,
  BranchVote,
  ParticipantAlertCode,
  ParticipantBranchView,
  ParticipantEffect,
  ParticipantEvent,
} from './participant.types.js';
import type { BranchEnd, BranchId, Decision, TransactionId } from './types.js';

export interface ParticipantMachineOptions {
  readonly participant: string;
  /** transactions with nothing in hand that are remembered, so that repeats are answered from memory; default 20,000 */
  readonly rememberedTransactions?: number;
}

type Running = 'prepare' | 'one-phase' | 'ruling' | Decision;

interface BranchState {
  readonly address: BranchAddress;
  running: Running | undefined;
  work: WorkMessage | undefined;
  vote: BranchVote | undefined;
  /** the answer to a delegated commit */
  conclusion: BranchConclusion | undefined;
  decision: Decision | undefined;
  /** the decision must still be carried out */
  decisionDue: boolean;
  /** an operator's ruling against the decision that must still be carried out, or is being */
  ruling: Decision | undefined;
  end: BranchEnd | undefined;
  stopped: boolean;
}

interface TransactionState {
  readonly branches: Map<BranchId, BranchState>;
  running: BranchState | undefined;
}

/**
 * The participant's side of two-phase commit (protocol sections 5 and 7), pure: an event in, effects
 * out. One for each process of a participant; several processes may serve the same branches, because
 * everything that must survive or be shared lies in the database behind the effects.
 *
 * Per branch: nothing known → work in hand → voted → decision in hand → ended. A branch that was told two
 * different decisions is stopped until an operator rules on it; a ruling comes as a message of its own, ends the
 * branch against the decision and is answered with what it really came to. Guarantees: at most one operation is in hand for each transaction; a
 * decision waits behind its own transaction's work and nothing else; prepares of deposed leaders are dropped;
 * whatever is repeated is answered again; and memory is bounded by what is in hand plus
 * `rememberedTransactions`. Forgetting is always safe: the database answers then.
 */
export class ParticipantMachine {
  private readonly busy = new Map<TransactionId, TransactionState>();
  /** nothing in hand; in the order of their last use, so that the oldest is forgotten first */
  private readonly idle = new Map<TransactionId, TransactionState>();
  private readonly rememberedTransactions: number;
  private highestTerm = 0;
  private effects: ParticipantEffect[] = [];

  constructor(private readonly options: ParticipantMachineOptions) {
    this.rememberedTransactions = options.rememberedTransactions ?? 20_000;
  }

  step(event: ParticipantEvent): readonly ParticipantEffect[] {
    this.effects = [];
    const address = event.type === 'message' ? event.message : event.branch;
    if (address.participant !== this.options.participant) return [];
    if (event.type === 'message' && event.message.type === 'prepare' && !this.admits(event.message))
      return this.effects;
    const transaction = this.take(address.transactionId);
    const branch = branchOf(transaction, address);
    this.apply(event, transaction, branch);
    this.startNext(transaction);
    this.put(address.transactionId, transaction);
    return this.effects;
  }

  /** Whether nothing of the transaction is in hand or waiting. */
  isIdle(transactionId: TransactionId): boolean {
    return !this.busy.has(transactionId);
  }

  /** Transactions with something in hand. */
  get busyCount(): number {
    return this.busy.size;
  }

  /** Transactions with nothing in hand that are remembered. */
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

  /** Fencing: false for the prepare of a leader that was deposed as far as this process knows. */
  private admits(message: PrepareMessage): boolean {
    if (message.protocol !== '2pc') {
      this.alert('UNSUPPORTED_PROTOCOL', addressOf(message), `this participant does not speak ${message.protocol}`);
      return false;
    }
    const { term } = message.epoch;
    if (term < this.highestTerm) return false;
    // What the leader before had not logged yet, this one knows nothing of: only an inquiry ends it.
    if (this.highestTerm > 0 && term > this.highestTerm) this.effects.push({ type: 'inquire-all' });
    this.highestTerm = term;
    return true;
  }

  private apply(event: ParticipantEvent, transaction: TransactionState, branch: BranchState): void {
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
      case 'unknown':
        if (branch.running === 'ruling') branch.ruling = undefined; // it comes again
        finish(transaction, branch);
        return;
      default:
        unreachable(event, 'participant event');
    }
  }

  private receive(
    message: WorkMessage | DecisionMessage | OperatorRulingMessage | UnknownOldMessage,
    branch: BranchState,
  ): void {
    switch (message.type) {
      case 'prepare':
        return this.receivePrepare(message, branch);
      case 'commit-one-phase':
        return this.receiveOnePhase(message, branch);
      case 'decision':
        return this.receiveDecision(message, branch);
      case 'ruling':
        return this.receiveRuling(message, branch);
      case 'unknown-old':
        return this.alert(
          'UNKNOWN_OLD_TRANSACTION',
          branch.address,
          'no coordinator knows this transaction any more; the prepared branch is kept until an operator rules',
        );
      default:
        unreachable(message, 'coordinator message');
    }
  }

  private receivePrepare(message: PrepareMessage, branch: BranchState): void {
    if (branch.decisionDue || branch.ruling || branch.conclusion || branch.running) return; // answered by what is in hand
    const vote = branch.end === undefined ? branch.vote : voteAfter(branch.end, branch.vote);
    if (vote) this.replyVote(branch, vote);
    else branch.work = message;
  }

  private receiveOnePhase(message: CommitOnePhaseMessage, branch: BranchState): void {
    if (branch.running || branch.decisionDue || branch.ruling) return;
    if (branch.conclusion) this.replyConclusion(branch, branch.conclusion);
    else if (branch.end) this.replyDone(branch, branch.end, true);
    else branch.work = message;
  }

  private receiveDecision({ decision }: DecisionMessage, branch: BranchState): void {
    if (branch.decision && branch.decision !== decision) {
      branch.stopped = true;
      branch.decisionDue = false;
      branch.work = undefined;
      return this.alert('CONFLICTING_DECISIONS', branch.address, `told to ${branch.decision}, then to ${decision}`);
    }
    branch.decision = decision;
    if (branch.end) return this.answerEnded(branch, branch.end, decision);
    if (branch.running === decision || branch.ruling) return;
    if (decision === 'commit' && branch.vote?.vote === 'read-only' && !branch.running) {
      branch.end = 'read-only';
      return this.replyDone(branch, 'read-only', false);
    }
    branch.decisionDue = true;
    branch.work = undefined; // decided: work that has not begun is not wanted any more
    if (branch.running === 'prepare') this.effects.push({ type: 'cancel-work', branch: branch.address });
  }

  /** A ruling that comes too late is answered with the end that the branch had before. */
  private receiveRuling({ ruling }: OperatorRulingMessage, branch: BranchState): void {
    branch.stopped = false;
    if (branch.end) return this.replyDone(branch, branch.end, false);
    branch.ruling = ruling;
    branch.decisionDue = false;
    branch.work = undefined;
    if (branch.running === 'prepare') this.effects.push({ type: 'cancel-work', branch: branch.address });
  }

  /** A branch that ended by itself (a `no`, a delegated commit) may turn out to contradict the decision. */
  private answerEnded(branch: BranchState, end: BranchEnd, decision: Decision): void {
    const contradicts = decision === 'commit' ? end === 'aborted' : end === 'committed';
    if (contradicts) {
      branch.end = decision === 'commit' ? 'heuristic-rollback' : 'heuristic-commit';
      this.alertHeuristic(branch, branch.end);
    }
    this.replyDone(branch, branch.end ?? end, false);
  }

  private voted(transaction: TransactionState, branch: BranchState, result: BranchVote): void {
    finish(transaction, branch);
    branch.vote = result;
    // A `no` has its tombstone: the branch has ended, whatever is said later.
    if (result.vote === 'no' && branch.decision !== 'commit') {
      branch.end = 'aborted';
      if (branch.decisionDue) {
        branch.decisionDue = false;
        return this.replyDone(branch, 'aborted', false);
      }
    }
    if (!branch.decisionDue && !branch.ruling && !branch.stopped) this.replyVote(branch, result);
  }

  private concluded(transaction: TransactionState, branch: BranchState, result: BranchConclusion): void {
    finish(transaction, branch);
    branch.conclusion = result;
    branch.end = result.end;
    if (isHeuristic(result.end)) this.alertHeuristic(branch, result.end);
    this.replyConclusion(branch, result);
    branch.decisionDue = false; // it has said how it ended; the branch decided it
    branch.ruling = undefined;
  }

  private ended(transaction: TransactionState, branch: BranchState, reported: BranchEnd): void {
    const end = branch.running === 'ruling' ? endByRuling(reported) : reported;
    finish(transaction, branch);
    branch.end = end;
    branch.decisionDue = false;
    branch.ruling = undefined;
    if (isHeuristic(end)) this.alertHeuristic(branch, end);
    if (!branch.stopped) this.replyDone(branch, end, false);
  }

  private startNext(transaction: TransactionState): void {
    if (transaction.running) return;
    for (const branch of transaction.branches.values()) {
      if (branch.stopped) continue;
      if (branch.ruling) {
        this.run(transaction, branch, 'ruling');
        this.effects.push({ type: branch.ruling === 'commit' ? 'run-commit' : 'run-abort', branch: branch.address });
        return;
      }
      if (branch.decisionDue) {
        invariant(branch.decision, 'a decision that is due is known');
        branch.decisionDue = false;
        this.run(transaction, branch, branch.decision);
        this.effects.push({ type: branch.decision === 'commit' ? 'run-commit' : 'run-abort', branch: branch.address });
        return;
      }
      if (branch.work) {
        this.startWork(transaction, branch, branch.work);
        return;
      }
    }
  }

  private startWork(transaction: TransactionState, branch: BranchState, message: WorkMessage): void {
    branch.work = undefined;
    this.run(transaction, branch, message.type === 'prepare' ? 'prepare' : 'one-phase');
    if (message.type === 'prepare') this.effects.push({ type: 'run-prepare', message });
    else this.effects.push({ type: 'run-one-phase', message });
  }

  private run(transaction: TransactionState, branch: BranchState, what: Running): void {
    branch.running = what;
    transaction.running = branch;
  }

  private replyVote(branch: BranchState, { vote, results, error }: BranchVote): void {
    const message = { ...branch.address, type: 'vote', vote, results, ...(error && { error }) } as const;
    this.effects.push({ type: 'reply', message, prompt: true });
  }

  private replyDone(branch: BranchState, end: BranchEnd, prompt: boolean): void {
    this.effects.push({ type: 'reply', message: { ...branch.address, type: 'done', end }, prompt });
  }

  private replyConclusion(branch: BranchState, { end, results, error }: BranchConclusion): void {
    const message = { ...branch.address, type: 'done', end, results, ...(error && { error }) } as const;
    this.effects.push({ type: 'reply', message, prompt: true });
  }

  private alertHeuristic(branch: BranchState, end: BranchEnd): void {
    this.alert(
      'HEURISTIC_OUTCOME',
      branch.address,
      `the branch was ended by hand, or by an operator's ruling, against its decision: ${end}`,
    );
  }

  private alert(code: ParticipantAlertCode, branch: BranchAddress, detail: string): void {
    this.effects.push({ type: 'alert', code, branch, detail });
  }

  private take(transactionId: TransactionId): TransactionState {
    const busy = this.busy.get(transactionId);
    if (busy) return busy;
    const idle = this.idle.get(transactionId);
    this.idle.delete(transactionId);
    return idle ?? { branches: new Map(), running: undefined };
  }

  private put(transactionId: TransactionId, transaction: TransactionState): void {
    if (transaction.running) {
      this.busy.set(transactionId, transaction);
      return;
    }
    this.busy.delete(transactionId);
    this.idle.set(transactionId, transaction);
    if (this.idle.size <= this.rememberedTransactions) return;
    for (const [oldest, { branches }] of this.idle) {
      // A stopped branch must stay stopped for as long as the process lives; there are only ever a few.
      if ([...branches.values()].some(({ stopped }) => stopped)) continue;
      this.idle.delete(oldest);
      return;
    }
  }
}

function addressOf({ transactionId, branchId, participant }: BranchAddress): BranchAddress {
  return { transactionId, branchId, participant };
}

function branchOf(transaction: TransactionState, address: BranchAddress): BranchState {
  const known = transaction.branches.get(address.branchId);
  if (known) return known;
  const branch: BranchState = {
    address: addressOf(address),
    running: undefined,
    work: undefined,
    vote: undefined,
    conclusion: undefined,
    decision: undefined,
    decisionDue: false,
    ruling: undefined,
    end: undefined,
    stopped: false,
  };
  transaction.branches.set(address.branchId, branch);
  return branch;
}

function finish(transaction: TransactionState, branch: BranchState): void {
  invariant(transaction.running === branch && branch.running, 'only what is in hand comes to an end');
  branch.running = undefined;
  transaction.running = undefined;
}

function isHeuristic(end: BranchEnd): boolean {
  return end === 'heuristic-rollback' || end === 'heuristic-commit';
}

/**
 * What a ruling against the decision came to. That the database refuses it as contradicting what it has recorded
 * means that the decision had been carried out before.
 */
function endByRuling(reported: BranchEnd): BranchEnd {
  switch (reported) {
    case 'committed':
      return 'heuristic-commit';
    case 'aborted':
      return 'heuristic-rollback';
    case 'heuristic-commit':
      return 'committed';
    case 'heuristic-rollback':
      return 'aborted';
    case 'read-only':
      return reported;
    default:
      return unreachable(reported, 'branch end');
  }
}

/** What a branch that has ended answers to a late prepare; the same as its ledger would say. */
function voteAfter(end: BranchEnd, vote: BranchVote | undefined): BranchVote {
  switch (end) {
    case 'committed':
    case 'heuristic-commit':
      return vote?.vote === 'yes' ? vote : { vote: 'yes', results: [] };
    case 'read-only':
      return vote ?? { vote: 'read-only', results: [] };
    case 'aborted':
    case 'heuristic-rollback':
      return vote?.vote === 'no'
        ? vote
        : { vote: 'no', results: [], error: { code: 'BRANCH_ABORTED', message: 'this branch was aborted before' } };
    default:
      return unreachable(end, 'branch end');
  }
}
