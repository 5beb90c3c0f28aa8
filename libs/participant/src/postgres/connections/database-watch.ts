import type { ClientBase } from 'pg';
import type { Clock, Logger } from '@concordat/foundation';
import type { BranchIdentity } from '../../runtime/resource-manager.js';
import { abstentionLimit, beginOf, describeChange, type DatabaseIdentity } from '../../runtime/database-identity.js';
import type { DatabaseStatements } from '../statements/database-statements.js';

export interface DatabaseWatchPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly statements: DatabaseStatements;
  /** sessions to the former database must not be used any more */
  onChanged(change: DatabaseChange): void;
}

/** The participant's database was replaced by another one. */
export interface DatabaseChange {
  /** a sentence for people */
  readonly detail: string;
  /** promises of transactions that began earlier may be lost; in milliseconds since 1970 */
  readonly abstainsBefore: number;
}

/**
 * Checks on every new connection, before its first use, whether the database is still the same (protocol section 6). A
 * promoted standby, a restored backup and a copy may lack the last writes. Then the database stores a limit in its own
 * table: in transactions that began before the limit, its branches give no vote, no promise and no acceptance, until an
 * operator removes the limit.
 *
 * The identity is stored in memory and in the table: memory detects a database that was set back with its table, the
 * table a change while the process was down.
 */
export class DatabaseWatch {
  private known: DatabaseIdentity | undefined;
  private limit = 0;
  private name: string | undefined;
  private newest = 0;

  constructor(private readonly ports: DatabaseWatchPorts) {}

  /** The latest limit; 0 for none. */
  get abstainsBefore(): number {
    return this.limit;
  }

  /** Of the server and the database on it; undefined before the first connection, or where the server does not say. */
  get databaseName(): string | undefined {
    return this.name;
  }

  /** Records the begin of the youngest transaction that this database may know. */
  noteTransaction({ transactionId }: BranchIdentity): void {
    const begin = beginOf(transactionId);
    if (begin !== Number.MAX_SAFE_INTEGER && begin > this.newest) this.newest = begin;
  }

  /** Whether the branch must abstain as an acceptor, unless an operator has removed the limit. */
  mayAbstain({ transactionId }: BranchIdentity): boolean {
    return beginOf(transactionId) < this.limit;
  }

  /** Must be awaited before a new connection is used. */
  async onConnected(client: ClientBase): Promise<void> {
    const { statements, clock } = this.ports;
    const remembered = this.known; // read before the query: answers may overtake each other
    const { identity, stored, abstainsBefore, databaseOid } = await statements.identify(client);
    const { systemIdentifier } = identity;
    this.name = systemIdentifier === undefined ? undefined : `${systemIdentifier}/${databaseOid}`;
    this.limit = abstainsBefore;
    const detail = describeChange(identity, stored, remembered);
    if (detail === undefined && stored) return this.remember(identity);
    const limit = detail === undefined ? 0 : abstentionLimit(clock.now(), this.newest);
    this.limit = await statements.recognise(client, identity, limit);
    const isNews = this.known === remembered; // otherwise another connection has reported it
    this.remember(identity);
    if (detail !== undefined && isNews) this.report(detail);
  }

  private remember(identity: DatabaseIdentity): void {
    const { known } = this;
    const isSame = known?.systemIdentifier === identity.systemIdentifier && known?.timeline === identity.timeline;
    this.known = isSame && known.position > identity.position ? known : identity;
  }

  private report(detail: string): void {
    const change: DatabaseChange = { detail, abstainsBefore: this.limit };
    this.ports.logger.error(
      `DATABASE_CHANGED: the database was restored or has failed over: ${detail}. Its last commits and prepared transactions ` +
        `may be lost. Branches of three-phase transactions that began before ${new Date(this.limit).toISOString()} ` +
        'abstain from votes and ballots; compare with the ledgers of the other participants',
    );
    this.ports.onChanged(change);
  }
}
