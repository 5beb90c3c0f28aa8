/** In-memory ports for tests and simulations of whatever is built on `RaftNode`. */
export * from './memory-network.js';
export * from './memory-storage.js';
