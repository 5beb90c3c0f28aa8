export * from './bus.js';
export type { MessageAuthenticity, MessageSender } from './contract/authenticity.js';
export * from './contract/access.js';
export * from './contract/codec.js';
export * from './contract/dead-letter.js';
export * from './contract/errors.js';
export * from './failpoint-bus.js';
export { brokerFault, type BrokerAccess, type BrokerFault } from './kafka/broker-fault.js';
export * from './kafka/inspection.js';
export * from './kafka/kafka-bus.js';
export type { KafkaMessageBusOptions } from './kafka/kafka-client.js';
export {
  kafkaSecurityOptions,
  SASL_MECHANISMS,
  type KafkaSecurity,
  type SaslMechanism,
  type SecretSource,
} from './kafka/security.js';
export { checkKafka, KAFKA_VARIABLES, kafkaSecurity } from './kafka/security-variables.js';
export type { TopicFinding } from './kafka/topic-setup.js';
export { noDeadLetters, type DeadLetterCounts } from './contract/intake.js';
export * from './contract/namespace.js';
export { DEFAULT_SEND_QUEUE_LIMITS, type SendQueueLimits } from './send-queue.js';
export { messageSchemas } from './contract/schemas.js';
export * from './contract/topics.js';
export * from './contract/unsendable-report.js';
export * from './signatures/index.js';
export * from './both-roads.js';
export * from './direct/coordinator-end.js';
export { DirectBus, type DirectBusOptions } from './direct/direct-bus.js';
export type { CoordinatorStatus } from './direct/handshake.js';
export * from './direct/participant-end.js';
export {
  DEFAULT_STREAM_LIMITS,
  type AttachSocket,
  type SocketEvents,
  type StreamLimits,
  type StreamSocket,
} from './direct/stream.js';
export * from './direct/tcp.js';
export type { LinkServerTls, LinkTls, StreamIdentity } from './direct/tls.js';
