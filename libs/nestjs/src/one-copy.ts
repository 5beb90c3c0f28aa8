import { AsyncLocalStorage } from 'node:async_hooks';
import { oncePerProcess, VERSION } from '@concordat/foundation';

/** What exists once in a process, however often a test runner loads this package. */
export interface NestjsPackage {
  readonly version: string;
  /** the call whose request is being made by a client of Nest's microservices; an `OutgoingCall` */
  readonly sending: AsyncLocalStorage<unknown>;
  /** the locks of the running `@WithLock` methods */
  readonly locks: AsyncLocalStorage<unknown>;
}

/** The copy of this package that the process uses. Loading a second one fails, with a sentence that names both. */
export const NESTJS_PACKAGE: NestjsPackage = oncePerProcess(
  { name: '@concordat/nestjs', location: import.meta.url },
  () => ({ version: VERSION, sending: new AsyncLocalStorage(), locks: new AsyncLocalStorage() }),
);
