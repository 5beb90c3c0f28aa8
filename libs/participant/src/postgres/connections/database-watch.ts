import type { ClientBase } from 'pg';
import type { Clock, Logger } from '@concordat/foundation';
import type { BranchIdentity } from '../../runtime/resource-manager.js';
import { abstentionLimit, beginOf, describeChange, type DatabaseIdentity } from '../../runtime/database-identity.js';
import type { DatabaseStatements } from '../statements/database-statements.js';

export interface DatabaseWatchPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly statements: DatabaseStatements;
  /** sessions that lead to the database of before are not to be used any more */
  onChanged(change: DatabaseChange): void;
}

/** The participant's database is not the one that it was. */
export interface DatabaseChange {
  /** a sentence for people */
  readonly detail: string;
  /** transactions that began earlier may have left something there that is gone, in milliseconds since 1970 */
  readonly abstainsBefore: number;
}

/**
 * Looks, on every new connection and before anything else is done on it, whether the database is the one that it was
 * (protocol section 6). A standby that was promoted, a restore and a copy may lack the last writes. Then the database
 * gets a limit in its own table: of transactions that began before it, its branches give no vote, no promise and no
 * acceptance, whoever asks, until an operator removes the limit.
 *
 * The identity is remembered here and there: here for a database that was set back with its table, there for a process
 * that was started anew.
 */
export class DatabaseWatch {
  private known: DatabaseIdentity | undefined;
  private limit = 0;
  private newest = 0;

  constructor(private readonly ports: DatabaseWatchPorts) {}

  /** The last limit that was seen; 0 for none. */
  get abstainsBefore(): number {
    return this.limit;
  }

  /** Remembers how young the transactions are that this database may know of. */
  noteTransaction({ transactionId }: BranchIdentity): void {
    const begin = beginOf(transactionId);
    if (begin !== Number.MAX_SAFE_INTEGER && begin > this.newest) this.newest = begin;
  }

  /** Whether nothing may be said about a branch as an acceptor, unless an operator has removed the limit meanwhile. */
  mayAbstain({ transactionId }: BranchIdentity): boolean {
    return beginOf(transactionId) < this.limit;
  }

  /** To be awaited before a new connection is used. */
  async onConnected(client: ClientBase): Promise<void> {
    const { statements, clock } = this.ports;
    const remembered = this.known; // as it was when the question left: answers may overtake each other
    const { identity, stored, abstainsBefore } = await statements.identify(client);
    this.limit = abstainsBefore;
    const detail = describeChange(identity, stored, remembered);
    if (detail === undefined && stored) return this.remember(identity);
    const limit = detail === undefined ? 0 : abstentionLimit(clock.now(), this.newest);
    this.limit = await statements.recognise(client, identity, limit);
    const isNews = this.known === remembered; // else another connection has told it
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
      `DATABASE_CHANGED: the database was restored or has failed over: ${detail}. What was committed or prepared in it last ` +
        `may be gone. Branches of transactions in three phases that began before ${new Date(this.limit).toISOString()} ` +
        'give no votes and take part in no ballots; compare with the ledgers of the other participants',
    );
    this.ports.onChanged(change);
  }
}
