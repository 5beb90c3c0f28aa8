import { invariant } from '@concordat/foundation';
import {
  compareBallots,
  COORDINATOR_PROPOSER,
  FIRST_BALLOT,
  isPossibleBallot,
  majorityOf,
  type Ballot,
} from '../ballots/ballot.js';
import type { BranchReport, DecideRecord, EnlistRecord, ResolveRecord } from './records.js';
import { findBranch, keepsOpen, type BranchState, type TransactionState } from './transaction-state.js';
import type { BranchEnd } from '../vocabulary/types.js';

/** Asserts the invariants of a transaction after each record. The refusal rules ensure them; this checks the result. */
export function checkTransaction(transaction: TransactionState): void {
  const { branches, closed, decision, delegatedTo, decidedAt, endedAt, outcome, preCommit, protocol } = transaction;
  invariant(!preCommit || (protocol === '3pc' && closed), 'a ballot is about a closed transaction in three phases');
  invariant(!preCommit || delegatedTo === undefined, 'what is delegated is not decided by ballot');
  invariant(delegatedTo === undefined || branches.length === 1, 'only a transaction with one branch is delegated');
  for (const { heldBy, operations, selfPrepared } of branches) {
    invariant(
      heldBy === undefined || (operations.length === 0 && !selfPrepared),
      'the work of a held branch is its session',
    );
  }
  const isDecided = decision !== undefined;
  invariant(isDecided === (outcome !== undefined), 'a transaction has an outcome when it is decided');
  invariant(isDecided === (decidedAt !== undefined), 'a transaction has a time of decision when it is decided');
  invariant(!isDecided || closed || delegatedTo !== undefined, 'no branch joins a transaction that is decided');
  const isConsent = decision !== 'commit' || delegatedTo !== undefined || allVotedToCommit(transaction, []);
  invariant(isConsent, 'AC3: a commit has the yes or read-only of every branch');
  const isEnded = isDecided && !branches.some(keepsOpen);
  invariant(isEnded === (endedAt !== undefined), 'a transaction ends when it is decided and no branch keeps it open');
}

/** Whether an enlistment repeats that of the branch, or adds operations to it. */
export function joins(existing: BranchState, specification: EnlistRecord['branch']): boolean {
  if (existing.participant !== specification.participant || existing.heldBy !== specification.heldBy) return false;
  if (existing.heldBy !== undefined) return true; // a repeat: a held branch has neither a vote nor operations
  return existing.selfPrepared
    ? specification.enlistedVote === existing.vote
    : specification.enlistedVote === undefined && specification.operations.length > 0;
}

/**
 * How a branch ends by the decision alone. A read-only branch holds nothing, and as an acceptor starts no ballot. A
 * branch that voted no has its tombstone. A branch that was never asked (aborted before the commit was requested) has
 * nothing to undo, unless its service has prepared it or holds its session. All others must get the decision.
 */
export function endAtDecision(
  transaction: TransactionState,
  branch: BranchState,
  record: DecideRecord,
): BranchEnd | undefined {
  if (branch.vote === 'read-only') return 'read-only';
  if (record.decision === 'commit') return undefined;
  if (branch.vote === 'no') return 'aborted';
  const holdsNothing = !branch.selfPrepared && branch.heldBy === undefined;
  return !transaction.closed && holdsNothing ? 'aborted' : undefined;
}

/**
 * Gives up the delegated branch. The decision only says what may be presumed; the outcome `mixed` says that it is
 * uncertain.
 */
export function giveUp(transaction: TransactionState, { operator, reason }: ResolveRecord, at: number): void {
  transaction.decision = 'abort';
  transaction.cause = {
    reason: 'OPERATOR',
    detail: `${operator} gave up its only branch, which may have committed: ${reason}`,
  };
  transaction.decidedAt = at;
}

/** Whether every branch is known to have voted `yes` or `read-only` (AC3). */
export function allVotedToCommit(transaction: TransactionState, reports: readonly BranchReport[]): boolean {
  return transaction.branches.every((branch) => {
    const vote = reports.find(({ branchId }) => branchId === branch.branchId)?.vote ?? branch.vote;
    return vote === 'yes' || vote === 'read-only';
  });
}

/** The same without the votes of enlistment, which bind no acceptor: a ballot is opened only with those (section 6). */
export function allReportedToCommit(transaction: TransactionState, reports: readonly BranchReport[]): boolean {
  return transaction.branches.every((branch) => {
    const vote = reports.find(({ branchId }) => branchId === branch.branchId)?.vote;
    return vote === 'yes' || vote === 'read-only';
  });
}

/** The first ballot of the coordinators is round 0; each later one must be above all before it. */
export function mayOpenBallot(transaction: TransactionState, ballot: Ballot): boolean {
  const { protocol, closed, delegatedTo, preCommit, branches } = transaction;
  if (protocol !== '3pc' || !closed || delegatedTo !== undefined || branches.length === 0) return false;
  if (ballot.proposer !== COORDINATOR_PROPOSER || !isPossibleBallot(ballot, branches.length)) return false;
  return preCommit ? compareBallots(ballot, preCommit) > 0 : ballot.round === FIRST_BALLOT.round;
}

/**
 * Whether a decision follows the rules of ballots (protocol section 6). Before a ballot is open nobody can have
 * proposed commit, so an abort needs none, and a commit needs one only if a branch holds anything. Afterwards only a
 * majority decides.
 */
export function isDecidedByBallot(
  transaction: TransactionState,
  { decision, basis, reports }: Pick<DecideRecord, 'decision' | 'basis' | 'reports'>,
): boolean {
  const { preCommit, branches } = transaction;
  if (!preCommit) {
    if (transaction.protocol === '2pc' || decision === 'abort') return true;
    // Branches that hold nothing never start a ballot, so they cannot decide otherwise.
    const readOnly = new Set(reports.filter(({ vote }) => vote === 'read-only').map(({ branchId }) => branchId));
    return branches.every(({ branchId }) => readOnly.has(branchId));
  }
  if (!basis) return false;
  if (basis.type === 'branches') return findBranch(transaction, basis.toldBy) !== undefined;
  if (decision === 'abort' && basis.ballot.round === FIRST_BALLOT.round) return false; // it proposes commit
  const accepting = branches.filter(({ branchId }) => basis.acceptedBy.includes(branchId));
  return compareBallots(basis.ballot, preCommit) === 0 && accepting.length >= majorityOf(branches.length);
}
