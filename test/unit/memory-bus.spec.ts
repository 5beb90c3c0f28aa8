import { SystemClock } from '@concordat/foundation';
import { DEAD_LETTER_TOPIC } from '@concordat/messaging';
import { MemoryBroker, MemoryMessageBus } from '@concordat/messaging/testing';
import { describeBrokerBus, SUITE } from '../conformance/broker-suite.js';

describeBrokerBus('memory', async () => {
  const broker = new MemoryBroker({ clock: new SystemClock({ unref: true }) });
  return {
    createBus: (cluster = SUITE.cluster) => new MemoryMessageBus(broker, { cluster }),
    publishRaw: async (topic, key, value) => broker.append([{ topic, key, value }]),
    deadLetters: async () =>
      broker.recordsOf(SUITE.topic(DEAD_LETTER_TOPIC)).map(({ key, value, headers }) => ({
        key: key?.toString(),
        value: value?.toString() ?? '',
        headers: headers ?? {},
      })),
    stop: async () => undefined,
  };
});
