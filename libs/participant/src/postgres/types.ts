import type { JsonValue } from '@concordat/foundation';
import type { AcceptedValue, Acceptor, Ballot, BranchError, Decision, Vote } from '@concordat/commit-protocol';
import type { DataSource, EntityManager } from 'typeorm';
import type { OperationBranch } from '../runtime/participant-runtime.types.js';
import type { BranchClient } from './session/guarded-client.js';

/** What a handler works with: one local transaction, seen through `pg` or TypeORM. */
export interface PostgresContext {
  readonly branch: OperationBranch;
  readonly client: BranchClient;
  /** Bound to the very same transaction. @throws ParticipantConfigurationError when no DataSource was given */
  readonly manager: EntityManager;
}

export interface PostgresResourceManagerSettings {
  /** `postgres://user:password@host:port/database`; one role and one database for each participant */
  readonly connectionString: string;
  /** the cluster's name inside gids; others' gids are never touched */
  readonly cluster: string;
  /** whose database it is; another participant, or one of another cluster, is refused at the start */
  readonly participant: string;
  /** shown in pg_stat_activity; default `concordat` */
  readonly applicationName?: string;
  /** schema of the tables; default `public` */
  readonly schema?: string;
  /** gives handlers an EntityManager; must be initialized before the first branch arrives */
  readonly dataSource?: DataSource;
  /** connections for work, as many as run at once; default 8 */
  readonly workConnections?: number;
  /** connections for tombstones, opened when needed; what ends prepared transactions shares two others; default 8 */
  readonly rulingConnections?: number;
  /** no lock is awaited longer, even if the deadline is further away, in milliseconds; default 10,000 */
  readonly lockTimeoutMs?: number;
  /** how long a connection may take to open, in milliseconds; default 5,000 */
  readonly connectTimeoutMs?: number;
  /** how long after its deadline the handlers of a branch may go on, in milliseconds; default 1,000 */
  readonly handlerGraceMs?: number;
  /** a statement of the library itself without an answer for so long means a dead connection; default 15,000 */
  readonly answerTimeoutMs?: number;
}

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
