export type { ClusterCalls, MemberOptions } from './cluster-calls.js';
export { aesCodec, type AesCodecOptions } from './codec/aes-codec.js';
export { gzipCodec, type GzipCodecOptions } from './codec/gzip-codec.js';
export {
  isEncodedPayload,
  type EncodedPayload,
  type PayloadCodec,
  type PayloadContext,
} from './codec/payload-codec.js';
export { PayloadCodecError, PayloadCodecs } from './codec/payload-codecs.js';
export * from './concordat-client.js';
export {
  defineParticipant,
  isOperationContract,
  operation,
  type ContractedWork,
  type OperationContract,
  type OperationDefinition,
  type OperationSettings,
  type OperationTypes,
  type OperationWork,
  type ParticipantContract,
  type ResultOf,
  type ResultsOf,
  type SchemaTypes,
  type UncheckedTypes,
  type WorkOptions,
} from './contracts/operation.js';
export { resultsOf } from './contracts/results.js';
export {
  describeIssues,
  type SchemaInput,
  type SchemaIssue,
  type SchemaOutput,
  type SchemaResult,
  type StandardSchema,
} from './contracts/standard-schema.js';
export * from './errors/errors.js';
export type { WatchAllOptions, WatchEvent, WatchOptions } from './events/watch.js';
export type { HeldLock } from './locks/held-lock.js';
export type { Forced, LeaseRequest, LockCalls, LockProof } from './locks/lock-calls.js';
export type { AcquireOptions, Locks } from './locks/locks.js';
export type * from './model/cluster.js';
export type { JsonValue } from './model/json.js';
export type * from './model/lock.js';
export type { Open } from './model/shape.js';
export type { FieldError, Page } from './model/shapes.js';
export type * from './model/transaction.js';
export type {
  BeginOptions,
  CommitOptions,
  EndOptions,
  HeldBranch,
  KeyOptions,
  ListQuery,
  PageQuery,
  PreparedBranch,
  ReadOptions,
  RulingRequest,
  TransactionOptions,
  WaitOptions,
} from './requests.js';
export type { ClientClock, ClientTimer } from './transport/clock.js';
export type { CallOptions, ClientOptions, HeaderRecord } from './transport/options.js';
export type { RetryOptions } from './transport/retry.js';
export type { Token } from './transport/token.js';
