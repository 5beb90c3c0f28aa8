import type { FactoryProvider, ModuleMetadata, Type } from '@nestjs/common';
import type { BranchSessions, GlobalCoordinators, GlobalParticipantOptions } from '@concordat/participant';
import type { ConnectionOptions } from '../connection-name.js';

/** The options of `ConcordatModule`: those of `GlobalParticipantOptions`, and some of Nest. */
export interface ConcordatOptions extends ConnectionOptions, GlobalParticipantOptions {
  /**
   * the names by which callers address this service, where its Host header, topic or queue does not say it (behind a
   * proxy, over TCP). With this option only these names count. The participant's name always does
   */
  readonly audiences?: readonly string[];
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
