import type { JsonValue } from '@concordat/foundation';
import type { AcceptedValue, Acceptor, Ballot, BranchError, Decision, Vote } from '@concordat/commit-protocol';

/** A row of `concordat_branch`. */
export type LedgerRow =
  | { readonly outcome: 'committed'; readonly results: readonly JsonValue[] }
  | {
      readonly outcome: 'aborted';
      readonly error: BranchError | undefined;
      /** because the decision was told; otherwise the tombstone only stops a late prepare */
      readonly isDecided: boolean;
    };

/** What the database knows of a branch; both fields empty: it never voted. */
export interface BranchTrace {
  readonly prepared: boolean;
  readonly ledger: LedgerRow | undefined;
}

/** A vote that is to be put on record. */
export type CastVote =
  | { readonly vote: 'yes' | 'read-only'; readonly results: readonly JsonValue[] }
  | { readonly vote: 'no'; readonly error: BranchError | undefined };

/** A row of `concordat_acceptor`: the vote, which never changes, and the ballots (protocol section 6). */
export interface AcceptorRow {
  readonly vote: Vote;
  /** what the handlers returned; empty for `no`, and where the process that ran them died before its vote was on record */
  readonly results: readonly JsonValue[];
  /** why it voted `no`, where that is known */
  readonly error: BranchError | undefined;
  readonly acceptors: readonly Acceptor[];
  readonly promised: Ballot | undefined;
  readonly accepted: AcceptedValue | undefined;
  /** only where an operator ended the branch against it */
  readonly decision: Decision | undefined;
}

/** What the database knows of a branch that may be an acceptor. */
export interface AcceptorTrace extends BranchTrace {
  /** the database may have lost what it had promised of this transaction */
  readonly abstains: boolean;
  readonly acceptor: AcceptorRow | undefined;
}
