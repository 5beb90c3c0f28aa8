import { describe, jest } from '@jest/globals';
import { describeCrashPoints } from './crash-points-suite.js';
import { useSystem } from './system.js';
import { describeTransactions } from './transactions-suite.js';

jest.setTimeout(180_000);

describe('a whole system on real PostgreSQL and direct streams, without a broker', () => {
  const system = useSystem('direct');

  describeTransactions(system);
  describeCrashPoints(system);
});
