import { KafkaMessageBus, type KafkaMessageBusOptions, type MessageBus } from '@concordat/messaging';

/** The bus of a participant on Apache Kafka, for the option `bus` of the module. */
export function kafkaBus(options: KafkaMessageBusOptions): () => MessageBus {
  return () => new KafkaMessageBus(options);
}
