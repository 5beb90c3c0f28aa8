export {
  PostgresSetupError,
  ForbiddenStatementError,
  SelfBlockedError,
  type PostgresSetupErrorCode,
} from './errors.js';
export { describeUrl } from './inspection/connection-faults.js';
export { examineDatabase, type Examination, type ExaminationOptions } from './inspection/examine-database.js';
export type { BranchClient } from './session/guarded-client.js';
export { PostgresResourceManager, type PostgresResourceManagerPorts } from './postgres-resource-manager.js';
export type { PostgresContext } from './session/context.js';
export type { PostgresResourceManagerSettings } from './settings.js';
export {
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
