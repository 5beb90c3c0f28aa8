import { describe, expect, it } from '@jest/globals';
import { SABOTAGES } from './sabotage.js';
import { SimulationFailure, simulate } from './simulation.js';

const SEEDS = Number(process.env['SIM_SEEDS'] ?? 500);
const REPLAYED = process.env['SIM_SEED'];
const SEEDS_PER_TEST = 50;

describe('the whole system in one process', () => {
  if (REPLAYED !== undefined) {
    it(`replays seed ${REPLAYED}`, async () => {
      await simulate({ seed: Number(REPLAYED), print: (line) => process.stdout.write(`${line}\n`) });
    }, 60_000);
    return;
  }

  const rulings: Record<string, number> = {};

  for (let first = 1; first <= SEEDS; first += SEEDS_PER_TEST) {
    const last = Math.min(SEEDS, first + SEEDS_PER_TEST - 1);
    it(`keeps every rule under the faults of seeds ${first} to ${last}`, async () => {
      for (let seed = first; seed <= last; seed++) {
        const report = await simulate({ seed });
        for (const [what, count] of Object.entries(report.rulings)) rulings[what] = (rulings[what] ?? 0) + count;
      }
    }, 300_000);
  }

  it('has had operators do all that they can do', () => {
    process.stdout.write(`what operators did in ${SEEDS} seeds: ${JSON.stringify(rulings)}\n`);
    if (SEEDS >= 100) expect(Object.keys(rulings).sort()).toEqual(['branch-ruled', 'by hand', 'decided', 'forgotten']);
  });

  it('is deterministic: a seed gives the same run again', async () => {
    for (const seed of [1, 2, 3]) expect(await simulate({ seed })).toEqual(await simulate({ seed }));
  }, 60_000);
});

describe('the checker itself', () => {
  const limit = REPLAYED === undefined ? 500 : 0;
  for (const sabotage of limit > 0 ? SABOTAGES : []) {
    it(`finds: ${sabotage}`, async () => {
      await expect(findSabotage(sabotage, limit)).resolves.toBeLessThanOrEqual(limit);
    }, 300_000);
  }
});

/** The first seed in which a mistake is found. */
async function findSabotage(sabotage: (typeof SABOTAGES)[number], limit: number): Promise<number> {
  for (let seed = 1; seed <= limit; seed++) {
    try {
      await simulate({ seed, sabotage });
    } catch (error) {
      if (error instanceof SimulationFailure) return seed;
      throw error;
    }
  }
  return Infinity;
}
