import type { DataSource } from 'typeorm';

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
  readonly decisionConnections?: number;
  /** no lock is awaited longer, even if the deadline is further away, in milliseconds; default 10,000 */
  readonly lockTimeoutMs?: number;
  /** how long a connection may take to open, in milliseconds; default 5,000 */
  readonly connectTimeoutMs?: number;
  /** how long after its deadline the handlers of a branch may go on, in milliseconds; default 1,000 */
  readonly handlerGraceMs?: number;
  /** a statement of the library itself without an answer for so long means a dead connection; default 15,000 */
  readonly answerTimeoutMs?: number;
}
