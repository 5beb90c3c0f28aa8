export * from './runtime/one-copy.js';
export * from './checks/index.js';
export { withPayloadCodecs } from './codec/coded-handlers.js';
export * from './global/index.js';
export * from './postgres/index.js';
export {
  abstentionLimit,
  beginOf,
  describeChange,
  type DatabaseIdentity,
  type RecognisedDatabase,
} from './runtime/database-identity.js';
export { BranchResults } from './runtime/branch-results.js';
export * from './runtime/errors.js';
export { HELD_GRACE_MS, type HeldBranch, type HeldBranchEnd } from './runtime/held-branch.js';
export type { HoldRequest } from './runtime/held-branches.js';
export { PARTICIPANT_FAILPOINTS, type ParticipantFailpoint } from './runtime/participant-failpoints.js';
export type * from './runtime/participant-metrics.js';
export * from './runtime/participant-runtime.js';
export * from './runtime/participant-runtime.types.js';
export type * from './runtime/resource-manager.js';
export { timeLeftMs, type TimeLimit } from './runtime/time-left.js';
export * from './service/index.js';
