import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { silentLogger, type Logger } from '@concordat/foundation';
import { createCoordinator } from '../../bootstrap.js';
import { parseConfig, type Config } from '../../config.js';
import { engineModule, FakeCluster, FakeTransactions } from './fake-engine.js';
import { FakeLocks } from './fake-locks.js';

export interface TestNode {
  readonly app: NestFastifyApplication;
  readonly transactions: FakeTransactions;
  readonly locks: FakeLocks;
  readonly cluster: FakeCluster;
  /** `http://127.0.0.1:<port>`, or https; listens on a free port when first called */
  listen(): Promise<string>;
}

const ENVIRONMENT = {
  CONCORDAT_NODE_ID: '1',
  CONCORDAT_PEERS: '1=127.0.0.1:9081/127.0.0.1:8081',
  CONCORDAT_DATA_DIR: 'unused',
  KAFKA_BROKERS: '127.0.0.1:9092',
} as const;

export function testConfig(environment: Readonly<Record<string, string>> = {}): Config {
  const result = parseConfig({ ...ENVIRONMENT, ...environment });
  if (!result.ok) throw new TypeError(JSON.stringify(result.problems));
  return result.config;
}

/** A coordinator whose engine is a fake; everything above it is real. */
export async function createTestNode(
  environment: Readonly<Record<string, string>> = {},
  logger: Logger = silentLogger,
): Promise<TestNode> {
  const transactions = new FakeTransactions();
  const locks = new FakeLocks();
  const cluster = new FakeCluster();
  const config = testConfig(environment);
  const app = await createCoordinator({
    config,
    logger,
    onFatal: (error) => {
      throw error;
    },
    engine: engineModule(transactions, locks, cluster),
  });
  await app.init();
  await app.getHttpAdapter().getInstance().ready();
  return {
    app,
    transactions,
    locks,
    cluster,
    async listen() {
      if (!app.getHttpServer().listening) await app.listen(0, '127.0.0.1');
      const address = app.getHttpServer().address();
      const scheme = config.tls ? 'https' : 'http';
      return `${scheme}://127.0.0.1:${typeof address === 'object' && address ? address.port : ''}`;
    },
  };
}
