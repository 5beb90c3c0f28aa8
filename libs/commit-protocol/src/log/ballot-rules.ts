import {
  compareBallots,
  COORDINATOR_PROPOSER,
  FIRST_BALLOT,
  isPossibleBallot,
  majorityOf,
  type Ballot,
} from '../ballots/ballot.js';
import type { DecideRecord } from './records.js';
import { findBranch, type TransactionState } from './transaction-state.js';

/** The first ballot of the coordinators is their round 0; each later one lies above all before it. */
export function mayOpenBallot(transaction: TransactionState, ballot: Ballot): boolean {
  const { protocol, closed, delegatedTo, preCommit, branches } = transaction;
  if (protocol !== '3pc' || !closed || delegatedTo !== undefined || branches.length === 0) return false;
  if (ballot.proposer !== COORDINATOR_PROPOSER || !isPossibleBallot(ballot, branches.length)) return false;
  return preCommit ? compareBallots(ballot, preCommit) > 0 : ballot.round === FIRST_BALLOT.round;
}

/**
 * Whether a decision keeps the rule of ballots (protocol section 6). Before one is open nobody can have proposed
 * commit, so an abort needs none, and a commit needs one only if a branch holds anything. Afterwards only a majority
 * decides.
 */
export function isDecidedByBallot(
  transaction: TransactionState,
  { decision, basis, reports }: Pick<DecideRecord, 'decision' | 'basis' | 'reports'>,
): boolean {
  const { preCommit, branches } = transaction;
  if (!preCommit) {
    if (transaction.protocol === '2pc' || decision === 'abort') return true;
    // branches that hold nothing never start a ballot, so nobody can decide otherwise among them
    const readOnly = new Set(reports.filter(({ vote }) => vote === 'read-only').map(({ branchId }) => branchId));
    return branches.every(({ branchId }) => readOnly.has(branchId));
  }
  if (!basis) return false;
  if (basis.type === 'branches') return findBranch(transaction, basis.toldBy) !== undefined;
  if (decision === 'abort' && basis.ballot.round === FIRST_BALLOT.round) return false; // it proposes commit
  const accepting = branches.filter(({ branchId }) => basis.acceptedBy.includes(branchId));
  return compareBallots(basis.ballot, preCommit) === 0 && accepting.length >= majorityOf(branches.length);
}
