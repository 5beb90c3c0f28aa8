/** In-memory ports for tests and simulations of whatever is built on `RaftNode`. */
export * from './testing/memory-network.js';
export * from './testing/memory-storage.js';
