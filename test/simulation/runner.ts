import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { familyOf, type Family } from './pace.js';
import { addReport, addTotals, describeTotals, NO_TOTALS, type Totals } from './report.js';
import type { Sabotage } from './sabotage.js';
import { SimulationFailure, replayCommand, simulate } from './simulation.js';

export interface RunOptions {
  readonly from: number;
  /** from one seed to the next */
  readonly step: number;
  /** ends after so many seeds … */
  readonly seeds: number;
  /** … or so many simulated hours */
  readonly hours: number;
  /** leaves out the seeds of the other one */
  readonly family: Family | undefined;
  readonly calm: boolean | undefined;
  readonly sabotage: Sabotage | undefined;
  readonly stopsAtFirst: boolean;
}

export interface Violation {
  readonly seed: number;
  readonly rule: string;
}

/** What a worker writes at its end, as one line of JSON. */
export interface RunResult {
  readonly totals: Totals;
  readonly violations: readonly Violation[];
}

/** Beyond so many broken rules a run ends: they are likely the same one. */
const MAXIMUM_VIOLATIONS = 10;

const print = (line: string): void => void process.stdout.write(`${line}\n`);

/** One seed, told in full. @returns the exit code */
export async function runOne(seed: number, options: Pick<RunOptions, 'calm' | 'sabotage'>): Promise<number> {
  try {
    print(JSON.stringify(await simulate({ seed, ...optionsOf(options), print }), undefined, 2));
    return 0;
  } catch (error) {
    print(describe(seed, error));
    return 1;
  }
}

/** Seed after seed in this process. */
export async function runMany(options: RunOptions): Promise<RunResult> {
  const totals: Totals = structuredClone(NO_TOTALS);
  const violations: Violation[] = [];
  let count = 0;
  for (let seed = options.from; count < options.seeds; seed += options.step) {
    if (totals.simulatedMs >= options.hours * 3_600_000) break;
    count++;
    if (options.family !== undefined && familyOf(seed) !== options.family) continue;
    totals.seeds++;
    try {
      addReport(totals, await simulate({ seed, ...optionsOf(options) }));
    } catch (error) {
      violations.push({ seed, rule: describe(seed, error) });
      if (options.stopsAtFirst || violations.length >= MAXIMUM_VIOLATIONS) break;
    }
  }
  return { totals, violations };
}

/** The same, shared out to processes of their own. */
export async function runWorkers(entry: string, options: RunOptions, workers: number): Promise<RunResult> {
  const shares = Array.from({ length: workers }, (_, position) => ({
    ...options,
    from: options.from + position * options.step,
    step: options.step * workers,
    seeds: options.seeds === Infinity ? Infinity : Math.ceil((options.seeds - position) / workers),
    hours: options.hours / workers,
  }));
  const results = await Promise.all(shares.map((share) => runInProcess(entry, share)));
  const totals: Totals = structuredClone(NO_TOTALS);
  for (const result of results) addTotals(totals, result.totals);
  return { totals, violations: results.flatMap(({ violations }) => violations) };
}

/**
 * Runs seeds in a process of its own.
 *
 * @param entry the compiled main.js
 * @param timeoutMs ends a process that hangs
 * @throws Error when the process ends without a result
 */
export async function runInProcess(entry: string, options: RunOptions, timeoutMs?: number): Promise<RunResult> {
  const { from, step, seeds, hours, family, calm, sabotage, stopsAtFirst } = options;
  const parameters: (string | number)[] = ['--json', '--from', from, '--step', step];
  if (seeds !== Infinity) parameters.push('--seeds', seeds);
  if (hours !== Infinity) parameters.push('--hours', hours);
  if (family !== undefined) parameters.push('--family', family);
  if (sabotage !== undefined) parameters.push('--sabotage', sabotage);
  if (calm) parameters.push('--calm');
  if (stopsAtFirst) parameters.push('--until-found');
  const child = spawn(process.execPath, [entry, ...parameters.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    ...(timeoutMs !== undefined && { timeout: timeoutMs }),
  });
  let last = '';
  for await (const line of createInterface({ input: child.stdout })) last = line;
  if (last === '') throw new Error(`the process for the seeds from ${from} ended without a result`);
  return JSON.parse(last) as RunResult;
}

/** What came of a run, for a person. */
export function summaryOf({ totals, violations }: RunResult, startedAt: number): string {
  const seconds = (performance.now() - startedAt) / 1_000;
  const told = violations.map(({ rule }) => `${rule}\n`).join('');
  return `${told}${describeTotals(totals)}\n${violations.length} seeds broke a rule, ${seconds.toFixed(1)} s`;
}

function optionsOf({ calm, sabotage }: Pick<RunOptions, 'calm' | 'sabotage'>) {
  return { ...(calm !== undefined && { calm }), ...(sabotage && { sabotage }) };
}

/** Also what is no broken rule but a crash of the simulation: with a seed it can be seen again. */
function describe(seed: number, error: unknown): string {
  if (error instanceof SimulationFailure) return error.message;
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `seed ${seed} ended in an error: ${text}\nreplay: ${replayCommand(seed)}`;
}
