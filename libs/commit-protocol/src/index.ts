export * from './gid.js';
export type * from './messages.js';
export { MESSAGE_VERSION } from './messages.js';
export type * from './records.js';
export * from './types.js';
