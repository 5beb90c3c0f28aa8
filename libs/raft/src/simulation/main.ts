#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { runMany, runOne, runWorkers } from './runner.js';

const USAGE = `npm run simulate -- raft [--seed N [--trace]] [--seeds COUNT | --hours H] [--from N] [--nodes N] [--workers N]

  --seed N         run one seed; with --trace print every step and message
  --seeds COUNT    run this many seeds (default 500), from --from N (default 1)
  --hours H        run this many simulated hours
  --nodes N        start groups of this many nodes; by default each seed chooses
  --workers N      use this many processes (default 1)
  --storms         skip the seeds of many simulated hours
  --until-found    stop at the first seed that breaks a rule
`;

/** @returns the exit code: 1 when a rule was broken */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      from: { type: 'string', default: '1' },
      hours: { type: 'string' },
      nodes: { type: 'string' },
      workers: { type: 'string', default: '1' },
      step: { type: 'string', default: '1' },
      trace: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      storms: { type: 'boolean', default: false },
      'until-found': { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const integer = (name: string, text: string): number => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < 0) throw new TypeError(`--${name} is a whole number, not "${text}"`);
    return value;
  };
  const nodes = values.nodes === undefined ? undefined : integer('nodes', values.nodes);
  if (values.seed !== undefined) return runOne(integer('seed', values.seed), nodes, values.trace);
  const options = {
    from: integer('from', values.from),
    step: integer('step', values.step),
    seeds: values.seeds === undefined ? (values.hours === undefined ? 500 : Infinity) : integer('seeds', values.seeds),
    hours: values.hours === undefined ? Infinity : integer('hours', values.hours),
    nodes,
    skipsLong: values.storms,
    stopsAtFirst: values['until-found'],
  };
  const workers = integer('workers', values.workers);
  return workers > 1 ? runWorkers(options, workers) : runMany(options, values.json);
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n\n${USAGE}`);
  process.exitCode = 2;
}
