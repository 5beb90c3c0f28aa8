import path from 'node:path';
import { parseArgs } from 'node:util';
import { compare, comparisonBars, comparisonTable, costTable } from './interleaved.js';
import { measureMemory, memoryTable } from './memory.js';
import { writeResults } from './report.js';
import { BENCH_ACCOUNTS, RunningSystem } from './system.js';

const HELP = `Benchmarks of a local system of their own (fresh, on ports of its own), ended afterwards.

  npm run bench -- transfer      transfers between random accounts of two databases
  npm run bench -- contention    every client wants the same two rows, with declared keys
  npm run bench -- memory        resident memory of the coordinators after 20k, 100k and 200k transactions

Options
  --clients 1,8,64    concurrent clients (closed loop)
  --rounds 3          rounds of bound and system in turns; medians are reported
  --seconds 5         length of a round
  --marks 20000,…     for memory: after how many transactions to look

"raw" is two-phase commit by the client itself over the same two databases, without a coordinator: the bound.
Results go to bench-results/ as JSON and SVG.
`;

const RESULTS = path.resolve('bench-results');

function randomAccounts(): readonly [string, string] {
  const pick = (): string => `bench-${Math.floor(Math.random() * BENCH_ACCOUNTS)}`;
  return [pick(), pick()];
}

function positiveList(text: string, option: string): number[] {
  const values = text.split(',').map(Number);
  if (values.some((value) => !Number.isInteger(value) || value < 1)) {
    throw new Error(`--${option} must be positive whole numbers separated by commas, not "${text}"`);
  }
  return values;
}

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      clients: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '5' },
      marks: { type: 'string', default: '20000,100000,200000' },
      help: { type: 'boolean', default: false },
    },
  });
  const workload = positionals[0];
  if (values.help || workload === undefined) {
    process.stdout.write(HELP);
    return;
  }
  if (!['transfer', 'contention', 'memory'].includes(workload)) {
    throw new Error(`there is no workload "${workload}"; there are: transfer, contention, memory`);
  }
  const clients = positiveList(values.clients ?? (workload === 'contention' ? '32' : '1,8,64'), 'clients');
  const [rounds, seconds] = [positiveList(values.rounds, 'rounds')[0]!, positiveList(values.seconds, 'seconds')[0]!];
  const marks = positiveList(values.marks, 'marks');
  process.stderr.write('starting a system for the benchmark\n');
  const system = await RunningSystem.start(path.join(RESULTS, 'system'));
  try {
    if (workload === 'memory') {
      const samples = await measureMemory(system, marks, randomAccounts);
      process.stdout.write(`${memoryTable(samples)}\n`);
      report(
        workload,
        samples,
        samples.map((one) => ({ label: `${one.transactions}`, value: Math.max(...Object.values(one.residentMiB)) })),
      );
      return;
    }
    const hot = workload === 'contention';
    const comparisons = await compare(system, {
      clients,
      rounds,
      seconds,
      rawOrder: hot ? 'in-order' : 'parallel',
      withKeys: hot,
      accounts: hot ? () => ['bench-0', 'bench-0'] : randomAccounts,
    });
    process.stdout.write(`\n${comparisonTable(comparisons)}\n\n${costTable(comparisons)}\n`);
    report(workload, comparisons, comparisonBars(comparisons));
  } finally {
    await system.stop();
  }
}

function report(workload: string, result: unknown, bars: Parameters<typeof writeResults>[3]): void {
  for (const file of writeResults(RESULTS, workload, result, bars)) process.stdout.write(`written: ${file}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
