export * from './nest/index.js';
export * from './postgres/index.js';
export * from './runtime/errors.js';
export * from './runtime/participant-failpoints.js';
export type * from './runtime/participant-metrics.js';
export * from './runtime/participant-runtime.js';
export * from './runtime/participant-runtime.types.js';
export type * from './runtime/resource-manager.js';
