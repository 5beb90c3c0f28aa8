import {
  KafkaMessageBus,
  type KafkaMessageBusOptions,
  type MessageBus,
  type NamespaceOptions,
} from '@concordat/messaging';

/** Settings of the Kafka bus; cluster and prefix are those of the module. */
export type KafkaBusOptions = Omit<KafkaMessageBusOptions, keyof NamespaceOptions>;

/** The bus of a participant on Apache Kafka, for the option `bus` of the module. */
export function kafkaBus(options: KafkaBusOptions): (namespace: NamespaceOptions) => MessageBus {
  return (namespace) => new KafkaMessageBus({ ...options, ...namespace });
}
