import type { JsonValue } from '@concordat/foundation';
import type { BranchError } from '@concordat/commit-protocol';
import type { OnePhaseResult, VoteResult } from '@concordat/participant';
import type { AcceptorRow as RowOfAcceptor, AcceptorTrace } from '@concordat/participant/testing';

/** A row of `concordat_branch`. */
export interface LedgerRow {
  readonly transactionId: string;
  readonly outcome: 'committed' | 'aborted';
  readonly results: readonly JsonValue[];
  readonly error?: BranchError;
  /** the tombstone is there because the decision was told */
  readonly isDecided?: boolean;
}

/** A row of `concordat_acceptor`. */
export interface AcceptorRow extends RowOfAcceptor {
  readonly transactionId: string;
}

/** A vote that is to be put on record. */
export type CastVote = Pick<AcceptorRow, 'vote' | 'results'> & { readonly error?: BranchError };

/** A change of one account, on behalf of what a client wanted. */
export interface Movement {
  readonly intent: string;
  readonly account: string;
  readonly amount: number;
}

/** A local transaction: what it has written, and whether an error has spoiled it. */
export interface LocalTransaction {
  readonly id: number;
  readonly balances: Map<string, number>;
  readonly ledger: Map<string, LedgerRow>;
  readonly acceptors: Map<string, AcceptorRow>;
  readonly movements: Movement[];
  failed: boolean;
}

/** A first row of an acceptor, with its vote. */
export function acceptorRow(
  transactionId: string,
  acceptors: AcceptorRow['acceptors'],
  { vote, results, error }: CastVote,
): AcceptorRow {
  const ballots = { promised: undefined, accepted: undefined, decision: undefined };
  return { transactionId, acceptors, vote, results, error, ...ballots };
}

/** What a database knows of a branch, in the words in which the product judges it. */
export function traceOf(
  prepared: boolean,
  ledger: LedgerRow | undefined,
  acceptor: AcceptorRow | undefined,
  abstains: boolean,
): AcceptorTrace {
  if (ledger?.outcome !== 'aborted')
    return { prepared, ledger: ledger && { outcome: 'committed', results: ledger.results }, acceptor, abstains };
  const { error, isDecided = false } = ledger;
  return { prepared, ledger: { outcome: 'aborted', error, isDecided }, acceptor, abstains };
}

export const BRANCH_ABORTED: BranchError = { code: 'BRANCH_ABORTED', message: 'this branch was aborted before' };

export function votedYes(results: readonly JsonValue[]): VoteResult {
  return { vote: 'yes', results };
}

/** The vote that a branch in the ledger has given, or would have. */
export function voteOf({ outcome, results, error }: LedgerRow): VoteResult {
  if (outcome === 'committed') return votedYes(results);
  return { vote: 'no', results: [], error: error ?? BRANCH_ABORTED };
}

/** How a branch in the ledger has ended, in one phase. */
export function conclusionOf({ outcome, results, error }: LedgerRow): OnePhaseResult {
  if (outcome === 'committed') return { end: 'committed', results };
  return { end: 'aborted', results: [], error: error ?? BRANCH_ABORTED };
}
