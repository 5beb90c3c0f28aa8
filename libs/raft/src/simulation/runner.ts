import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { isLong } from './profile.js';
import { addReport, addTotals, describeTotals, hoursOf, sumOf, type TotalsByFamily } from './report.js';
import { simulate, type SimulationReport } from './simulation.js';

export interface RunOptions {
  readonly from: number;
  /** from one seed to the next */
  readonly step: number;
  /** ends after this many seeds … */
  readonly seeds: number;
  /** … or this many simulated hours */
  readonly hours: number;
  readonly nodes: number | undefined;
  /** skips the seeds of many hours */
  readonly skipsLong: boolean;
  readonly stopsAtFirst: boolean;
}

/** A worker's result, one line of JSON. */
export interface RunResult {
  readonly totals: TotalsByFamily;
  readonly violations: readonly SimulationReport[];
}

/** Further violations are only counted. */
const MAXIMUM_TOLD_VIOLATIONS = 10;

const print = (line: string): void => void process.stdout.write(`${line}\n`);

/** The command that runs a seed again, step by step. */
export function replayCommand(seed: number, nodes: number | undefined): string {
  return `npm run simulate -- raft --seed ${seed}${nodes === undefined ? '' : ` --nodes ${nodes}`} --trace`;
}

export function describeViolation({ seed, family, violation }: SimulationReport, nodes: number | undefined): string {
  return `seed ${seed} (${family}): ${violation?.rule}: ${violation?.what}\nreplay: ${replayCommand(seed, nodes)}`;
}

/** One seed in detail. @returns the exit code */
export async function runOne(seed: number, nodes: number | undefined, withTrace: boolean): Promise<number> {
  const report = await simulate({ seed, nodes, print: withTrace ? print : undefined });
  print(JSON.stringify(report, undefined, 2));
  if (!report.violation) return 0;
  print(describeViolation(report, nodes));
  return 1;
}

/** Seed after seed in this process. @returns the exit code */
export async function runMany(options: RunOptions, asJson: boolean): Promise<number> {
  const startedAt = performance.now();
  const totals: TotalsByFamily = {};
  const violations: SimulationReport[] = [];
  let simulatedMs = 0;
  for (let count = 0; count < options.seeds && simulatedMs < options.hours * 3_600_000; count++) {
    const seed = options.from + count * options.step;
    if (options.skipsLong && isLong(seed)) continue;
    const report = await simulate({ seed, nodes: options.nodes });
    simulatedMs += report.simulatedMs;
    addReport(totals, report);
    if (!report.violation) continue;
    violations.push(report);
    if (!asJson) print(describeViolation(report, options.nodes));
    if (options.stopsAtFirst || violations.length >= MAXIMUM_TOLD_VIOLATIONS) break;
  }
  if (asJson) print(JSON.stringify({ totals, violations } satisfies RunResult));
  else print(summary(totals, violations.length, startedAt));
  return violations.length === 0 ? 0 : 1;
}

function summary(totals: TotalsByFamily, violations: number, startedAt: number): string {
  const seconds = (performance.now() - startedAt) / 1000;
  const sum = sumOf(totals);
  return (
    `${describeTotals(totals)}\n${hoursOf(sum).toFixed(1)} simulated hours in ${seconds.toFixed(1)} s, ` +
    `${sum.runs} seeds, ${violations} of them break a rule`
  );
}

/** The same, divided among processes. @returns the exit code */
export async function runWorkers(options: RunOptions, workers: number): Promise<number> {
  const startedAt = performance.now();
  const shares = Array.from({ length: workers }, (_, position) => ({
    ...options,
    from: options.from + position * options.step,
    step: options.step * workers,
    seeds: options.seeds === Infinity ? Infinity : Math.ceil((options.seeds - position) / workers),
    hours: options.hours / workers,
  }));
  const results = await Promise.all(shares.map((share) => runInProcess(process.argv[1]!, share)));
  const totals: TotalsByFamily = {};
  for (const result of results) addTotals(totals, result.totals);
  const violations = results.flatMap((result) => result.violations);
  for (const report of violations) print(describeViolation(report, options.nodes));
  print(summary(totals, violations.length, startedAt));
  return violations.length === 0 ? 0 : 1;
}

/**
 * Runs seeds in a process of its own.
 *
 * @param entry the compiled main.js
 * @param timeoutMs ends a process that hangs
 * @throws Error when the process ends without a result
 */
export async function runInProcess(entry: string, options: RunOptions, timeoutMs?: number): Promise<RunResult> {
  const { from, step, seeds, hours, nodes, skipsLong, stopsAtFirst } = options;
  const parameters = ['--json', '--from', from, '--step', step];
  if (seeds !== Infinity) parameters.push('--seeds', seeds);
  if (hours !== Infinity) parameters.push('--hours', Math.ceil(hours));
  if (nodes !== undefined) parameters.push('--nodes', nodes);
  if (skipsLong) parameters.push('--storms');
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
