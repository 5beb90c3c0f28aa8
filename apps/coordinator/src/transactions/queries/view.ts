import {
  FEWEST_USEFUL_ACCEPTORS,
  type AcceptorLoss,
  type BranchReport,
  type BranchState,
  type RulingState,
  type TransactionState,
} from '@concordat/commit-protocol';
import type {
  BranchStateName,
  BranchView,
  OperationView,
  RulingView,
  TransactionStatus,
  TransactionView,
} from '../transactions.api.js';

/** What only the leader knows: votes and losses of databases that no decision has recorded yet. */
export interface LeaderKnowledge {
  reportOf(branchId: string): BranchReport | undefined;
  lossOf(branchId: string): AcceptorLoss | undefined;
}

export function statusOf(transaction: TransactionState): TransactionStatus {
  if (transaction.outcome === 'mixed') return 'mixed';
  if (transaction.decision === 'commit') return transaction.endedAt === undefined ? 'committing' : 'committed';
  if (transaction.decision === 'abort') return transaction.endedAt === undefined ? 'aborting' : 'aborted';
  if (transaction.preCommit) return 'precommitted';
  return transaction.closed ? 'preparing' : 'active';
}

/** A transaction as the REST interface shows it. */
export function transactionView(
  transaction: TransactionState,
  branchesNeedCoordinator: boolean,
  beyond?: LeaderKnowledge,
): TransactionView {
  const { cause } = transaction;
  return {
    id: transaction.transactionId,
    protocol: transaction.protocol,
    status: statusOf(transaction),
    decision: transaction.decision ?? null,
    outcome: transaction.outcome ?? null,
    reason: cause?.reason ?? null,
    ...(cause && { detail: cause.detail }),
    ...(cause?.branchId !== undefined &&
      cause.participant !== undefined && {
        cause: {
          branchId: cause.branchId,
          participant: cause.participant,
          ...(cause.participantCode !== undefined && { participantCode: cause.participantCode }),
        },
      }),
    branches: transaction.branches.map((branch) => branchView(transaction, branch, beyond?.reportOf(branch.branchId))),
    metadata: transaction.metadata,
    ...(transaction.owner !== undefined && { owner: transaction.owner }),
    warnings: [
      ...warningsOfSize(transaction),
      ...(branchesNeedCoordinator ? warningsOfLink(transaction) : []),
      ...warningsOfLosses(transaction, beyond),
    ],
    rulings: (transaction.rulings ?? []).map(rulingView),
    createdAt: isoTime(transaction.createdAt),
    deadline: isoTime(transaction.deadline),
    decidedAt: transaction.decidedAt === undefined ? null : isoTime(transaction.decidedAt),
    endedAt: transaction.endedAt === undefined ? null : isoTime(transaction.endedAt),
    logIndex: transaction.logIndex,
  };
}

/** The number of branches matters once the set is closed. */
function warningsOfSize({ protocol, closed, branches, delegatedTo }: TransactionState): string[] {
  if (protocol !== '3pc' || !closed || branches.length === 0 || branches.length >= FEWEST_USEFUL_ACCEPTORS) return [];
  const instead = delegatedTo === undefined ? 'it blocks as 2pc does' : 'its only branch commits in one phase';
  return [
    `3pc survives the loss of all coordinators with ${FEWEST_USEFUL_ACCEPTORS} branches or more; with ${branches.length}, ${instead}`,
  ];
}

function warningsOfLink({ protocol, closed, branches, delegatedTo }: TransactionState): string[] {
  const isUseful = closed && delegatedTo === undefined && branches.length >= FEWEST_USEFUL_ACCEPTORS;
  if (protocol !== '3pc' || !isUseful) return [];
  return [
    '3pc survives the loss of all coordinators only where branches reach one another over Kafka; with CONCORDAT_LINK=direct they need one coordinator that runs',
  ];
}

function warningsOfLosses({ branches }: TransactionState, beyond?: LeaderKnowledge): string[] {
  return branches.flatMap(({ branchId, participant, loss: known }) => {
    const loss = known ?? beyond?.lossOf(branchId);
    return loss === undefined ? [] : [`${lossCode(loss)}: branch ${branchId} of ${participant} ${describeLoss(loss)}`];
  });
}

/** The same code as in the participant's own alert. */
function lossCode(loss: AcceptorLoss): string {
  return loss === 'vote-lost' ? 'ACCEPTOR_AMNESIA' : 'DATABASE_CHANGED';
}

/** What happened to a branch as an acceptor because of its database, as the end of a sentence. */
export function describeLoss(loss: AcceptorLoss): string {
  return loss === 'vote-lost'
    ? 'has no vote on record, although all had voted: its database has lost writes'
    : 'abstains: its database was restored or has failed over, and may have lost what it had promised';
}

export function rulingView({ at, ...ruling }: RulingState): RulingView {
  return { ...ruling, at: isoTime(at) };
}

export function branchView(transaction: TransactionState, branch: BranchState, report?: BranchReport): BranchView {
  const vote = branch.vote ?? report?.vote ?? null;
  const error = branch.error ?? report?.error;
  return {
    branchId: branch.branchId,
    participant: branch.participant,
    operations: branch.operations.map(({ operation, payload, keys }, position): OperationView => {
      // During a ballot the log has the results already, but nothing is decided.
      const result = transaction.decision === 'commit' ? branch.results?.[position] : undefined;
      return { operation, payload, keys, ...(result !== undefined && { result }) };
    }),
    vote,
    state: branchStateName(transaction, branch, vote),
    ...(branch.ruling && { ruling: branch.ruling }),
    ...(branch.heldBy !== undefined && { instance: branch.heldBy }),
    ...(error && { error }),
  };
}

function branchStateName(
  transaction: TransactionState,
  branch: BranchState,
  vote: BranchView['vote'],
): BranchStateName {
  if (branch.end !== undefined) return branch.end;
  if (branch.forgotten) return 'forgotten';
  if (transaction.decision === 'commit') return 'committing';
  if (transaction.decision === 'abort') return 'aborting';
  if (vote === 'yes') return 'prepared';
  if (vote === 'no') return 'refused';
  if (vote === 'read-only') return 'read-only';
  return transaction.closed ? 'preparing' : 'enlisted';
}

function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
