export type * from './bus.js';
export * from './topics.js';
