import { roughJsonSize, type JsonValue } from '@concordat/foundation';
import type { Acceptor, Ballot } from '../ballots/ballot.js';
import type { BeginRecord, BranchLoss, BranchReport, IdempotencyClaim } from './records.js';
import {
  isHazard,
  type AbortCause,
  type AcceptorLoss,
  type BranchEnd,
  type BranchError,
  type BranchId,
  type BranchSpecification,
  type Decision,
  type OperationCall,
  type Outcome,
  type Protocol,
  type RulingAction,
  type TransactionId,
  type Vote,
} from '../vocabulary/types.js';

/** A branch in the log. */
export interface BranchState {
  readonly branchId: BranchId;
  readonly participant: string;
  operations: readonly OperationCall[];
  /** the vote of the enlistment, or the one that the decision was based on; a leader's newer votes are not here */
  vote?: Vote;
  /** whether the vote came with the enlistment: the service prepared the work itself */
  readonly selfPrepared: boolean;
  /** the instance whose open session does the work; absent in records of versions without held branches */
  readonly heldBy?: string;
  /** one for each operation, once decided */
  results?: readonly JsonValue[];
  error?: BranchError;
  end?: BranchEnd;
  /** an operator ended it against the decision: it gets this instead */
  ruling?: Decision;
  /** in three phases: what was known when the transaction was decided */
  loss?: AcceptorLoss;
  /** an operator gave it up: the transaction may end without it, or in spite of its hazard */
  forgotten?: true;
}

/** What a ruling did: it decided, ended one branch against the decision, or gave branches up. */
export type RulingEffect = 'decided' | 'branch-ruled' | 'forgotten';

/** A ruling as it is kept with its transaction; see `ResolveRecord`. */
export interface RulingState {
  readonly action: RulingAction;
  readonly branchId?: BranchId;
  readonly operator: string;
  readonly reason: string;
  readonly force: boolean;
  readonly effect: RulingEffect;
  readonly at: number;
}

/** An idempotency key of a transaction, and the branch or the ruling of its request. */
export interface ClaimState extends IdempotencyClaim {
  readonly branchId?: BranchId;
  /** index in the rulings */
  readonly ruling?: number;
}

/**
 * A transaction in the log: the same on every node at the same log index.
 *
 * It moves through: active (not closed) → preparing (closed) → decided → ended. A transaction with a hazard has the
 * outcome `mixed` and does not end by itself: an operator must forget it.
 */
export interface TransactionState {
  readonly transactionId: TransactionId;
  readonly protocol: Protocol;
  readonly createdAt: number;
  readonly deadline: number;
  readonly metadata: Readonly<Record<string, JsonValue>>;
  /** of the client's trace; absent without one, and in records of versions that did not keep it */
  readonly traceparent?: string;
  /** the principal who began it; absent without authentication, and in records of versions without owners */
  readonly owner?: string;
  /** SHA-256 of its invitation; absent without one, and in records of versions without invitations */
  readonly invitation?: string;
  readonly claims: ClaimState[];
  readonly branches: BranchState[];
  /** the set of branches is fixed: a one-shot transaction, or its commit was requested */
  closed: boolean;
  /** the branch that decides (protocol 4.7) */
  delegatedTo?: BranchId;
  /** the highest ballot of the coordinator group that is in the log (protocol section 6) */
  preCommit?: Ballot;
  decision?: Decision;
  cause?: AbortCause;
  decidedAt?: number;
  outcome?: Outcome;
  /** by operators, oldest first; absent when there are none */
  rulings?: RulingState[];
  endedAt?: number;
  logIndex: number;
}

/** A branch as its enlistment brings it. */
export function branchFrom(specification: BranchSpecification): BranchState {
  const { branchId, participant, operations, enlistedVote, heldBy } = specification;
  const held = heldBy !== undefined && { heldBy };
  const branch: BranchState = { branchId, participant, operations, selfPrepared: enlistedVote !== undefined, ...held };
  if (enlistedVote !== undefined) branch.vote = enlistedVote;
  return branch;
}

