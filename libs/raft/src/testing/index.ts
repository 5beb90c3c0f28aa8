/**
 * For tests and simulations of what is built on Raft: ports in memory, certificates, histories of clients and the
 * check that they are linearizable.
 */
export * from '../driver/testing/memory-network.js';
export { MemoryStorage, type MemoryStorageOptions } from '../storage/memory-storage.js';
export { TestAuthority, type TestCertificateOptions } from '../transport/testing/test-authority.js';
export * from './history.js';
export * from './linearizability.js';
