import { invariant, unreachable } from '@concordat/foundation';
import { addresseeOf } from '../ballots/ballot-legitimacy.js';
import { BranchBallots } from './branch-ballots.js';
import type { BranchAddress, ParticipantMessage, WorkMessage } from '../vocabulary/messages.js';
import type { BranchConclusion, BranchVote } from './participant.types.js';
import type { BranchEnd, BranchId, Decision } from '../vocabulary/types.js';

export type Running = 'prepare' | 'one-phase' | 'ruling' | 'ballot' | Decision;

/** A branch in the memory of this process; the durable part is in the participant's database. */
export interface BranchMemory {
  readonly address: BranchAddress;
  running: Running | undefined;
  work: WorkMessage | undefined;
  vote: BranchVote | undefined;
  /** the answer to a delegated commit */
  conclusion: BranchConclusion | undefined;
  decision: Decision | undefined;
  /** the decision must still be carried out */
  decisionDue: boolean;
  /** a process held it between calls: somebody who called them waits for the end */
  isAwaited: boolean;
  /** an operator's ruling against the decision that is to be carried out, or running */
  ruling: Decision | undefined;
  /** in three phases, once there is a ballot */
  ballots: BranchBallots | undefined;
  end: BranchEnd | undefined;
  stopped: boolean;
}

/** The branches of one transaction at this participant; at most one of them has an operation running. */
export interface TransactionMemory {
  readonly branches: Map<BranchId, BranchMemory>;
  running: BranchMemory | undefined;
}

/** The branch of this participant that a message is about; for an answer, the branch that had asked. */
export function addressIn(message: ParticipantMessage): BranchAddress | undefined {
  return message.type === 'ballot-answer' ? addresseeOf(message) : message;
}

export function ballotsOf(branch: BranchMemory): BranchBallots {
  return (branch.ballots ??= new BranchBallots(branch.address));
}

export function addressOf({ transactionId, branchId, participant }: BranchAddress): BranchAddress {
  return { transactionId, branchId, participant };
}

export function branchOf(transaction: TransactionMemory, address: BranchAddress): BranchMemory {
  const known = transaction.branches.get(address.branchId);
  if (known) return known;
  const branch: BranchMemory = {
    address: addressOf(address),
    running: undefined,
    work: undefined,
    vote: undefined,
    conclusion: undefined,
    decision: undefined,
    decisionDue: false,
    isAwaited: false,
    ruling: undefined,
    ballots: undefined,
    end: undefined,
    stopped: false,
  };
  transaction.branches.set(address.branchId, branch);
  return branch;
}

/** Asserts the invariants of a transaction's branches between two events. */
export function checkMemory({ branches, running }: TransactionMemory): void {
  for (const branch of branches.values()) {
    invariant(
      (branch.running !== undefined) === (branch === running),
      'a transaction has at most one operation running',
    );
    invariant(!branch.decisionDue || branch.decision, 'a decision that is due is known');
    invariant(!branch.decisionDue || !branch.stopped, 'a branch that is stopped carries out no decision');
    const waits = running === undefined && !branch.stopped && mustRemember(branch);
    invariant(!waits, 'a task waits only for the running operation');
  }
}

export function finish(transaction: TransactionMemory, branch: BranchMemory): void {
  invariant(transaction.running === branch && branch.running, 'only a running operation ends');
  branch.running = undefined;
  transaction.running = undefined;
}

/** Whether an operation is running that may change the branch's vote. */
export function isAtWork({ running }: BranchMemory): boolean {
  return running === 'prepare' || running === 'one-phase';
}

/** Whether the branch must stay in memory: it has something to do, or is stopped. */
export function mustRemember({ running, work, decisionDue, ruling, ballots, stopped }: BranchMemory): boolean {
  return Boolean(running ?? work ?? ruling) || decisionDue || stopped || ballots?.hasWork === true;
}

/**
 * The result of a ruling against the decision. If the database refuses it because it contradicts the recorded decision,
 * that decision had been carried out before.
 */
export function endByRuling(reported: BranchEnd): BranchEnd {
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

/** The answer of an ended branch to a late prepare; its ledger would say the same. */
export function voteAfter(end: BranchEnd, vote: BranchVote | undefined): BranchVote {
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
