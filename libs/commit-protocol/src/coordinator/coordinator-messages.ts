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
import type { BranchId, LeaderEpoch } from '../vocabulary/types.js';

/** The work of a branch, as it is sent the first time (`attempt` 0) or again. */
export function workFor(
  transaction: TransactionState,
  branch: BranchState,
  attempt: number,
  epoch: LeaderEpoch,
): PrepareMessage | CommitOnePhaseMessage {
  const { branchId, participant, operations } = branch;
  const { transactionId, deadline, protocol } = transaction;
  const work = { transactionId, branchId, participant, operations, deadline, attempt };
  if (transaction.delegatedTo === branchId) return { type: 'commit-one-phase', ...work };
  return { type: 'prepare', ...work, protocol, epoch, ...acceptingFor(transaction, branch) };
}

/** In three phases a branch must know all others, also one that its service has prepared. */
function acceptingFor(
  transaction: TransactionState,
  { selfPrepared, vote }: BranchState,
): Pick<PrepareMessage, 'acceptors' | 'enlistedVote'> {
  if (transaction.protocol !== '3pc') return {};
  const acceptors = acceptorsOf(transaction);
  return selfPrepared && vote !== undefined && vote !== 'no' ? { acceptors, enlistedVote: vote } : { acceptors };
}

/** The decision, or what an operator ruled for this branch against it. */
export function decisionFor(
  transaction: TransactionState,
  { branchId, participant, ruling }: BranchState,
  attempt: number,
): DecisionMessage | OperatorRulingMessage {
  const { transactionId, decision, logIndex } = transaction;
  invariant(decision && logIndex > 0, 'a decision is told only when it is in the log');
  const address = { transactionId, branchId, participant };
  if (ruling !== undefined) return { type: 'ruling', ...address, ruling, attempt };
  return { type: 'decision', ...address, decision, attempt };
}

/** A branch that the closed transaction does not have was never part of it. */
export function presumedAbort(
  { transactionId }: TransactionState,
  branchId: BranchId,
  participant: string,
): DecisionMessage {
  return { type: 'decision', transactionId, branchId, participant, decision: 'abort', attempt: 0 };
}

/** Something about a branch that an operator must see. */
export function alertOf(
  { transactionId }: TransactionState,
  { branchId, participant }: Acceptor,
  what: string,
): CoordinatorEffect {
  return { type: 'alert', detail: `transaction ${transactionId}: branch ${branchId} of ${participant} ${what}` };
}
