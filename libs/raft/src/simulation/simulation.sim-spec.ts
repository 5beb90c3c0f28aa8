import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { describeViolation, runInProcess, type RunResult } from './runner.js';
import { addTotals, describeTotals, hoursOf, sumOf, type TotalsByFamily } from './report.js';
import { simulate } from './simulation.js';
import { CompiledCopy } from './testing/compiled-copy.js';

const HOURS = 300;
const WORKERS = 2;
const SEEDS = 684;
const TIMEOUT_MS = 1_800_000;

/** The seeds of a worker of its own, in a process that no test framework slows down. */
function share(entry: string, position: number): Promise<RunResult> {
  return runInProcess(entry, {
    from: 1 + position,
    step: WORKERS,
    seeds: SEEDS / WORKERS,
    hours: Infinity,
    nodes: undefined,
    skipsLong: false,
    stopsAtFirst: false,
  });
}

describe('a simulated group', () => {
  let copy: CompiledCopy;

  beforeAll(async () => {
    copy = await CompiledCopy.make();
  });

  afterAll(async () => {
    await copy.remove();
  });

  it(
    `keeps every rule for ${HOURS} hours of faults, and recovers from them`,
    async () => {
      const results = await Promise.all(Array.from({ length: WORKERS }, (_, position) => share(copy.entry, position)));
      const totals: TotalsByFamily = {};
      for (const result of results) addTotals(totals, result.totals);
      process.stdout.write(`${describeTotals(totals)}\n`);
      const violations = results.flatMap((result) => result.violations);
      expect(violations.map((report) => describeViolation(report, undefined))).toEqual([]);
      const sum = sumOf(totals);
      expect(hoursOf(sum)).toBeGreaterThanOrEqual(HOURS);
      // Enough of everything has happened for the checks to mean something.
      for (const [name, count] of Object.entries(sum.counts))
        expect({ name, isThere: count > 0 }).toEqual({ name, isThere: true });
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
