import { startLocalSystem } from './local-system.js';

/** A real broker that belongs to one test. */
export interface TestKafka {
  readonly brokers: readonly string[];
  /** kill -9 */
  kill(): Promise<void>;
  /** Starts it again after `kill`, on the same port and data; resolves when it is ready. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts a broker with temporary data on a free port. Always one of its own, also where `KAFKA_BROKERS` names
 * another: it is going to be killed.
 *
 * @param properties lines for its configuration, beside those of the local system
 */
export async function startKafka(properties: readonly string[] = []): Promise<TestKafka> {
  const { KAFKA_BROKERS: _others, ...inherited } = process.env;
  const environment = { ...inherited, KAFKA_PROPERTIES: properties.join('\n') };
  const system = await startLocalSystem({ only: ['kafka'], environment });
  return {
    brokers: system.kafkaBrokers,
    kill: async () => {
      const { processes } = await system.systemFile();
      const broker = processes.find(({ role }) => role === 'kafka');
      if (!broker) throw new Error('the local system has no broker');
      process.kill(broker.pid, 'SIGKILL');
    },
    restart: async () => void (await system.restart('kafka')),
    stop: () => system.stop(),
  };
}
