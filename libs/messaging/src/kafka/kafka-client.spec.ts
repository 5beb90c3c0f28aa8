import { expect, it, jest } from '@jest/globals';
import { silentLogger } from '@concordat/foundation';
import { withDefaults } from './default-settings.js';

const { kafkajs, kafkajsFile } = await import('./kafkajs.js');
const load = jest.fn(kafkajs);
jest.unstable_mockModule('./kafkajs.js', () => ({ kafkajs: load, kafkajsFile }));
const { createClient } = await import('./kafka-client.js');

/** Nothing listens there. */
const NO_BROKER = '127.0.0.1:1';

it('loads nothing when kafkajs speaks, which it also does after its end', async () => {
  const lines: string[] = [];
  const logger = { ...silentLogger, debug: (line: string) => void lines.push(line) };
  const client = createClient(withDefaults({ cluster: 'test', brokers: [NO_BROKER], logger }));
  load.mockClear();
  const admin = client.admin();
  await expect(admin.connect()).rejects.toThrow('ECONNREFUSED');
  await admin.disconnect();
  expect(lines).toContainEqual(expect.stringContaining('kafkajs Connection: Connection error'));
  expect(load).not.toHaveBeenCalled();
});
