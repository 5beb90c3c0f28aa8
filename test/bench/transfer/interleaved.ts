import type { Measurement } from '../closed-loop.js';
import { RowRunner } from '../rows/row-runner.js';
import type { Row } from '../rows/steady-row.js';
import type { RunningSystem } from '../system.js';
import { summarise, type SystemRound } from './comparison.js';
import type { TransferLoad } from './load.js';
import type { SystemComparisons } from './tables.js';

export interface InterleavedOptions {
  readonly clients: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
}

/** The rows of one system at one number of clients. */
interface Recorded {
  readonly load: TransferLoad;
  readonly raw: Row<Measurement>[];
  readonly system: Row<SystemRound>[];
}

/**
 * Measures systems that are up at once, all but one of them paused. Within a round each takes a turn beside the bound
 * on its own databases, and each round begins with another one: a slow phase of the machine hits all alike.
 */
export async function compareSystems(
  systems: readonly RunningSystem[],
  loads: readonly TransferLoad[],
  { clients: counts, rounds, seconds }: InterleavedOptions,
): Promise<SystemComparisons[]> {
  const rows = new RowRunner(systems);
  const results = loads.map(({ link }) => ({ link, comparisons: [] as SystemComparisons['comparisons'][number][] }));
  for (const clients of counts) {
    const recorded = loads.map((load): Recorded => ({ load, raw: [], system: [] }));
    for (let round = 1; round <= rounds; round++) {
      for (const turn of inTurn(recorded, round)) await takeTurn(turn, rows, clients, seconds, `round ${round}`);
    }
    for (const [place, { raw, system }] of recorded.entries()) {
      results[place]!.comparisons.push(summarise({ clients, raw, system }));
    }
  }
  return results;
}

async function takeTurn(
  { load, raw, system }: Recorded,
  rows: RowRunner,
  clientCount: number,
  seconds: number,
  round: string,
): Promise<void> {
  const label = `${clientCount} clients, ${round}, ${load.link.padEnd(6)}`;
  await load.whileAwake(clientCount, async (clients) => {
    await clients.runIn();
    raw.push(await rows.ofBound(`${label} raw`, () => clients.bound(seconds), measurementText));
    system.push(
      await rows.ofSystem(
        `${label}    `,
        load.leadership,
        () => clients.measured(seconds),
        ({ measurement }) => measurementText(measurement),
      ),
    );
  });
}

/** Each round begins one further on. */
export function inTurn<Item>(items: readonly Item[], round: number): Item[] {
  const first = round % Math.max(1, items.length);
  return [...items.slice(first), ...items.slice(0, first)];
}

export function measurementText({ perSecond, p50Ms, aborted }: Measurement): string {
  const aborts = Object.entries(aborted).map(([reason, count]) => `, ${count} ${reason}`);
  return `${perSecond.toFixed(0)}/s, p50 ${p50Ms.toFixed(2)} ms${aborts.join('')}`;
}
