import { isUuid } from '@concordat/foundation';
import {
  isPossibleBallot,
  type AcceptedValue,
  type Acceptor,
  type Ballot,
  type BranchId,
  type Decision,
  type Vote,
} from '@concordat/commit-protocol';
import type { BranchIdentity } from '../../runtime/resource-manager.js';
import type { AcceptorRow } from './rows.js';
import { storedError, storedResults } from './ledger-row.js';

/** The columns that `acceptorRowOf` reads. */
export const ACCEPTOR_COLUMNS = `transaction_id, vote, result, acceptors, promised_round, promised_proposer,
  accepted_round, accepted_proposer, accepted_value, decision`;

/** A row of `concordat_acceptor` with values that this library never writes: it was edited by hand, and is not used. */
export class UnreadableAcceptorRowError extends Error {
  override readonly name = 'UnreadableAcceptorRowError';
}

/**
 * Reads a row of `concordat_acceptor`; undefined when there is none.
 *
 * @throws UnreadableAcceptorRowError for values that the library does not write for this branch
 */
export function acceptorRowOf(row: unknown, { transactionId, branchId }: BranchIdentity): AcceptorRow | undefined {
  if (row === undefined) return undefined;
  const values = row as Readonly<Record<string, unknown>>;
  const { acceptors, decision, result } = values;
  const unreadable = (what: string): UnreadableAcceptorRowError =>
    new UnreadableAcceptorRowError(`the acceptor row of branch ${branchId} has an unreadable ${what}`);
  if (values.transaction_id !== transactionId) throw unreadable('transaction_id');
  if (!isAcceptorList(acceptors, branchId)) throw unreadable('list of acceptors');
  if (!isVote(values.vote)) throw unreadable('vote');
  if (decision !== null && !isDecision(decision)) throw unreadable('decision');
  const promised = ballotOf(values.promised_round, values.promised_proposer, acceptors.length);
  if (promised === 'unreadable') throw unreadable('promise');
  const accepted = acceptedOf(values, acceptors.length);
  if (accepted === 'unreadable') throw unreadable('accepted value');
  return {
    vote: values.vote,
    results: values.vote !== 'no' ? storedResults(result) : [],
    error: storedError(result),
    acceptors,
    promised,
    accepted,
    decision: decision ?? undefined,
  };
}

/** Whether a value can be the acceptor set of a branch: no duplicates, and the branch is in it. */
export function isAcceptorList(value: unknown, branchId: BranchId): value is readonly Acceptor[] {
  if (!Array.isArray(value) || !value.every(isAcceptor)) return false;
  const branches = new Set(value.map((acceptor) => acceptor.branchId));
  return branches.size === value.length && branches.has(branchId);
}

function isAcceptor(value: unknown): value is Acceptor {
  if (typeof value !== 'object' || value === null || !('branchId' in value) || !('participant' in value)) return false;
  const { branchId, participant } = value;
  return typeof branchId === 'string' && isUuid(branchId) && typeof participant === 'string' && participant !== '';
}

function isVote(value: unknown): value is Vote {
  return value === 'yes' || value === 'no' || value === 'read-only';
}

function isDecision(value: unknown): value is Decision {
  return value === 'commit' || value === 'abort';
}

function ballotOf(round: unknown, proposer: unknown, acceptorCount: number): Ballot | undefined | 'unreadable' {
  if (round === null && proposer === null) return undefined;
  if (typeof round !== 'number' || typeof proposer !== 'number') return 'unreadable';
  const ballot = { round, proposer };
  return isPossibleBallot(ballot, acceptorCount) ? ballot : 'unreadable';
}

function acceptedOf(
  { accepted_round: round, accepted_proposer: proposer, accepted_value: value }: Readonly<Record<string, unknown>>,
  acceptorCount: number,
): AcceptedValue | undefined | 'unreadable' {
  const ballot = ballotOf(round, proposer, acceptorCount);
  if (ballot === 'unreadable') return 'unreadable';
  if (ballot === undefined) return value === null ? undefined : 'unreadable';
  return isDecision(value) ? { ballot, value } : 'unreadable';
}
