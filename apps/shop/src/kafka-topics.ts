import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '@concordat/foundation';
import { kafkaSecurityOptions } from '@concordat/nestjs';
import { Kafka, logLevel, type Admin } from 'kafkajs';
import type { Settings } from './settings.js';

export const CHARGE_TOPIC = 'shop.charge';
const READY_TIMEOUT_MS = 30_000;
const POLL_MS = 100;
const TOPICS = [CHARGE_TOPIC, `${CHARGE_TOPIC}.reply`]; // where Nest's client reads replies

/** Creates the topics of the shop, as far as they do not exist: a broker in production does not do it by itself. */
export async function ensureTopics({ kafkaBrokers, kafkaSecurity }: Settings, logger: Logger): Promise<void> {
  const kafka = new Kafka({
    clientId: 'shop-topics',
    brokers: [...kafkaBrokers],
    logLevel: logLevel.NOTHING,
    ...kafkaSecurityOptions(kafkaSecurity, logger),
  });
  const admin = kafka.admin();
  await admin.connect();
  try {
    await admin.createTopics({ topics: TOPICS.map((topic) => ({ topic })), waitForLeaders: false });
    await untilServed(admin);
  } finally {
    await admin.disconnect();
  }
}

/** Another service may just have created them: then the brokers do not know all of it yet. */
async function untilServed(admin: Admin): Promise<void> {
  const signal = AbortSignal.timeout(READY_TIMEOUT_MS);
  for (;;) {
    try {
      const { topics } = await admin.fetchTopicMetadata({ topics: TOPICS });
      const partitions = topics.flatMap((topic) => topic.partitions);
      if (partitions.length >= TOPICS.length && partitions.every(({ leader }) => leader >= 0)) return;
    } catch (error) {
      if (signal.aborted) throw error;
    }
    if (signal.aborted) throw new Error(`the broker does not serve ${TOPICS.join(' and ')}; see its log`);
    await delay(POLL_MS);
  }
}
