import { statSync } from 'node:fs';
import { describe, expect, it, jest } from '@jest/globals';
import { describeCrashPoints } from './crash-points-suite.js';
import { useSystem } from './system.js';
import { describeTransactions } from './transactions-suite.js';

jest.setTimeout(180_000);

describe('a whole system on real PostgreSQL and direct streams, without a broker', () => {
  const system = useSystem('direct');

  it("keeps the coordinators' data to its owner", () => {
    for (const name of ['coordinator-1', 'coordinator-2', 'coordinator-3']) {
      expect([name, (statSync(system.process(name).dataDir!).mode & 0o777).toString(8)]).toEqual([name, '700']);
    }
  });

  describeTransactions(system);
  describeCrashPoints(system);
});
