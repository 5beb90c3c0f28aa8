import type { JsonValue } from '@concordat/foundation';
import type { AcceptedValue, Acceptor, Ballot, BranchError, Decision, Vote } from '@concordat/commit-protocol';

/** A row of `concordat_branch`. */
export type LedgerRow =
  | { readonly outcome: 'committed'; readonly results: readonly JsonValue[] }
  | {
      readonly outcome: 'aborted';
      readonly error: BranchError | undefined;
      /** written because of the decision; otherwise the tombstone only stops a late prepare */
      readonly isDecided: boolean;
    };

/** The state of a branch in the database; both fields empty: it never voted. */
export interface BranchTrace {
  readonly prepared: boolean;
  readonly ledger: LedgerRow | undefined;
}

/** A vote to be recorded. */
export type CastVote =
  | { readonly vote: 'yes' | 'read-only'; readonly results: readonly JsonValue[] }
  | { readonly vote: 'no'; readonly error: BranchError | undefined };

/** A row of `concordat_acceptor`: the vote, which never changes, and the ballots (protocol section 6). */
export interface AcceptorRow {
  readonly vote: Vote;
  /** the handlers' results; empty for `no`, and where their process died before its vote was recorded */
  readonly results: readonly JsonValue[];
  /** why it voted `no`, if known */
  readonly error: BranchError | undefined;
  readonly acceptors: readonly Acceptor[];
  readonly promised: Ballot | undefined;
  readonly accepted: AcceptedValue | undefined;
  /** only where an operator ended the branch against it */
  readonly decision: Decision | undefined;
}

/** The state of a branch that may be an acceptor. */
export interface AcceptorTrace extends BranchTrace {
  /** the database may have lost promises of this transaction */
  readonly abstains: boolean;
  readonly acceptor: AcceptorRow | undefined;
}
