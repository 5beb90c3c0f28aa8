/**
 * A whole coordinator with its REST interface, for benchmarks with their own message bus. The service starts in
 * `main.ts`.
 */
export { authenticationFrom, type Authentication } from '../auth/authentication.js';
export { createApiToken, faultOfRequest } from '../auth/credentials/api-tokens.js';
export { createCoordinator } from '../bootstrap.js';
export { formatHelp, parseConfig } from '../config.js';
export { EngineModule } from '../engine.module.js';
export { runCoordinator, runFromEnvironment, type RunOptions } from './run.js';
export { RaftCluster } from '../cluster/raft-cluster.js';
export { TransactionManager } from '../transactions/transaction-manager.js';
