import { describe, expect, it } from '@jest/globals';
import { SystemClock, silentLogger, type Address } from '@concordat/foundation';
import { DirectLink } from './direct-link.js';

async function addressOf(advertised: Address | undefined): Promise<string | undefined> {
  const listen = { host: '127.0.0.1', port: 0 };
  const clock = new SystemClock();
  const link = new DirectLink({ nodeId: 1, cluster: 'test', listen, advertised, clock, logger: silentLogger });
  expect(link.address).toBeUndefined();
  await link.open();
  const { address } = link;
  link.close();
  return address;
}

describe('the address for direct streams', () => {
  it('is the one on which the node listens', async () => {
    expect(await addressOf(undefined)).toMatch(/^127\.0\.0\.1:[1-9]\d*$/);
  });

  it('is another one where participants are to connect elsewhere', async () => {
    expect(await addressOf({ host: 'node-1.example', port: 7999 })).toBe('node-1.example:7999');
  });
});
