/** A coordinator inside another process, with its log in memory: for tests of what talks to it. */
export { EmbeddedCoordinator, type EmbeddedCoordinatorOptions } from './embedded-coordinator.js';
export { CoordinatorDownError, EmbeddedConfigurationError, EmbeddedStartError } from './errors.js';
export { COORDINATOR_FAILPOINTS, type CoordinatorFailpoint } from '../failpoints/failpoints.js';
export { TransactionManager } from '../transactions/transaction-manager.js';
export type * from '../transactions/transactions.api.js';
export { LockHeldError } from '../locks/errors.js';
export type * from '../locks/locks.api.js';
export { OutcomeUnknownError } from '../decision-log/decision-log.js';
