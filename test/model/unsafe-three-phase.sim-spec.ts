import { describe, expect, it } from '@jest/globals';
import { runPartition } from '../../apps/lab/src/unsafe-3pc/index.js';
import { Explorer, walk } from './explorer.js';
import { formatCounterexample, formatReport } from './report.js';
import { isUnanimous, runPartitionSchedule } from './three-phase/partition-schedule.js';
import { UnsafeThreePhaseWorld } from './unsafe-three-phase-world.js';

const COMMAND = 'npm run model -- --protocol unsafe-3pc';

describe("the textbook's three-phase commit", () => {
  for (const branches of [2, 3]) {
    it(`is found to diverge with ${branches} branches`, () => {
      const world = new UnsafeThreePhaseWorld(branches);
      const report = new Explorer(world, { now: () => performance.now() }).explore();
      process.stdout.write(`unsafe 3PC, ${branches} branches: ${formatReport(report)}\n`);
      const { counterexample } = report;
      if (!counterexample) throw new Error('the textbook protocol was not found to be wrong');
      process.stdout.write(`${formatCounterexample(counterexample, `${COMMAND} --branches ${branches}`)}\n`);
      expect(counterexample.violation.rule).toBe('AC1');
      expect(counterexample.steps.filter((step) => step.includes('has waited too long'))).toHaveLength(2);
      expect(walk(new UnsafeThreePhaseWorld(branches), counterexample.path).violation).toEqual(
        counterexample.violation,
      );
    });
  }
});

describe('one schedule under both protocols: three branches, a partition, a dead coordinator', () => {
  it("ends differently at the branches under the textbook's", () => {
    const { states, diverged } = runPartition();
    expect(states).toEqual(['committed', 'aborted', 'aborted']);
    expect(diverged).toBe(true);
  });

  it("ends with one decision under Concordat's, which a majority makes while the network is cut", () => {
    const result = runPartitionSchedule();
    expect(result).toMatchObject({
      cut: [undefined, 'aborted', 'aborted'],
      ends: ['aborted', 'aborted', 'aborted'],
      logged: 'abort',
      broken: undefined,
    });
    expect(isUnanimous(result)).toBe(true);
    expect(isUnanimous({ ...result, cut: ['committed', 'aborted', 'aborted'] })).toBe(false);
    expect(isUnanimous({ ...result, logged: 'commit' })).toBe(false);
    expect(isUnanimous({ ...result, broken: 'AC1' })).toBe(false);
  });
});
