import Sequencer from '@jest/test-sequencer';

/**
 * The files that take longest, the longest first. Without a cache, as in a fresh clone, Jest begins with the largest
 * files, and a short one that uses a long suite would run last and alone.
 */
const LONGEST = [
  'test/packages/packages.e2e-spec.ts',
  'test/e2e/transactions-on-direct.e2e-spec.ts',
  'test/e2e/transactions-on-kafka.e2e-spec.ts',
  'test/e2e/secured-system.e2e-spec.ts',
  'apps/shop/src/shop.e2e-spec.ts',
  'test/conformance/kafka-bus.e2e-spec.ts',
  'test/packages/testing.e2e-spec.ts',
  'test/packages/quick-start.e2e-spec.ts',
  'test/e2e/transactions-on-both.e2e-spec.ts',
  'test/e2e/sdk-http.e2e-spec.ts',
  'libs/raft/src/raft-processes.e2e-spec.ts',
];

const rankOf = (test) => {
  const rank = LONGEST.findIndex((file) => test.path.endsWith(`/${file}`));
  return rank === -1 ? LONGEST.length : rank;
};

export default class LongestFirst extends Sequencer {
  async sort(tests) {
    const sorted = await super.sort(tests);
    return [...sorted].sort((a, b) => rankOf(a) - rankOf(b)); // stable: the rest stays in Jest's order
  }
}
