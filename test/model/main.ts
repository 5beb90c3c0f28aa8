import { parseArgs } from 'node:util';
import { Explorer, walk } from './explorer.js';
import { formatCounterexample, formatReport } from './report.js';
import { BOUND_OPTIONS, OPTION_NAMES, commandFor, readInteger, readWorld, type OptionTexts } from './commit/command.js';
import { mistakenParts, type Mistake } from './mistake.js';
import { isUnanimous, runPartitionSchedule } from './three-phase/partition-schedule.js';
import { THREE_PHASE_MISTAKES } from './three-phase/mistakes.js';
import { TWO_PHASE_MISTAKES } from './two-phase/mistakes.js';
import { UnsafeThreePhaseWorld } from './unsafe-three-phase-world.js';
import type { World } from './world.js';
import { BOUND_NAMES, DEFAULT_BOUNDS, INCLINATIONS, realParts, type CommitOptions } from './commit/options.js';
import { CommitWorld, machineStates } from './commit/commit-world.js';

const UNSAFE = 'unsafe-3pc';

const MISTAKES: Readonly<Record<CommitOptions['protocol'], readonly Mistake[]>> = {
  '2pc': TWO_PHASE_MISTAKES,
  '3pc': THREE_PHASE_MISTAKES,
};

function listMistakes(protocol: CommitOptions['protocol']): string {
  const lines = MISTAKES[protocol].map(({ name }, index) => `    ${String(index + 1).padStart(2)}  ${name}`);
  return [`    of ${protocol}:`, ...lines].join('\n');
}

const USAGE = `npm run model -- [options]

  --protocol P        2pc, 3pc, or ${UNSAFE}: the textbook's 3PC, which is unsafe (default 2pc)
  --branches N        1 to 3 (default 2); a single branch commits in one phase
  --start WHERE       begin; voted: the leader has the votes of all branches; or orphaned: pre-committed, and all
                      coordinators are dead (default begin)
  --instant yes|no    whether a branch processes a message in one step (default no)
  --dones arrive|lost whether reports of ended branches reach the coordinators (default arrive)
  --answers LIST      possible votes, from ${INCLINATIONS.join(',')} (default all)
  --states N          maximum number of distinct states (default 10,000,000)
  --depth N           maximum number of actions from the start
  --schedule partition
                      run one schedule instead: three branches in 3PC, a partition and a dead coordinator
  --replay PATH       replay the path of a counterexample; keep the other options the same
  --mistake NUMBER    inject a bug:
${listMistakes('2pc')}
${listMistakes('3pc')}

  How often each fault may happen, a number or "any":
${BOUND_NAMES.map((name) => `  --${BOUND_OPTIONS[name].padEnd(20)}(default ${DEFAULT_BOUNDS[name]})`).join('\n')}
  Any message may be lost, any number of times.

  --help              print this text
`;

interface Arguments {
  readonly world: World;
  readonly states: number;
  readonly depth: number | undefined;
  readonly replay: readonly number[] | undefined;
  /** the same command again, but for a replay */
  readonly command: string;
  /** what else there is to be told of the world, once it is explored */
  readonly summary: () => string | undefined;
}

/** @throws TypeError with a sentence about what cannot be understood */
function readTexts(): OptionTexts {
  const names = [...OPTION_NAMES, ...Object.values(BOUND_OPTIONS)];
  return parseArgs({
    options: Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
  }).values;
}

/** @throws TypeError with a sentence about what cannot be understood */
function readArguments(texts: OptionTexts): Arguments {
  const { depth, states, replay } = texts;
  return {
    ...(texts['protocol'] === UNSAFE ? unsafeWorld(texts) : commitWorld(texts)),
    states: readInteger('states', states ?? '10000000'),
    depth: depth === undefined ? undefined : readInteger('depth', depth),
    replay: replay?.split(',').map((ordinal) => readInteger('replay', ordinal)),
  };
}

function unsafeWorld({ branches = '2' }: OptionTexts): Pick<Arguments, 'world' | 'command' | 'summary'> {
  const world = new UnsafeThreePhaseWorld(readInteger('branches', branches));
  const command = `npm run model -- --protocol ${UNSAFE} --branches ${branches}`;
  return { world, command, summary: () => undefined };
}

function commitWorld(texts: OptionTexts): Pick<Arguments, 'world' | 'command' | 'summary'> {
  const { mistake } = texts;
  const number = mistake === undefined ? undefined : readInteger('mistake', mistake);
  const given = readWorld(texts);
  const chosen = number === undefined ? undefined : MISTAKES[given.protocol][number - 1];
  if (number !== undefined && !chosen) throw new TypeError(`there is no mistake ${number}`);
  const parts = chosen ? mistakenParts(chosen, given.protocol) : realParts(given.protocol);
  const world = new CommitWorld({ ...given, parts });
  const summary = (): string => `states of single machines: ${JSON.stringify(machineStates(world.actors))}`;
  return { world, command: commandFor({ ...given, parts }, number), summary };
}

/** @throws TypeError with a sentence about what cannot be understood */
function followSchedule(name: string): number {
  if (name !== 'partition') throw new TypeError(`there is no schedule "${name}"; there is partition`);
  const result = runPartitionSchedule();
  for (const line of result.lines) print(line);
  if (result.broken !== undefined) print(`broken: ${result.broken}`);
  print(`branches ended: ${result.ends.map((end) => end ?? 'in doubt').join(', ')}; the log says ${result.logged}`);
  return isUnanimous(result) ? 0 : 1;
}

function walkAgain(world: World, path: readonly number[], command: string): number {
  const { steps, violation } = walk(world, path);
  if (violation) {
    print(formatCounterexample({ violation, steps, path }, command));
    return 1;
  }
  for (const [index, step] of steps.entries()) print(`${String(index + 1).padStart(3)}. ${step}`);
  print('every rule holds in this state');
  return 0;
}

function explore({ world, states, depth, command, summary }: Arguments): number {
  const report = new Explorer(world, {
    limits: { states, ...(depth !== undefined && { depth }) },
    now: () => performance.now(),
    onLevel: (level, reached) => print(`depth ${level}: ${reached.toLocaleString('en')} states`),
  }).explore();
  print(formatReport(report));
  const more = summary();
  if (more !== undefined) print(more);
  if (!report.counterexample) return 0;
  print(formatCounterexample(report.counterexample, command));
  return 1;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function run(texts: OptionTexts): number {
  if (texts['schedule'] !== undefined) return followSchedule(texts['schedule']);
  const given = readArguments(texts);
  return given.replay ? walkAgain(given.world, given.replay, given.command) : explore(given);
}

try {
  if (process.argv.includes('--help')) process.stdout.write(USAGE);
  else process.exitCode = run(readTexts());
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  process.stderr.write(`${error.message}\n\n${USAGE}`);
  process.exitCode = 2;
}
