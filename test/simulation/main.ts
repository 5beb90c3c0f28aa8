import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { SABOTAGES, type Sabotage } from './sabotage.js';
import { SimulationFailure, replayCommand, simulate } from './simulation.js';

const USAGE = `npm run simulate -- [--seed N | --seeds COUNT --from N] [--calm] [--sabotage NAME]

  --seed N         one seed, with its trace
  --seeds COUNT    so many seeds (default 500), from --from N (default 1)
  --calm           without faults
  --sabotage NAME  with a mistake put in: ${SABOTAGES.join(', ')}

npm run simulate -- raft [--help]   groups of the Raft library by themselves
`;

/** The simulation of the Raft library is a program of that library; it gets the rest of the arguments. */
const RAFT_SIMULATION = fileURLToPath(new URL('../../libs/raft/src/simulation/main.js', import.meta.url));

interface Arguments {
  readonly from: number;
  readonly count: number;
  readonly trace: boolean;
  readonly calm: boolean | undefined;
  readonly sabotage: Sabotage | undefined;
}

/** Throws a sentence about what cannot be understood. */
function readArguments(): Arguments {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string', default: '500' },
      from: { type: 'string', default: '1' },
      calm: { type: 'boolean' },
      sabotage: { type: 'string' },
    },
  });
  const integer = (name: string, text: string): number => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < 0) throw new TypeError(`--${name} is a whole number, not "${text}"`);
    return value;
  };
  const sabotage = SABOTAGES.find((name) => name === values.sabotage);
  if (values.sabotage !== undefined && !sabotage) throw new TypeError(`there is no sabotage "${values.sabotage}"`);
  const { seed } = values;
  return {
    from: integer(seed === undefined ? 'from' : 'seed', seed ?? values.from),
    count: seed === undefined ? integer('seeds', values.seeds) : 1,
    trace: seed !== undefined,
    calm: values.calm,
    sabotage,
  };
}

async function main({ from, count, trace, calm, sabotage }: Arguments): Promise<number> {
  const startedAt = performance.now();
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  let failures = 0;
  const totals = { committed: 0, aborted: 0, leaders: 0, simulatedMs: 0 };
  for (let seed = from; seed < from + count; seed++) {
    try {
      const report = await simulate({
        seed,
        ...(calm !== undefined && { calm }),
        ...(sabotage && { sabotage }),
        ...(trace && { print }),
      });
      for (const name of ['committed', 'aborted', 'leaders', 'simulatedMs'] as const) totals[name] += report[name];
      if (trace) print(JSON.stringify(report));
    } catch (error) {
      failures++;
      if (!(error instanceof SimulationFailure))
        print(`seed ${seed} ended in an error; replay: ${replayCommand(seed)}`);
      print(error instanceof SimulationFailure ? error.message : String(error instanceof Error ? error.stack : error));
    }
    const ran = seed - from + 1;
    if (!trace && ran % 50 === 0) print(`${ran} of ${count} seeds, ${failures} failed`);
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  print(
    `${count} seeds, ${failures} failed, ${seconds.toFixed(1)} s: ${totals.committed} transactions committed, ` +
      `${totals.aborted} aborted, ${totals.leaders} leaders, ${(totals.simulatedMs / 60_000).toFixed(0)} simulated minutes`,
  );
  return failures === 0 ? 0 : 1;
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
  process.exitCode = subject === 'raft' ? simulateRaft(rest) : await main(readArguments());
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  process.exitCode = 2;
}
