import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { commandFor } from './commit/command.js';
import { CommitWorld } from './commit/commit-world.js';
import { INCLINATIONS, NO_FAULTS, THREE_PHASE_PARTS, type Bounds, type CommitOptions } from './commit/options.js';
import { Explorer, walk } from './explorer.js';
import { exploreWorld, findMistake, worldsOf } from './find-mistake.js';
import { formatCounterexample, formatReport } from './report.js';
import { THREE_PHASE_MISTAKES } from './three-phase/mistakes.js';

const TIME_LIMIT_MS = 600_000;
const STATES_OF_A_MISTAKE = 300_000;
const STATES_OF_A_CONTROL = 3_000;

function worldOf(branches: number, bounds: Partial<Bounds>, changes: Partial<CommitOptions> = {}): CommitOptions {
  const common = { protocol: '3pc', branches, inclinations: INCLINATIONS, parts: THREE_PHASE_PARTS } as const;
  return { ...common, bounds: { ...NO_FAULTS, ...bounds }, ...changes };
}

const WILLING = { inclinations: ['yes', 'yes', 'yes'] } as const;
const SHORT = { ...WILLING, instantBranches: true, donesLost: true } as const;

/** Each is explored to its end, so within its bounds there is no interleaving that was not looked at. */
const SCENARIOS: readonly (readonly [string, CommitOptions])[] = [
  ['two branches; one opens a ballot, the deadline passes', worldOf(2, { terminations: 1 })],
  [
    'two branches; one opens a ballot, a connection breaks',
    worldOf(2, { terminations: 1, brokenConnections: 1, deadlines: 0 }, { inclinations: ['yes', 'read-only'] }),
  ],
  [
    'two branches that have voted; one opens a ballot, a participant dies',
    worldOf(
      2,
      { terminations: 1, participantCrashes: 1, deadlines: 0 },
      { ...WILLING, start: 'voted', donesLost: true },
    ),
  ],
  [
    'two branches that have voted; one opens a ballot, a leader dies',
    worldOf(2, { terminations: 1, leaderDeaths: 1, deadlines: 0 }, { ...SHORT, start: 'voted' }),
  ],
  [
    'three branches that have voted; a leader dies',
    worldOf(3, { leaderDeaths: 1, deadlines: 0 }, { ...SHORT, start: 'voted' }),
  ],
  [
    'three branches, pre-committed, and no coordinator is there any more',
    worldOf(3, { terminations: 1, deadlines: 0 }, { ...SHORT, start: 'orphaned' }),
  ],
  [
    'three branches, pre-committed, no coordinator; one opens a ballot, a database loses its last writes',
    worldOf(3, { amnesias: 1, terminations: 1, deadlines: 0 }, { ...SHORT, start: 'orphaned' }),
  ],
  [
    'three branches that have voted; a database loses its last writes',
    worldOf(3, { amnesias: 1, deadlines: 0 }, { ...SHORT, start: 'voted' }),
  ],
  ['three branches; messages are lost or late', worldOf(3, {}, { ...SHORT, inclinations: ['yes', 'no'] })],
];

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

describe('every interleaving of three-phase commit', () => {
  let total = 0;

  for (const [name, options] of SCENARIOS) {
    it(
      `keeps every rule: ${name}`,
      () => {
        const world = new CommitWorld(options);
        const report = exploreWorld(world);
        print(`${name}: ${formatReport(report)}\n  ${commandFor(options)}`);
        if (report.counterexample) throw new Error(formatCounterexample(report.counterexample, commandFor(options)));
        expect(report.complete).toBe(true);
        // only the branch whose database has lost it misses what is committed, and that is known in the end
        const mixed = options.bounds.amnesias > 0 ? ['mixed'] : [];
        expect([...world.outcomes()].sort()).toEqual(['aborted', 'committed', ...mixed]);
        total += report.states;
      },
      TIME_LIMIT_MS,
    );
  }

  it('is a million different states in these worlds together', () => {
    expect(total).toBeGreaterThanOrEqual(1_000_000);
  });
});

describe('the states of the model in three phases are those of the real machines', () => {
  it(
    'a way through them ends in the same state when it is walked in a world of its own',
    () => {
      const bounds = { terminations: 2, leaderDeaths: 1, participantCrashes: 1, brokenConnections: 1 };
      const options = worldOf(3, bounds, { start: 'voted', ...WILLING });
      const world = new CommitWorld(options);
      const paths: number[][] = [];
      new Explorer(world, {
        limits: { states: 20_000 },
        now: () => 0,
        onState: (index, path) => {
          if (index % 397 === 0) paths.push(path());
        },
      }).explore();
      for (const path of paths) {
        const { state, steps } = walk(world, path);
        const another = new CommitWorld(options);
        const again = walk(another, path);
        expect(again.steps).toEqual(steps);
        expect(another.describeState(again.state)).toBe(world.describeState(state));
      }
      expect(paths.length).toBeGreaterThan(40);
    },
    TIME_LIMIT_MS,
  );
});

describe('the explorer finds in three phases', () => {
  for (const [index, mistake] of THREE_PHASE_MISTAKES.entries()) {
    for (const world of worldsOf(mistake, index + 1, '3pc')) {
      it(
        world.title,
        () => {
          print(findMistake(world, STATES_OF_A_MISTAKE));
          const real = new CommitWorld({ ...world.options, parts: THREE_PHASE_PARTS });
          expect(exploreWorld(real, STATES_OF_A_CONTROL).counterexample).toBeUndefined();
        },
        TIME_LIMIT_MS,
      );
    }
  }
});

it('the document of the tests lists every mistake', () => {
  const text = readFileSync(new URL('../../docs/testing.md', import.meta.url), 'utf8');
  for (const { name } of THREE_PHASE_MISTAKES) expect(text).toContain(`- ${name}\n`);
});
