export * from './bus.js';
export * from './codec.js';
export * from './dead-letter.js';
export * from './errors.js';
export * from './memory-broker.js';
export * from './memory-bus.js';
export { DEFAULT_OUTBOX_LIMITS, type OutboxLimits } from './outbox.js';
export { MESSAGE_LIMITS, messageSchemas } from './schemas.js';
export * from './topics.js';
