import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  CompiledProgram,
  describeTotals,
  describeViolation,
  EVERY_SEED,
  hoursOf,
  runWorkers,
  sumOf,
} from '@concordat/foundation/testing';
import { RAFT_SIMULATOR, simulate } from './simulation.js';
import { RAFT_PROGRAM } from './testing/program.js';

/** Of `npm run test:nightly` all, otherwise what fits into the suite. */
const { HOURS, SEEDS } =
  process.env['CONCORDAT_NIGHTLY'] === '1' ? { HOURS: 300, SEEDS: 684 } : { HOURS: 75, SEEDS: 180 };
const WORKERS = 2;
const TIMEOUT_MS = 1_800_000;

describe('a simulated group', () => {
  let program: CompiledProgram;

  beforeAll(async () => {
    program = await CompiledProgram.make(RAFT_PROGRAM);
  });

  afterAll(() => program.remove());

  it(
    `keeps every rule for ${HOURS} hours of faults, and recovers from them`,
    async () => {
      const entry = await program.copy();
      const { totals, violations } = await runWorkers(entry, { ...EVERY_SEED, seeds: SEEDS }, WORKERS);
      process.stdout.write(`${describeTotals(totals)}\n`);
      expect(violations.map((broken) => describeViolation(RAFT_SIMULATOR, {}, broken))).toEqual([]);
      const sum = sumOf(totals);
      expect(hoursOf(sum)).toBeGreaterThanOrEqual(HOURS);
      // Enough of everything has happened for the checks to mean something.
      for (const [heading, counts] of Object.entries(sum.counts))
        for (const [name, count] of Object.entries(counts))
          expect({ heading, name, isThere: count > 0 }).toEqual({ heading, name, isThere: true });
    },
    TIMEOUT_MS,
  );

  it.each([1, 2, 3, 5, 8])('runs the same way again from seed %i', async (seed) => {
    const first = await simulate({ seed });
    expect(await simulate({ seed })).toEqual(first);
  });

  it('begins with as many nodes as it is told', async () => {
    for (const nodes of [1, 2, 3, 4, 5, 7]) expect((await simulate({ seed: 14, nodes })).violation).toBeUndefined();
  });
});
