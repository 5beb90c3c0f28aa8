import { describe, expect, it } from '@jest/globals';
import { ClusterSimulation } from './cluster-simulation.js';
import type { SimulationReport } from './cluster-simulation.js';

const REPLAY_SEED = process.env['RAFT_SEED'];
const SEEDS_PER_SIZE = Number(process.env['RAFT_SEEDS'] ?? 150);
const PER_TEST_TIMEOUT_MS = 120_000;

function seeds(firstSeed: number): number[] {
  if (REPLAY_SEED !== undefined) return [Number(REPLAY_SEED)];
  return Array.from({ length: SEEDS_PER_SIZE }, (_, position) => firstSeed + position);
}

async function simulate(seed: number, size: number): Promise<SimulationReport> {
  try {
    return await new ClusterSimulation(seed, size).run();
  } catch (error) {
    const command = `RAFT_SEED=${seed} npm run jest -- --selectProjects unit -t '${size} nodes' cluster-simulation`;
    throw new Error(`seed ${seed} with ${size} nodes failed; replay: ${command}`, { cause: error });
  }
}

describe('a simulated group', () => {
  it.each([
    { size: 3, firstSeed: 1 },
    { size: 5, firstSeed: 100_001 },
  ])(
    'of $size nodes stays safe through crashes, partitions and a bad network, and recovers',
    async ({ size, firstSeed }) => {
      const totals = { committed: 0, crashes: 0, partitions: 0, snapshotsInstalled: 0, leaders: 0, reads: 0 };
      for (const seed of seeds(firstSeed)) {
        const report = await simulate(seed, size);
        for (const key of Object.keys(totals) as (keyof typeof totals)[]) totals[key] += report[key];
      }
      // Enough of everything happened for the checks to mean something.
      for (const total of Object.values(totals)) expect(total).toBeGreaterThan(0);
    },
    PER_TEST_TIMEOUT_MS,
  );

  it('runs the same way from the same seed', async () => {
    const first = await simulate(42, 3);
    expect(await simulate(42, 3)).toEqual(first);
  });
});
