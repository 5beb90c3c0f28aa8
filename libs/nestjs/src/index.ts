export type { ConnectionOptions } from './connection-name.js';
export * from './concordat-participant.module.js';
export * from './global/index.js';
export * from './concordat-participant.service.js';
export * from './concordat-transport.js';
export * from './locks/index.js';
export * from './options.js';
export {
  BranchRefusedFilter,
  TransactionOperation,
  type ContractedHandler,
  type ContractedOperationDecorator,
  type OperationSchema,
  type TransactionOperationOptions,
} from './transaction-operation.decorator.js';

// Re-exports what a service needs, so that it depends on this package alone.
export { isClusterName } from '@concordat/commit-protocol';
export { ConcordatClient } from '@concordat/client';
export {
  coordinatorFetch,
  readFilesAgain,
  tlsFiles,
  type TlsFilePaths,
  type TlsFiles,
  type TlsOption,
} from '@concordat/foundation';
export {
  DEFAULT_TOPIC_PREFIX,
  LINKS,
  TOPIC_PREFIX_RULE,
  type KafkaSecurity,
  type Link,
  type SignatureSettings,
  KAFKA_VARIABLES,
  SIGNATURE_VARIABLES,
  checkKafka,
  checkSignatures,
  kafkaSecurity,
  kafkaSecurityOptions,
  signatureSettings,
  isParticipantName,
  isTopicPrefix,
} from '@concordat/messaging';
export {
  ContextExpiredError,
  CurrentTransaction,
  GlobalConfigurationError,
  GlobalOutcomeUnknownError,
  GlobalTransactionAbortedError,
  GlobalTransactionMixedError,
  GlobalTransactions,
  HandleClosedError,
  InvalidContextError,
  NotBegunError,
  NotJoinedError,
  OutgoingCall,
  PROPAGATIONS,
  RollbackOnlyError,
  TransactionForbiddenError,
  TransactionRequiredError,
  bothBuses,
  directBus,
  joinAxios,
  joinFetch,
  kafkaBus,
  reasonsNotReady,
  type AxiosLike,
  type BusContext,
  type BusFactory,
  type CallAnswer,
  type Destination,
  type DirectBusOptions,
  type GlobalHook,
  type GlobalParticipantOptions,
  type GlobalTransactionOptions,
  type KafkaBusOptions,
  type ParticipantHealth,
  type ParticipantServiceOptions,
  type PostgresSource,
  type Propagation,
  type RetryOptions,
  type StrayBranch,
} from '@concordat/participant';
export {
  BranchAbstainsError,
  BranchRefusedError,
  ForbiddenStatementError,
  DEFAULT_PARTICIPANT_LIMITS,
  PARTICIPANT_FAILPOINTS,
  ParticipantConfigurationError,
  PostgresSetupError,
  postgresConnection,
  SSL_MODES,
  tlsFault,
  type BranchClient,
  type ParticipantAlert,
  type ParticipantFailpoint,
  type ParticipantLimits,
  type ParticipantMetrics,
  type PostgresClientOptions,
  type PostgresConnectionSettings,
  type PostgresContext,
  type PostgresResourceManagerSettings,
  type PostgresSetupErrorCode,
  type PostgresTls,
  type SslMode,
} from '@concordat/participant';
