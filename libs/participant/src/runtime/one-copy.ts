import { AsyncLocalStorage } from 'node:async_hooks';
import { oncePerProcess, VERSION } from '@concordat/foundation';

/** What exists once in a process, however often a test runner loads this package. */
export interface ParticipantPackage {
  readonly version: string;
  /** for which work a query runner of TypeORM is connecting; a `JoinableWork` */
  readonly connecting: AsyncLocalStorage<unknown>;
  /** who wants to know whether a joined pool is asked for a connection; an `Asking` */
  readonly asking: AsyncLocalStorage<unknown>;
}

/** The copy of this package that the process uses. Loading a second one fails, with a sentence that names both. */
export const PARTICIPANT_PACKAGE: ParticipantPackage = oncePerProcess(
  { name: '@concordat/participant', location: import.meta.url },
  () => ({ version: VERSION, connecting: new AsyncLocalStorage(), asking: new AsyncLocalStorage() }),
);
