/**
 * The engine of a coordinator without its process, for simulations of the whole system. The service starts in
 * `main.ts`.
 */
export * from './decision-log/archive-block.js';
export * from './decision-log/decision-log.js';
export * from './decision-log/ended-archive.js';
export * from './decision-log/raft-decision-log.js';
export { parseJsonBody } from './http/json-body.js';
export { parseBranch, parseExecute } from './http/validation.js';
export * from './inbound/replies-consumer.js';
export * from './locks/errors.js';
export * from './locks/locks.js';
export type * from './locks/locks.api.js';
export * from './transactions/errors.js';
export { COORDINATOR_FAILPOINTS, type CoordinatorFailpoint } from './failpoints/failpoints.js';
export type { ClockReading, GroupClocks } from './transactions/clocks/group-clocks.js';
export * from './transactions/options.js';
export * from './transactions/transaction-manager.js';
export type * from './transactions/transactions.api.js';
