/** The participant that a database belongs to, in any number of processes. */
export interface DatabaseOwner {
  readonly cluster: string;
  readonly participant: string;
}

/**
 * What stands between this process and the server. `direct`: nothing that shows. `session` and `transaction`: a pooler
 * that lends a session of the server for as long; `unknown`: a pooler whose mode could not be found out.
 */
export type Pooling = 'direct' | 'session' | 'transaction' | 'unknown';

/**
 * How the connection to the server is guarded on its way. `local`: it does not leave the machine; `plain`: anybody between
 * can read it; `unverified`: encrypted, with whatever server answers; `unknown`: encrypted, as the service's own options
 * say; `verified`: encrypted, and the server has shown a certificate.
 */
export type WireSafety = 'local' | 'plain' | 'unverified' | 'unknown' | 'verified';

/** Of a table or a routine of Concordat, such as `UPDATE` on `concordat_branch`. */
export interface Privilege {
  readonly privilege: string;
  readonly name: string;
  readonly isRoutine: boolean;
}

/** Concordat's own tables and routines in a database. */
export interface LedgerFacts {
  readonly schemaExists: boolean;
  readonly mayUseSchema: boolean;
  readonly mayCreateInSchema: boolean;
  /** of the newest migration; undefined when the table of migrations is missing or may not be read */
  readonly version: number | undefined;
  /** whether any table of Concordat is there */
  readonly exists: boolean;
  /** tables and routines that this release needs and that are not there */
  readonly missing: readonly string[];
  /** what the role needs at work and lacks */
  readonly lacking: readonly Privilege[];
  /** whether the role may alter the tables that are there, as a migration does: their owner, or a member of it */
  readonly mayAlter: boolean;
  readonly owner: DatabaseOwner | undefined;
  /** other schemas of the database in which a participant has its tables */
  readonly otherSchemas: readonly string[];
}

/** What a participant's database and server say about themselves, read at one moment. */
export interface DatabaseFacts {
  /** user, host and name as in its URL, without the password */
  readonly where: string;
  /** `server_version_num`: 140005 is 14.5 */
  readonly serverVersion: number;
  readonly isStandby: boolean;
  readonly database: string;
  /** the same for two connections to one database, whatever their URLs; undefined where the role may not read it */
  readonly identity: string | undefined;
  readonly role: string;
  readonly isSuperuser: boolean;
  /** what the role may do that a participant at work does not need; the end of "it …" */
  readonly powers: readonly string[];
  readonly schema: string;
  readonly ledger: LedgerFacts;
  /** `max_prepared_transactions` */
  readonly maximumPrepared: number;
  /** prepared now, by anybody on this server */
  readonly prepared: number;
  /** other roles that have prepared branches here */
  readonly preparingRoles: readonly string[];
  /** for ordinary roles, `max_connections` without the reserved ones */
  readonly maximumConnections: number;
  /** of this role, of the server; undefined: none */
  readonly roleConnectionLimit: number | undefined;
  readonly databaseConnectionLimit: number | undefined;
  /** without the one that asks */
  readonly openConnections: number;
  /** milliseconds; 0: off */
  readonly idleInTransactionTimeoutMs: number;
  readonly idleSessionTimeoutMs: number;
  readonly transactionTimeoutMs: number;
  readonly synchronousCommit: string;
  readonly pooling: Pooling;
  readonly wire: WireSafety;
  /** the server is reached without a network, encrypted or not */
  readonly isOnThisMachine: boolean;
  /** of the server's clock against this process's, see `clockDifferenceMs` */
  readonly clockDifferenceMs: number;
  /** sessions of processes of this participant that have another role or another database of the server */
  readonly otherSessions: readonly { readonly role: string; readonly database: string }[];
}
