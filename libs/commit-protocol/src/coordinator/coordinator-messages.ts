import { invariant } from '@concordat/foundation';
import { acceptorsOf, type BranchState, type TransactionState } from '../log/transaction-state.js';
import type { CoordinatorEffect } from './coordinator.types.js';
import type { Acceptor } from '../ballots/ballot.js';
import type {
  CommitOnePhaseMessage,
  DecisionMessage,
  OperatorRulingMessage,
  PrepareMessage,
} from '../vocabulary/messages.js';
import type { BranchEnd, BranchId, LeaderEpoch } from '../vocabulary/types.js';

/** The work of a branch, for the first sending (`attempt` 0) or a repeat. */
export function workFor(
  transaction: TransactionState,
  branch: BranchState,
  attempt: number,
  epoch: LeaderEpoch,
): PrepareMessage | CommitOnePhaseMessage {
  const { branchId, participant, operations, selfPrepared, vote, heldBy } = branch;
  const { transactionId, deadline, traceparent } = transaction;
  const traced = traceparent !== undefined && operations.length > 0 && { traceparent };
  const work = { transactionId, branchId, participant, operations, deadline, attempt, ...traced };
  if (transaction.delegatedTo === branchId) return { type: 'commit-one-phase', ...work };
  const held = heldBy !== undefined && { heldBy };
  if (transaction.protocol === '2pc') return { type: 'prepare', protocol: '2pc', ...work, epoch, ...held };
  const enlistedVote = selfPrepared && vote !== undefined && vote !== 'no' && { enlistedVote: vote };
  const acceptors = acceptorsOf(transaction);
  return { type: 'prepare', protocol: '3pc', ...work, epoch, acceptors, ...enlistedVote, ...held };
}

/** The decision, or the operator's ruling for this branch against it. */
export function decisionFor(
  transaction: TransactionState,
  { branchId, participant, ruling, heldBy }: BranchState,
  attempt: number,
): DecisionMessage | OperatorRulingMessage {
  const { transactionId, decision, logIndex } = transaction;
  invariant(decision && logIndex > 0, 'a decision is sent only when it is in the log');
  const address = { transactionId, branchId, participant };
  if (ruling !== undefined) return { type: 'ruling', ...address, ruling, attempt };
  return { type: 'decision', ...address, decision, attempt, ...(heldBy !== undefined && { heldBy }) };
}

/** For a branch that the closed transaction does not have: it was never part of it. */
export function presumedAbort(
  { transactionId }: TransactionState,
  branchId: BranchId,
  participant: string,
): DecisionMessage {
  return { type: 'decision', transactionId, branchId, participant, decision: 'abort', attempt: 0 };
}

/** An alert about a branch, for operators. */
export function alertOf(
  { transactionId }: TransactionState,
  { branchId, participant }: Acceptor,
  what: string,
): CoordinatorEffect {
  return { type: 'alert', detail: `transaction ${transactionId}: branch ${branchId} of ${participant} ${what}` };
}

/** An end that contradicts the decision: the promise of a `yes` was broken. */
export function hazardOf(decision: 'commit' | 'abort', end: BranchEnd): BranchEnd | undefined {
  if (decision === 'commit' && end === 'aborted') return 'heuristic-rollback';
  if (decision === 'abort' && end === 'committed') return 'heuristic-commit';
  return undefined;
}
