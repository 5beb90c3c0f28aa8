import { formatTable, heading, type Bar, type Table } from '../report.js';
import { MARKS_LEGEND } from '../rows/steady-row.js';
import { BENCH_ACCOUNTS, nameOf, withSystems, type Link, type RunningSystem, type SystemVariant } from '../system.js';
import type { Accounts } from '../rest-client.js';
import { compareSystems } from './interleaved.js';
import { TransferLoad, type TransferKind } from './load.js';
import { measureOpenLoop, OPEN_LOOP_LEGEND, openLoopBars, openLoopTable } from './open-loop-rows.js';
import { securedBars, securedComparisons, securedTable } from './secured.js';
import { comparisonBars, comparisonTable, COSTS_LEGEND, costTable } from './tables.js';

export interface TransferOptions {
  /** of the systems' data */
  readonly results: string;
  readonly portOffset: number;
  readonly links: readonly (Link | SystemVariant)[];
  readonly clients: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
}

/** The same two rows for every client: raw asks one database after the other, the system gets declared keys. */
export const HOT_ROWS: TransferKind = {
  rawOrder: 'in-order',
  withKeys: true,
  accounts: () => ['bench-0', 'bench-0'],
};
export const RANDOM_ROWS: TransferKind = { rawOrder: 'parallel', withKeys: false, accounts: randomAccounts };

export function randomAccounts(): Accounts {
  const pick = (): string => `bench-${Math.floor(Math.random() * BENCH_ACCOUNTS)}`;
  return [pick(), pick()];
}

interface WorkloadResult {
  readonly result: unknown;
  readonly bars: readonly Bar[];
}

/** Bound and systems in a closed loop; prints tables, the first under this title. */
export async function runTransfers(
  title: string,
  kind: TransferKind,
  options: TransferOptions,
): Promise<WorkloadResult> {
  const compared = await withLoads(kind, options, (systems, loads) => compareSystems(systems, loads, options));
  const costs = compared.flatMap(({ link, comparisons }) =>
    comparisons.flatMap((one) => [
      heading(`Link ${link}, ${one.clients} clients: what one transfer costs`),
      textOf(costTable(one)),
    ]),
  );
  print([heading(title), textOf(comparisonTable(compared)), MARKS_LEGEND, ...costs, COSTS_LEGEND]);
  return { result: { legend: MARKS_LEGEND, systems: compared }, bars: comparisonBars(compared) };
}

/** Plain text against TLS, JWTs and signatures everywhere, on the same road and in turns; prints tables. */
export async function runSecured(options: TransferOptions): Promise<WorkloadResult> {
  const links = options.links.flatMap((one) => {
    const { link } = typeof one === 'string' ? { link: one } : one;
    return [{ link }, { link, isSecure: true }];
  });
  const compared = await withLoads(RANDOM_ROWS, { ...options, links }, (systems, loads) =>
    compareSystems(systems, loads, options),
  );
  const costs = compared.flatMap(({ link, comparisons }) =>
    comparisons.flatMap((one) => [
      heading(`Link ${link}, ${one.clients} clients: what one transfer costs`),
      textOf(costTable(one)),
    ]),
  );
  const secured = securedComparisons(compared);
  print([heading('Secured against plain'), textOf(securedTable(secured)), MARKS_LEGEND, ...costs, COSTS_LEGEND]);
  return { result: { legend: MARKS_LEGEND, secured, systems: compared }, bars: securedBars(secured) };
}

/** Systems at fixed rates, shares of what they reach in a closed loop; prints a table. */
export async function runOpenLoop(options: TransferOptions): Promise<WorkloadResult> {
  const [clients = 64, ...others] = options.clients;
  if (others.length > 0) throw new Error('open-loop takes one number of clients, those of its closed loop');
  const figures = await withLoads(RANDOM_ROWS, options, (systems, loads) =>
    measureOpenLoop(systems, loads, { ...options, clients }),
  );
  print([heading('Open loop'), textOf(openLoopTable(figures)), `${MARKS_LEGEND}\n\n${OPEN_LOOP_LEGEND}`]);
  return { result: { legend: MARKS_LEGEND, figures }, bars: openLoopBars(figures) };
}

/** Starts a system per link and warms it up; ends all afterwards. */
async function withLoads<Result>(
  kind: TransferKind,
  { links, results, portOffset, warmUpSeconds }: TransferOptions,
  work: (systems: readonly RunningSystem[], loads: readonly TransferLoad[]) => Promise<Result>,
): Promise<Result> {
  return await withSystems(results, links, { portOffset }, async (systems) => {
    const loads: TransferLoad[] = [];
    try {
      for (const [place, link] of links.entries()) {
        const name = nameOf(typeof link === 'string' ? { link } : link);
        loads.push(await TransferLoad.on(name, systems[place]!, kind, links.length > 1));
      }
      for (const load of loads) await load.warmUp(warmUpSeconds);
      return await work(systems, loads);
    } finally {
      for (const load of loads) await load.close();
    }
  });
}

function textOf({ header, rows }: Table): string {
  return formatTable(header, rows);
}

function print(parts: readonly string[]): void {
  process.stdout.write(`\n${parts.join('\n\n')}\n`);
}
