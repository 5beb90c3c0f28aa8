import type { ConnectionOptions } from 'node:tls';
import type { ClientConfig } from 'pg';
import type { DataSource } from 'typeorm';

/**
 * What they mean in `psql`. `disable`: plain text. `prefer`: TLS if the server has it. `require`: TLS, with any server
 * (with an authority as `verify-ca`). `verify-ca`: the certificate of the server must be of the given authority.
 * `verify-full`: and name the host; the only one that keeps others out everywhere.
 */
export type SslMode = 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';

/** TLS to PostgreSQL. The files are read for each connection, so new ones count from the next connection on. */
export interface PostgresTls {
  readonly mode: SslMode;
  /** file with the authorities of the server, in PEM, that nobody else may write; default: those of Node.js */
  readonly ca?: string;
  /** file with the certificate of this service, in PEM, where the server asks for one */
  readonly certificate?: string;
  /** file with its private key, in PEM, without a password, of mode 0600 */
  readonly key?: string;
  /** `direct`: TLS from the first byte, for PostgreSQL 17 and newer; default `postgres` */
  readonly negotiation?: 'postgres' | 'direct';
}

/**
 * What the connections of a participant take over of a configuration of `pg`: where the server is, who connects, and
 * what the sessions begin with (`options: '-c search_path=orders'`). As in `pg`, the variables of PostgreSQL stand for
 * what it leaves out (PGHOST, PGUSER and so on), and what `connectionString` says comes first.
 */
export type PostgresClientOptions = Pick<
  ClientConfig,
  | 'connectionString'
  | 'host'
  | 'port'
  | 'user'
  | 'password'
  | 'database'
  | 'ssl'
  | 'sslnegotiation'
  | 'options'
  | 'client_encoding'
  | 'enableChannelBinding'
>;

/** Where the database is, and how a service shows it who it is. It needs `connectionString` or `connection`. */
export interface PostgresConnectionSettings {
  /**
   * `postgres://user:password@host:port/database`; one role and one database for each participant. It may have libpq's
   * `sslmode`, `sslrootcert`, `sslcert`, `sslkey` and `sslnegotiation`
   */
  readonly connectionString?: string;
  /** instead: as `new pg.Pool(…)` takes it, such as the `options` of a pool; other members of it do not count */
  readonly connection?: PostgresClientOptions;
  /**
   * TLS, if URL and `connection` say nothing of it; or options of Node.js for it, asked for each connection. Default:
   * plain text
   */
  readonly tls?: PostgresTls | (() => ConnectionOptions);
  /**
   * asked for each connection whose server wants a password: for passwords that change, such as tokens of a cloud. URL
   * and `connection` have none then. One that throws is asked again with the next connection
   */
  readonly password?: () => string | Promise<string>;
  /** instead: a file of mode 0600 with the password, read for each connection */
  readonly passwordFile?: string;
}

export interface PostgresResourceManagerSettings extends PostgresConnectionSettings {
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