/** The state after a `Begin` record; the leader uses it with index 0 while the record is in flight. */
export function transactionFromBegin(record: BeginRecord, logIndex: number): TransactionState {
  const transaction: TransactionState = {
    transactionId: record.transactionId,
    protocol: record.protocol,
    createdAt: record.at,
    deadline: record.deadline,
    metadata: record.metadata,
    ...(record.traceparent !== undefined && { traceparent: record.traceparent }),
    ...(record.owner !== undefined && { owner: record.owner }),
    ...(record.invitation !== undefined && { invitation: record.invitation }),
    claims: record.idempotency ? [record.idempotency] : [],
    branches: record.branches.map(branchFrom),
    closed: record.closed,
    logIndex,
  };
  if (record.delegateTo !== undefined) transaction.delegatedTo = record.delegateTo;
  return transaction;
}

/** Adds a branch, or the operations of an enlistment to the participant's branch. */
export function addBranch(transaction: TransactionState, specification: BranchSpecification): BranchState {
  const joined = transaction.branches.find((branch) => branch.branchId === specification.branchId);
  if (!joined) {
    const branch = branchFrom(specification);
    transaction.branches.push(branch);
    return branch;
  }
  joined.operations = [...joined.operations, ...specification.operations];
  return joined;
}

export function findBranch(transaction: TransactionState, branchId: BranchId): BranchState | undefined {
  return transaction.branches.find((branch) => branch.branchId === branchId);
}

/** The acceptors of a transaction in three phases: all branches, in the order in which they joined. */
export function acceptorsOf(transaction: TransactionState): Acceptor[] {
  return transaction.branches.map(({ branchId, participant }) => ({ branchId, participant }));
}

/** Stores the branches' votes and results from a record; they replace earlier ones. */
export function takeReports(transaction: TransactionState, reports: readonly BranchReport[]): void {
  for (const { branchId, vote, results, error } of reports) {
    const branch = findBranch(transaction, branchId);
    if (!branch) continue;
    branch.vote = vote;
    if (results) branch.results = results;
    if (error) branch.error = error;
  }
}

export function takeLosses(transaction: TransactionState, losses: readonly BranchLoss[] = []): void {
  for (const { branchId, loss } of losses) {
    const branch = findBranch(transaction, branchId);
    if (branch) branch.loss = loss;
  }
}

/** Whether this branch keeps a decided transaction from ending. */
export function keepsOpen({ end, forgotten }: BranchState): boolean {
  return forgotten === undefined && (end === undefined || isHazard(end));
}

export function countOperations(transaction: TransactionState): number {
  return transaction.branches.reduce((count, branch) => count + branch.operations.length, 0);
}

/**
 * The only branch of a transaction, if it has just one whose work is still to be done: it may commit in one phase
 * (protocol 4.7).
 */
export function delegate(
  branches: readonly { branchId: BranchId; operations: readonly unknown[]; enlistedVote?: unknown; vote?: unknown }[],
): BranchId | undefined {
  const [only, ...others] = branches;
  if (!only || others.length > 0 || only.operations.length === 0) return undefined;
  return only.enlistedVote === undefined && only.vote === undefined ? only.branchId : undefined;
}

/** Of a transaction or a branch, without what its users put in. */
const FRAME_BYTES = 512;

/**
 * The approximate size of an ended transaction as JSON: only what users put in is measured, because every node does
 * this for every transaction.
 */
export function sizeOfContent({ metadata, branches }: TransactionState): number {
  let size = FRAME_BYTES + roughJsonSize(metadata);
  for (const { operations, results, error } of branches) {
    size += FRAME_BYTES + roughJsonSize(operations) + roughJsonSize(results) + (error?.message.length ?? 0);
  }
  return size;
}
