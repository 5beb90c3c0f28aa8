import { parseArgs } from 'node:util';
import { Explorer, walk } from './explorer.js';
import { formatCounterexample, formatReport } from './report.js';
import { BOUND_OPTIONS, OPTION_NAMES, commandFor, readInteger, readWorld, type OptionTexts } from './commit/command.js';
import { MISTAKES, mistakenParts } from './two-phase/mistakes.js';
import { BOUND_NAMES, DEFAULT_BOUNDS, INCLINATIONS, realParts, type CommitOptions } from './commit/options.js';
import { CommitWorld, machineStates } from './commit/commit-world.js';

const USAGE = `npm run model -- [options]

  --branches N        1 to 3 (default 2); a single one commits in one phase
  --answers LIST      what handlers may come to, of ${INCLINATIONS.join(',')} (default all)
  --states N          distinct states at most (default 10,000,000)
  --depth N           actions from the start at most
  --replay PATH       walks one way, as a counterexample names it; with the same other options
  --mistake NUMBER    with a mistake put in:
${MISTAKES.map(({ name }, index) => `    ${String(index + 1).padStart(2)}  ${name}`).join('\n')}

  how often each may happen, a number or "any":
${BOUND_NAMES.map((name) => `  --${BOUND_OPTIONS[name].padEnd(20)}(default ${DEFAULT_BOUNDS[name]})`).join('\n')}
  Any message may be lost, without a bound.
`;

interface Arguments {
  readonly options: CommitOptions;
  readonly states: number;
  readonly depth: number | undefined;
  readonly replay: readonly number[] | undefined;
  /** the same command again, but for a replay */
  readonly command: string;
}

/** @throws TypeError with a sentence about what cannot be understood */
function readArguments(): Arguments {
  const names = [...OPTION_NAMES, ...Object.values(BOUND_OPTIONS)];
  const texts: OptionTexts = parseArgs({
    options: Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
  }).values;
  const { mistake, depth, states, replay } = texts;
  const number = mistake === undefined ? undefined : readInteger('mistake', mistake);
  const chosen = number === undefined ? undefined : MISTAKES[number - 1];
  if (number !== undefined && !chosen) throw new TypeError(`there is no mistake ${number}`);
  const world = readWorld(texts);
  const options = { ...world, parts: chosen ? mistakenParts(chosen) : realParts(world.protocol) };
  return {
    options,
    states: readInteger('states', states ?? '10000000'),
    depth: depth === undefined ? undefined : readInteger('depth', depth),
    replay: replay?.split(',').map((ordinal) => readInteger('replay', ordinal)),
    command: commandFor(options, number),
  };
}

function walkAgain(world: CommitWorld, path: readonly number[], command: string): number {
  const { steps, violation } = walk(world, path);
  if (violation) {
    print(formatCounterexample({ violation, steps, path }, command));
    return 1;
  }
  for (const [index, step] of steps.entries()) print(`${String(index + 1).padStart(3)}. ${step}`);
  print('every rule holds in this state');
  return 0;
}

function explore(world: CommitWorld, { states, depth, command }: Arguments): number {
  const report = new Explorer(world, {
    limits: { states, ...(depth !== undefined && { depth }) },
    now: () => performance.now(),
    onLevel: (level, reached) => print(`depth ${level}: ${reached.toLocaleString('en')} states`),
  }).explore();
  print(formatReport(report));
  print(`states of single machines: ${JSON.stringify(machineStates(world.actors))}`);
  if (!report.counterexample) return 0;
  print(formatCounterexample(report.counterexample, command));
  return 1;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

try {
  const given = readArguments();
  const world = new CommitWorld(given.options);
  process.exitCode = given.replay ? walkAgain(world, given.replay, given.command) : explore(world, given);
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  process.stderr.write(`${error.message}\n\n${USAGE}`);
  process.exitCode = 2;
}
