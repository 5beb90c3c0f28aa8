export { Asking } from './asking.js';
export { isWithin, type CurrentWork, type JoinableWork, type NestedWork } from './joinable-work.js';
export { joinDataSource } from './join-data-source.js';
export { joinPool } from './join-pool.js';
export type { JoiningOptions } from './outside-use.js';
export type { Leave } from './replace-method.js';
export { savepointsOf, type SavepointOwner, type Savepoints } from './savepoints.js';
