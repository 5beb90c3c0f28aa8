export type { CurrentWork, JoinableWork, NestedWork } from './joinable-work.js';
export { joinDataSource } from './join-data-source.js';
export { joinPool } from './join-pool.js';
export type { Leave } from './replace-method.js';
export { Savepoints, type SavepointOwner } from './savepoints.js';
