import { parseArgs } from 'node:util';
import {
  describeProgress,
  describeResult,
  runMany,
  runOne,
  runWorkers,
  type Choices,
  type RunResult,
  type Simulator,
} from './seed-runner.js';

const DEFAULT_SEEDS = 500;

const OPTIONS = {
  seed: { type: 'string' },
  seeds: { type: 'string' },
  from: { type: 'string', default: '1' },
  step: { type: 'string', default: '1' },
  hours: { type: 'string' },
  workers: { type: 'string', default: '1' },
  'until-found': { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

const usageOf = ({ command, usage }: Simulator): string => `${command} [--seed N | --seeds COUNT | --hours N] [...]

  --seed N         run one seed and print its trace
  --seeds COUNT    run this many seeds (default ${DEFAULT_SEEDS}): --from N (default 1), then every --step N (default 1)
  --hours N        run this many simulated hours
  --workers N      use this many processes (default 1)
  --until-found    stop at the first seed that breaks a rule
  --json           print the result as one line of JSON
${usage}`;

/** A simulation as a program. Sets the exit code: 1 when a rule was broken, 2 for what cannot be understood. */
export async function runProgram(simulator: Simulator, parameters: readonly string[]): Promise<void> {
  try {
    process.exitCode = await run(simulator, parameters);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usageOf(simulator)}`);
    process.exitCode = 2;
  }
}

async function run(simulator: Simulator, parameters: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...parameters], options: { ...simulator.options, ...OPTIONS } });
  if (values.help) {
    process.stdout.write(usageOf(simulator));
    return 0;
  }
  const choices: Choices = Object.fromEntries(
    Object.entries(values).filter(([name]) => Object.hasOwn(simulator.options, name)),
  );
  if (values.seed !== undefined) return runOne(simulator, wholeNumber('seed', values.seed), choices);
  const hours = values.hours === undefined ? Infinity : positive('hours', values.hours);
  const fallback = hours === Infinity ? DEFAULT_SEEDS : Infinity;
  const options = {
    from: wholeNumber('from', values.from),
    step: wholeNumber('step', values.step),
    seeds: values.seeds === undefined ? fallback : wholeNumber('seeds', values.seeds),
    hours,
    stopsAtFirst: values['until-found'],
    choices,
  };
  const startedAt = performance.now();
  const progress = (result: RunResult): void => {
    if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
    else process.stderr.write(`${describeProgress(result)}\n`);
  };
  const workers = wholeNumber('workers', values.workers);
  const result = await (workers > 1
    ? runWorkers(process.argv[1]!, options, workers, progress)
    : runMany(simulator, options, progress));
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
  const told = `${describeResult(simulator, choices, result)}\n${describeProgress(result)}, ${seconds} s`;
  process.stdout.write(`${values.json ? JSON.stringify(result) : told}\n`);
  return result.violations.length === 0 ? 0 : 1;
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new TypeError(`--${name} is a whole number, not "${text}"`);
  return value;
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0 && value < Infinity)) throw new TypeError(`--${name} is a number above 0, not "${text}"`);
  return value;
}
