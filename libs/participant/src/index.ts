export * from './nest/index.js';
export * from './postgres/index.js';
export {
  abstentionLimit,
  beginOf,
  describeChange,
  type DatabaseIdentity,
  type RecognisedDatabase,
} from './runtime/database-identity.js';
export * from './runtime/errors.js';
export { PARTICIPANT_CRASH_POINTS } from './runtime/participant-crash-points.js';
export { PARTICIPANT_FAILPOINTS, type ParticipantFailpoint } from './runtime/participant-failpoints.js';
export type * from './runtime/participant-metrics.js';
export * from './runtime/participant-runtime.js';
export * from './runtime/participant-runtime.types.js';
export type * from './runtime/resource-manager.js';
export { isClusterName } from '@concordat/commit-protocol';
export { DEFAULT_TOPIC_PREFIX, TOPIC_PREFIX_RULE, isParticipantName, isTopicPrefix } from '@concordat/messaging';
