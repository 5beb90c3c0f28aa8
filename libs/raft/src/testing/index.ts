/** For tests of what is built on Raft: histories of clients and the check that they are linearizable. */
export * from './history.js';
export * from './linearizability.js';
