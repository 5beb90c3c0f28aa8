import type { JsonValue } from '@concordat/foundation';
import type { Acceptor, AcceptorState, BranchError } from '@concordat/commit-protocol';

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
export interface AcceptorRow extends AcceptorState {
  readonly transactionId: string;
  readonly vote: 'yes' | 'no' | 'read-only';
  readonly acceptors: readonly Acceptor[];
  readonly results: readonly JsonValue[];
  readonly error?: BranchError;
}

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
