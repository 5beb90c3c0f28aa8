import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { FAMILIES } from './pace.js';
import { runMany, runOne, runWorkers, summaryOf } from './runner.js';
import { SABOTAGES } from './sabotage.js';

const USAGE = `npm run simulate -- [--seed N | --seeds COUNT | --hours N] [--from N] [--workers N] [...]

  --seed N         run one seed and print its trace
  --seeds COUNT    run this many seeds (default 500): --from N (default 1), then every --step N (default 1)
  --hours N        run this many simulated hours
  --workers N      use this many processes (default 1)
  --family NAME    run only seeds of this kind: ${FAMILIES.join(', ')}
  --calm           inject no faults
  --sabotage NAME  inject a bug: ${SABOTAGES.join(', ')}
  --until-found    stop at the first seed that breaks a rule
  --json           print the result as one line of JSON

npm run simulate -- raft [--help]   simulate the Raft library alone
`;

/** The simulation of the Raft library is a program of that library; it gets the rest of the arguments. */
const RAFT_SIMULATION = fileURLToPath(new URL('../../libs/raft/src/simulation/main.js', import.meta.url));

/** @returns the exit code: 1 when a rule was broken. Throws a sentence about what cannot be understood. */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      from: { type: 'string', default: '1' },
      step: { type: 'string', default: '1' },
      hours: { type: 'string' },
      workers: { type: 'string', default: '1' },
      family: { type: 'string' },
      calm: { type: 'boolean' },
      sabotage: { type: 'string' },
      'until-found': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const sabotage = SABOTAGES.find((name) => name === values.sabotage);
  if (values.sabotage !== undefined && !sabotage) throw new TypeError(`there is no sabotage "${values.sabotage}"`);
  const family = FAMILIES.find((name) => name === values.family);
  if (values.family !== undefined && !family) throw new TypeError(`there is no family "${values.family}"`);
  const { calm } = values;
  if (values.seed !== undefined) return runOne(wholeNumber('seed', values.seed), { calm, sabotage });
  const hours = values.hours === undefined ? Infinity : positive('hours', values.hours);
  const options = {
    from: wholeNumber('from', values.from),
    step: wholeNumber('step', values.step),
    seeds: values.seeds === undefined ? (hours === Infinity ? 500 : Infinity) : wholeNumber('seeds', values.seeds),
    hours,
    family,
    calm,
    sabotage,
    stopsAtFirst: values['until-found'],
  };
  const startedAt = performance.now();
  const workers = wholeNumber('workers', values.workers);
  const result = await (workers > 1 ? runWorkers(process.argv[1]!, options, workers) : runMany(options));
  process.stdout.write(`${values.json ? JSON.stringify(result) : summaryOf(result, startedAt)}\n`);
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

function simulateRaft(parameters: readonly string[]): number {
  const { status, error } = spawnSync(process.execPath, ['--enable-source-maps', RAFT_SIMULATION, ...parameters], {
    stdio: 'inherit',
  });
  if (error) throw error;
  return status ?? 1;
}

try {
  const [subject, ...rest] = process.argv.slice(2);
  process.exitCode = subject === 'raft' ? simulateRaft(rest) : await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  process.exitCode = 2;
}
