import type { Admin, Kafka } from 'kafkajs';
import { withTimeLimit } from '@concordat/foundation';
import {
  createClient,
  DISCONNECT_LIMIT_MS,
  errorTypes,
  REQUEST_TIMEOUT_MS,
  type KafkaSettings,
} from './kafka-client.js';

import { topicRights, type TopicRight } from './topic-rights.js';
import type { TopicAdmin, TopicDescription, TopicSettings } from './topic-setup.js';

/** `ConfigResourceTypes.TOPIC`, which kafkajs does not export to modules. */
const TOPIC_RESOURCE = 2;
const FORBIDDEN: ReadonlySet<string> = new Set(['TOPIC_AUTHORIZATION_FAILED', 'CLUSTER_AUTHORIZATION_FAILED']);

/** The error types of a refused request; kafkajs collects those of several topics in one error. */
function typesOf(error: unknown): string[] {
  const gathered = error instanceof Error && 'errors' in error && Array.isArray(error.errors) ? error.errors : [];
  return [error, ...(gathered as unknown[])].flatMap(errorTypes);
}

const isForbidden = (error: unknown): boolean => typesOf(error).some((type) => FORBIDDEN.has(type));

class KafkaTopicAdmin implements TopicAdmin {
  constructor(
    private readonly admin: Admin,
    private readonly client: Kafka,
  ) {}

  async describe(topic: string): Promise<TopicDescription | 'missing' | 'forbidden'> {
    try {
      const { topics } = await this.admin.fetchTopicMetadata({ topics: [topic] });
      const partitions = topics[0]?.partitions.length ?? 0;
      return { partitions, maximumMessageBytes: await this.maximumMessageBytes(topic) };
    } catch (error) {
      if (isForbidden(error)) return 'forbidden';
      if (typesOf(error).includes('UNKNOWN_TOPIC_OR_PARTITION')) return 'missing';
      throw error;
    }
  }

  async rights(topic: string): Promise<ReadonlySet<TopicRight> | undefined> {
    return (await topicRights(this.client, [topic])).get(topic);
  }

  create(topic: string, settings: TopicSettings): Promise<'created' | 'exists' | 'forbidden'> {
    return this.request(topic, settings, { waitForLeaders: true });
  }

  tryCreate(topic: string, settings: TopicSettings): Promise<'created' | 'exists' | 'forbidden'> {
    return this.request(topic, settings, { waitForLeaders: false, validateOnly: true });
  }

  private async request(
    topic: string,
    { partitions, replicationFactor, maximumMessageBytes }: TopicSettings,
    how: { readonly waitForLeaders: boolean; readonly validateOnly?: boolean },
  ): Promise<'created' | 'exists' | 'forbidden'> {
    try {
      const made = await this.admin.createTopics({
        ...how,
        timeout: REQUEST_TIMEOUT_MS,
        topics: [
          {
            topic,
            numPartitions: partitions,
            replicationFactor,
            configEntries: [{ name: 'max.message.bytes', value: String(maximumMessageBytes) }],
          },
        ],
      });
      return made ? 'created' : 'exists';
    } catch (error) {
      if (isForbidden(error)) return 'forbidden';
      throw error;
    }
  }

  /** Undefined without the right DescribeConfigs, which nothing else needs. */
  private async maximumMessageBytes(topic: string): Promise<number | undefined> {
    const name = 'max.message.bytes';
    try {
      const { resources } = await this.admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: TOPIC_RESOURCE, name: topic, configNames: [name] }],
      });
      const value = resources[0]?.configEntries.find((entry) => entry.configName === name)?.configValue;
      return value === undefined ? undefined : Number(value);
    } catch (error) {
      if (isForbidden(error)) return undefined;
      throw error;
    }
  }
}

/** For all requests of one check of the topics; each has its own limit and is repeated. */
const WORK_LIMIT_MS = 60_000;

/** Topics are checked rarely: the connection is closed after `work`. */
export async function withTopicAdmin<T>(settings: KafkaSettings, work: (admin: TopicAdmin) => Promise<T>): Promise<T> {
  const client = createClient(settings);
  const admin = client.admin({ retry: { retries: 2 } });
  try {
    const done = admin.connect().then(() => work(new KafkaTopicAdmin(admin, client)));
    return await withTimeLimit(settings.clock, WORK_LIMIT_MS, 'the check of the topics', done);
  } finally {
    const disconnected = withTimeLimit(settings.clock, DISCONNECT_LIMIT_MS, 'the disconnection', admin.disconnect());
    await disconnected.catch(() => undefined);
  }
}
