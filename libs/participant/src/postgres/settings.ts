import type { DataSource } from 'typeorm';

export interface PostgresResourceManagerSettings {
  /** `postgres://user:password@host:port/database`; one role and one database for each participant */
  readonly connectionString: string;
  /** name of the cluster in gids; gids of other clusters are never touched */
  readonly cluster: string;
  /** owner of the database; another participant or cluster is refused at the start */
  readonly participant: string;
  /** shown in pg_stat_activity; default `concordat` */
  readonly applicationName?: string;
  /** schema of the tables; default `public` */
  readonly schema?: string;
  /** gives handlers an EntityManager; must be initialised before the first branch arrives */
  readonly dataSource?: DataSource;
  /** connections for work: branches that run at once; default 16 */
  readonly workConnections?: number;
  /** connections for tombstones, votes and ballots, opened on demand; default 8 */
  readonly decisionConnections?: number;
  /** connections that end prepared transactions, many statements on each; default 4 */
  readonly endingConnections?: number;
  /** maximum lock wait, even before a later deadline, in milliseconds; default 10,000 */
  readonly lockTimeoutMs?: number;
  /** how long a connection may take to open, in milliseconds; default 5,000 */
  readonly connectTimeoutMs?: number;
  /** how long the handlers of a branch may run after its deadline, in milliseconds; default 1,000 */
  readonly handlerGraceMs?: number;
  /** a library statement without an answer for this long means a dead connection; default 15,000 */
  readonly answerTimeoutMs?: number;
}
