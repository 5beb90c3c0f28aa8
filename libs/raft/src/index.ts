export * from './core/index.js';
export * from './driver/errors.js';
export * from './driver/ports.js';
export * from './driver/raft-node.js';
export * from './driver/raft-node.types.js';
export * from './storage/index.js';
export * from './transport/index.js';
