import { Kafka, logLevel, type Consumer, type Producer } from 'kafkajs';
import { type GlobalTransactions } from '@concordat/nestjs';
import { joinProducer, joiningEachMessage } from '@concordat/nestjs/kafka';

export interface PlainKafkaOptions {
  readonly brokers: readonly string[];
  /** also the consumer group */
  readonly clientId: string;
  /** the topic that is consumed, if any */
  readonly consumes?: string | undefined;
}

/** A producer and a consumer of kafkajs that join, without Nest's clients. */
export class PlainKafka {
  private readonly producer: Producer;
  private readonly consumer: Consumer;

  constructor(
    private readonly transactions: GlobalTransactions,
    private readonly options: PlainKafkaOptions,
  ) {
    const { clientId, brokers } = options;
    const kafka = new Kafka({ clientId, brokers: [...brokers], logLevel: logLevel.NOTHING });
    this.producer = kafka.producer({ idempotent: true });
    this.consumer = kafka.consumer({ groupId: `${clientId}.plain`, retry: { initialRetryTime: 50 } });
    joinProducer(this.producer, transactions);
  }

  /** Resolves when the consumer has its partitions. */
  async start(handle: (body: unknown) => Promise<void>): Promise<void> {
    await this.producer.connect();
    const { consumes } = this.options;
    if (consumes === undefined) return;
    const joined = new Promise((resolve) => this.consumer.on(this.consumer.events.GROUP_JOIN, resolve));
    await this.consumer.connect();
    await this.consumer.subscribe({ topic: consumes, fromBeginning: true });
    const eachMessage = joiningEachMessage(
      this.transactions,
      ({ message }) => handle(JSON.parse(String(message.value))),
      { propagation: 'MANDATORY' },
    );
    await this.consumer.run({ eachMessage });
    await joined;
  }

  async send(topic: string, body: unknown): Promise<void> {
    await this.producer.send({ topic, messages: [{ value: JSON.stringify(body) }] });
  }

  async stop(): Promise<void> {
    await this.producer.disconnect();
    await this.consumer.disconnect();
  }
}
