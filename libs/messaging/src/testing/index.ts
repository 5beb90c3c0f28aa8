/** For tests and simulations of what is built on a `MessageBus`: a broker in memory, with faults, and its bus. */
export * from './memory-broker.js';
export * from './memory-bus.js';
export * from './memory-streams.js';
