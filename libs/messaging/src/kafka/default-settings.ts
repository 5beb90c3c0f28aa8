import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { silentLogger, SystemClock, SystemRandom } from '@concordat/foundation';
import type { KafkaMessageBusOptions, KafkaSettings } from './kafka-client.js';

/** The options of a bus, with a value for each that was left out. */
export function withDefaults(options: KafkaMessageBusOptions): KafkaSettings {
  return {
    ...options,
    clientId: options.clientId ?? `concordat-${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`,
    logger: options.logger ?? silentLogger,
    clock: options.clock ?? new SystemClock(),
    random: options.random ?? new SystemRandom(),
    partitions: options.partitions ?? 1,
    replicationFactor: options.replicationFactor ?? -1,
    sessionTimeoutMs: options.sessionTimeoutMs ?? 6_000,
    stallTimeoutMs: options.stallTimeoutMs ?? 15_000,
    commitIntervalMs: options.commitIntervalMs ?? 1_000,
    fetchWaitMs: options.fetchWaitMs ?? 500,
    standingTimeoutMs: options.standingTimeoutMs ?? 5_000,
  };
}
