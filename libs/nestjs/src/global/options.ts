import type { FactoryProvider, ModuleMetadata, Type } from '@nestjs/common';
import type { TlsOption } from '@concordat/foundation';
import type { Token } from '@concordat/client';
import type { BranchSessions, Destination, GlobalCoordinators } from '@concordat/participant';
import type { KafkaBusOptions } from '../buses.js';
import type { ConnectionOptions } from '../connection-name.js';
import type { ConcordatParticipantOptions } from '../options.js';
import type { DataSource, Pool, PostgresSource } from './postgres-source.js';

/** The options of `ConcordatModule`. */
export interface ConcordatOptions
  extends ConnectionOptions, Omit<ConcordatParticipantOptions, 'postgres' | 'bus' | 'coordinators' | 'link'> {
  /** REST URLs of the coordinators, such as `http://127.0.0.1:8081`; more than one are used when one fails */
  readonly coordinators: readonly string[];
  /**
   * shows the coordinators who calls, where they ask: an API token or a JWT with the roles `client` and
   * `participant:<name>`, or a function that is asked for each request
   */
  readonly token?: Token;
  /**
   * the certificates of this service, where the coordinators speak TLS with an authority of their own: for REST and for
   * direct streams. `tlsFiles` reads them from files. Without a token, the own one must have the roles `client` and
   * `participant`
   */
  readonly tls?: TlsOption;
  /** the service's database: a TypeORM `DataSource`, a `pg.Pool`, or settings with a `connectionString` */
  readonly postgres: PostgresSource;
  /** further pools and DataSources of the same database, whose work in a global transaction is to be part of it */
  readonly joining?: readonly (Pool | DataSource)[];
  /**
   * who is given the context of a transaction, as addressed: `host[:port]`, a Kafka topic, a queue. Everybody on the
   * list must join with `@JoinGlobalTransaction()`: a call without a proof dooms the transaction. Default: nobody
   */
  readonly propagateTo?: readonly (string | Destination)[];
  /**
   * the names by which callers address this service, where its Host header, topic or queue does not say it (behind a
   * proxy, over TCP). With this option only these names count. The participant's name always does
   */
  readonly audiences?: readonly string[];
  /** signs contexts, the same in all services; default `CONCORDAT_CONTEXT_KEY`, or a key for development */
  readonly contextKey?: string;
  /** the road to the coordinators, as their `CONCORDAT_LINK`; default `direct` */
  readonly link?: 'direct' | 'kafka' | 'both';
  /** needed with `link: 'kafka'` and `'both'` */
  readonly kafka?: KafkaBusOptions;
  /** what the end of a beginning method waits for; default `ended`: a read right after sees the changes everywhere */
  readonly waitFor?: 'decided' | 'ended';
  /** how long after the deadline a requested commit is asked about, in milliseconds; default 30,000 */
  readonly outcomeLimitMs?: number;
  /** instead of the road that `link` names */
  readonly bus?: ConcordatParticipantOptions['bus'];
  /** for tests: instead of the coordinators over REST */
  readonly coordinatorsPort?: GlobalCoordinators;
  /** for tests: instead of the sessions of the participant */
  readonly sessionsPort?: BranchSessions;
}

export const CONCORDAT_OPTIONS = Symbol('CONCORDAT_OPTIONS');

/** A provider that makes the options, for `useClass` and `useExisting`. */
export interface ConcordatOptionsFactory {
  create(): ConcordatOptions | Promise<ConcordatOptions>;
}

/**
 * What `ConcordatModule.forRootAsync` takes, as other modules of Nest do: one of `useFactory`, `useClass` and
 * `useExisting`.
 */
export type ConcordatAsyncOptions = ConnectionOptions &
  Pick<ModuleMetadata, 'imports'> &
  (
    | {
        /** what the factory gets, such as `[DataSource]` */
        readonly inject?: FactoryProvider['inject'];
        readonly useFactory: FactoryProvider<ConcordatOptions>['useFactory'];
      }
    | { readonly useClass: Type<ConcordatOptionsFactory> }
    | { readonly useExisting: Type<ConcordatOptionsFactory> }
  );
