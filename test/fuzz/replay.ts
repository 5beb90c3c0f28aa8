import { SeededRandom } from '@concordat/foundation';

export const FUZZ_SEED = Number(process.env['FUZZ_SEED'] ?? 20_260_505);

/** As many as issue and documentation promise; fewer only for whoever looks for a failure. */
export const MESSAGES_PER_SIDE = Number(process.env['FUZZ_MESSAGES'] ?? 100_000);

/** Runs one world after the other, each from a seed of its own; what goes wrong is told with the way to see it again. */
export async function eachWorld(
  name: string,
  count: number,
  run: (random: SeededRandom) => Promise<void>,
): Promise<void> {
  const only = process.env['FUZZ_WORLD'];
  const seeds = new SeededRandom(FUZZ_SEED);
  for (let world = 0; world < count; world++) {
    const random = seeds.fork();
    if (only !== undefined && Number(only) !== world) continue;
    try {
      await run(random);
    } catch (cause) {
      const replay = `FUZZ_SEED=${FUZZ_SEED} FUZZ_WORLD=${world} npm run jest -- --selectProjects simulation -- test/fuzz/${name}`;
      throw new Error(`world ${world}: ${cause instanceof Error ? cause.message : String(cause)}; replay: ${replay}`, {
        cause,
      });
    }
  }
}
