import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import {
  addTotals,
  describeTotals,
  hoursOf,
  sumOf,
  totalsOf,
  type SimulationReport,
  type TotalsByFamily,
} from './report.js';

/** What a simulation is asked for beside its seeds, as on the command line: by option, without its dashes. */
export type Choices = Readonly<Record<string, string | boolean | undefined>>;

/** A simulation, as the runner knows it. */
export interface Simulator {
  /** how people start it; the options come behind it */
  readonly command: string;
  /** its own options, in lines like those of the runner */
  readonly usage: string;
  /** its own options: whether each takes a value */
  readonly options: Readonly<Record<string, { readonly type: 'string' | 'boolean' }>>;
  /** @throws TypeError with a sentence about a choice that there is not */
  prepare(choices: Choices): PreparedSimulator;
}

export interface PreparedSimulator {
  /** Whether the choices leave out a seed. */
  skips?(seed: number): boolean;
  /** One run. @param print where the lines of its trace go */
  simulate(seed: number, print?: (line: string) => void): Promise<SimulationReport>;
}

export interface RunOptions {
  readonly from: number;
  /** from one seed to the next */
  readonly step: number;
  /** ends after so many seeds … */
  readonly seeds: number;
  /** … or so many simulated hours */
  readonly hours: number;
  readonly stopsAtFirst: boolean;
  readonly choices: Choices;
}

/** The seeds from 1 on. */
export const EVERY_SEED: RunOptions = {
  from: 1,
  step: 1,
  seeds: Infinity,
  hours: Infinity,
  stopsAtFirst: false,
  choices: {},
};

export interface BrokenRule {
  readonly seed: number;
  readonly rule: string;
}

/** What a worker writes as one line of JSON: now and then, and at its end. */
export interface RunResult {
  readonly isComplete: boolean;
  readonly totals: TotalsByFamily;
  readonly violations: readonly BrokenRule[];
}

type Progress = (result: RunResult) => void;

/** Beyond so many broken rules a run ends: they are likely the same one. */
const MAXIMUM_VIOLATIONS = 10;
const PROGRESS_INTERVAL_MS = 10_000;

/** One seed, told in full. @returns the exit code */
export async function runOne(simulator: Simulator, seed: number, choices: Choices): Promise<number> {
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  const report = await simulator.prepare(choices).simulate(seed, print);
  print(JSON.stringify(report, undefined, 2));
  if (report.violation === undefined) return 0;
  print(describeViolation(simulator, choices, { seed, rule: report.violation }));
  return 1;
}

/** Seed after seed in this process. */
export async function runMany(simulator: Simulator, options: RunOptions, progress?: Progress): Promise<RunResult> {
  const prepared = simulator.prepare(options.choices);
  let totals: TotalsByFamily = {};
  const violations: BrokenRule[] = [];
  let simulatedMs = 0;
  let toldAt = performance.now();
  for (let count = 0; count < options.seeds && simulatedMs < options.hours * 3_600_000; count++) {
    const seed = options.from + count * options.step;
    if (prepared.skips?.(seed)) continue;
    const report = await runSafely(prepared, seed);
    totals = addTotals(totals, totalsOf(report));
    simulatedMs += report.simulatedMs;
    if (report.violation !== undefined) violations.push({ seed, rule: report.violation });
    if (violations.length >= (options.stopsAtFirst ? 1 : MAXIMUM_VIOLATIONS)) break;
    if (performance.now() - toldAt < PROGRESS_INTERVAL_MS) continue;
    toldAt = performance.now();
    progress?.({ isComplete: false, totals, violations });
  }
  return { isComplete: true, totals, violations };
}

/** What is no broken rule but a crash of the simulation is told as well: with its seed it can be seen again. */
async function runSafely(prepared: PreparedSimulator, seed: number): Promise<SimulationReport> {
  try {
    return await prepared.simulate(seed);
  } catch (error) {
    const violation = `the simulation ended in an error: ${error instanceof Error ? error.stack : String(error)}`;
    return { seed, family: 'failed', violation, fingerprint: '', simulatedMs: 0, steps: 0, counts: { run: {} } };
  }
}

/** The same, shared out to processes of their own. @param entry the compiled program */
export async function runWorkers(
  entry: string,
  options: RunOptions,
  workers: number,
  progress?: Progress,
): Promise<RunResult> {
  const shares = Array.from({ length: workers }, (_, position) => ({
    ...options,
    from: options.from + position * options.step,
    step: options.step * workers,
    seeds: options.seeds === Infinity ? Infinity : Math.ceil((options.seeds - position) / workers),
    hours: options.hours / workers,
  }));
  const results = shares.map((): RunResult => ({ isComplete: false, totals: {}, violations: [] }));
  await Promise.all(
    shares.map(async (share, position) => {
      results[position] = await runInProcess(entry, share, undefined, (result) => {
        results[position] = result;
        progress?.(together(results));
      });
    }),
  );
  return together(results);
}

/**
 * Runs seeds in a process of its own.
 *
 * @param entry the compiled program
 * @param timeoutMs ends a process that hangs
 * @throws Error when the process ends without a result
 */
export async function runInProcess(
  entry: string,
  options: RunOptions,
  timeoutMs?: number,
  progress?: Progress,
): Promise<RunResult> {
  const { from, step, seeds, hours, stopsAtFirst, choices } = options;
  const own = {
    from,
    step,
    seeds: seeds === Infinity ? undefined : seeds,
    hours: hours === Infinity ? undefined : hours,
    'until-found': stopsAtFirst,
  };
  const child = spawn(process.execPath, [entry, '--json', ...parametersOf(own), ...parametersOf(choices)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    ...(timeoutMs !== undefined && { timeout: timeoutMs }),
  });
  let last: RunResult | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    last = JSON.parse(line) as RunResult;
    if (!last.isComplete) progress?.(last);
  }
  if (!last?.isComplete) throw new Error(`the process for the seeds from ${from} ended without a result`);
  return last;
}

/** A broken rule, with the command that replays it. */
export function describeViolation({ command }: Simulator, choices: Choices, { seed, rule }: BrokenRule): string {
  return `seed ${seed}: ${rule}\nreplay: ${[command, ...parametersOf({ seed, ...choices })].join(' ')}`;
}

/** What came of a run, for a person. */
export function describeResult(simulator: Simulator, choices: Choices, { totals, violations }: RunResult): string {
  const told = violations.map((broken) => `${describeViolation(simulator, choices, broken)}\n`).join('');
  return `${told}${describeTotals(totals)}`;
}

export function describeProgress({ totals, violations }: RunResult): string {
  const sum = sumOf(totals);
  return `${sum.runs} seeds, ${hoursOf(sum).toFixed(1)} simulated hours, ${violations.length} broke a rule`;
}

function together(results: readonly RunResult[]): RunResult {
  return {
    isComplete: results.every(({ isComplete }) => isComplete),
    totals: results.map(({ totals }) => totals).reduce(addTotals),
    violations: results.flatMap(({ violations }) => violations),
  };
}

function parametersOf(options: Readonly<Record<string, string | number | boolean | undefined>>): string[] {
  return Object.entries(options).flatMap(([name, value]) => {
    if (value === undefined || value === false) return [];
    return value === true ? [`--${name}`] : [`--${name}`, String(value)];
  });
}
