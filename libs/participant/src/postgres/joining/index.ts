export type { CurrentWork, JoinableWork, NestedWork } from './joinable-work.js';
export { joinPool, type Leave } from './join-pool.js';
