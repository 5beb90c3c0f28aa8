export {
  PostgresSetupError,
  ForbiddenStatementError,
  SelfBlockedError,
  type PostgresSetupErrorCode,
} from './errors.js';
export { describeUrl } from './connections/client-options.js';
export { postgresConnection } from './connections/connection-config.js';
export { SSL_MODES, tlsFault } from './connections/ssl-mode.js';
export { examineDatabase, type Examination, type ExaminationOptions } from './inspection/examine-database.js';
export type { Migrated } from './migrations/apply-migrations.js';
export { migrateLedger, type LedgerMigrationOptions } from './migrations/migrate-ledger.js';
export { runtimeGrants } from './migrations/runtime-grants.js';
export type { BranchClient } from './session/guarded-client.js';
export { PostgresResourceManager, type PostgresResourceManagerPorts } from './postgres-resource-manager.js';
export type { PostgresContext } from './session/context.js';
export type {
  PostgresClientOptions,
  PostgresConnectionSettings,
  PostgresResourceManagerSettings,
  PostgresTls,
  SslMode,
} from './settings.js';
export {
  Asking,
  isWithin,
  joinDataSource,
  joinPool,
  savepointsOf,
  type CurrentWork,
  type JoinableWork,
  type JoiningOptions,
  type Leave,
  type NestedWork,
  type SavepointOwner,
  type Savepoints,
} from './joining/index.js';
