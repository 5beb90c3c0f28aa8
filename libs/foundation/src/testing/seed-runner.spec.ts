import { describe, expect, it } from '@jest/globals';
import { describeTotals, sumOf, type SimulationReport } from './report.js';
import { describeViolation, EVERY_SEED, runMany, type RunOptions, type Simulator } from './seed-runner.js';

/** Every third seed breaks a rule, seed 5 is beyond the simulation; even seeds are calm. */
const SIMULATOR: Simulator = {
  command: 'npm run simulate -- toy',
  usage: '',
  options: { calm: { type: 'boolean' }, nodes: { type: 'string' } },
  prepare: ({ calm }) => ({
    skips: (seed) => calm === true && seed % 2 === 1,
    simulate: async (seed): Promise<SimulationReport> => {
      if (seed === 5) throw new TypeError('no such seed');
      return {
        seed,
        family: seed % 2 === 0 ? 'calm' : 'storm',
        violation: seed % 3 === 0 ? 'money is lost' : undefined,
        fingerprint: '0',
        simulatedMs: 1_800_000,
        steps: 10,
        counts: { run: { leaders: 1 }, faults: { constructor: seed } },
      };
    },
  }),
};

const seedsIn = async (options: Partial<RunOptions>) => {
  const { violations, totals } = await runMany(SIMULATOR, { ...EVERY_SEED, ...options });
  return { broken: violations.map(({ seed }) => seed), runs: sumOf(totals).runs };
};

describe('a run of seeds', () => {
  it('tells of broken rules, and of a simulation that failed', async () => {
    expect(await seedsIn({ seeds: 9 })).toEqual({ broken: [3, 5, 6, 9], runs: 9 });
  });

  it('ends after so many hours, at the first broken rule, or at ten', async () => {
    expect(await seedsIn({ hours: 1 })).toEqual({ broken: [], runs: 2 });
    expect(await seedsIn({ stopsAtFirst: true })).toEqual({ broken: [3], runs: 3 });
    expect((await seedsIn({})).broken).toHaveLength(10);
  });

  it('takes every so many-th seed, and leaves out what its choices leave out', async () => {
    expect(await seedsIn({ from: 3, step: 3, seeds: 4 })).toEqual({ broken: [3, 6, 9, 12], runs: 4 });
    expect(await seedsIn({ seeds: 9, choices: { calm: true } })).toEqual({ broken: [6], runs: 4 });
  });

  it('sums up by family, whatever the names of what was counted', async () => {
    const { totals } = await runMany(SIMULATOR, { ...EVERY_SEED, seeds: 4 });
    expect(describeTotals(totals).split('\n')).toEqual([
      expect.stringMatching(/^family +runs +hours +steps +leaders$/),
      expect.stringMatching(/^storm +2 +1\.0 +20 +2$/),
      expect.stringMatching(/^calm +2 +1\.0 +20 +2$/),
      expect.stringMatching(/^all +4 +2\.0 +40 +4$/),
      'faults: constructor 10',
    ]);
  });

  it('gives the command that replays a seed', () => {
    const choices = { calm: false, nodes: '3' };
    expect(describeViolation(SIMULATOR, choices, { seed: 9, rule: 'money is lost' })).toBe(
      'seed 9: money is lost\nreplay: npm run simulate -- toy --seed 9 --nodes 3',
    );
  });
});
