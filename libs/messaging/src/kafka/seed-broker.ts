import type { Kafka } from 'kafkajs';

interface Versions {
  readonly minVersion: number;
  readonly maxVersion: number;
}

/** The broker that a client asks first. These are parts of kafkajs 2.2.4 that its types leave out. */
export interface SeedBroker {
  /** that it speaks, by the number of the request */
  readonly versions: Readonly<Record<number, Versions | undefined>> | null;
  readonly connectionPool: { send<Answer>(request: object): Promise<Answer> };
  /** Rejects with the first error that the broker tells of a group. */
  describeGroups(request: { readonly groupIds: readonly string[] }): Promise<unknown>;
}

interface ClusterInside {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  readonly brokerPool: { readonly seedBroker: SeedBroker };
}

type CreateCluster = (options: object) => ClusterInside;

const CREATE_CLUSTER = 'private:Kafka:createCluster';

/**
 * For requests that kafkajs does not make, or whose answer it hides. Undefined when this kafkajs has another inside. The
 * connection is closed after `work`.
 */
export async function withSeedBroker<T>(
  client: Kafka,
  work: (broker: SeedBroker) => Promise<T>,
): Promise<T | undefined> {
  const symbol = Object.getOwnPropertySymbols(client).find(({ description }) => description === CREATE_CLUSTER);
  const createCluster = symbol && (client as unknown as Readonly<Record<symbol, CreateCluster>>)[symbol];
  if (!createCluster) return undefined;
  const cluster = createCluster({ allowAutoTopicCreation: false });
  try {
    await cluster.connect();
    return await work(cluster.brokerPool.seedBroker);
  } finally {
    await cluster.disconnect();
  }
}
