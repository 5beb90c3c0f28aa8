import { Kafka, logLevel } from 'kafkajs';
import type { Settings } from './settings.js';

export const CHARGE_TOPIC = 'shop.charge';
const TOPICS = [CHARGE_TOPIC, `${CHARGE_TOPIC}.reply`]; // where Nest's client reads replies

/** Creates the topics of the shop, as far as they do not exist: a broker in production does not do it by itself. */
export async function ensureTopics({ kafkaBrokers }: Settings): Promise<void> {
  const kafka = new Kafka({ clientId: 'shop-topics', brokers: [...kafkaBrokers], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  try {
    await admin.createTopics({ topics: TOPICS.map((topic) => ({ topic })), waitForLeaders: true });
  } finally {
    await admin.disconnect();
  }
}
