import { describe, expect, it } from '@jest/globals';
import { Explorer, walk } from './explorer.js';
import { exploreWorld, findMistake, worldsOf } from './find-mistake.js';
import { mistakenParts } from './mistake.js';
import { formatCounterexample, formatReport } from './report.js';
import { commandFor } from './commit/command.js';
import { TWO_PHASE_MISTAKES } from './two-phase/mistakes.js';
import {
  DEFAULT_BOUNDS,
  INCLINATIONS,
  NO_FAULTS,
  REAL_PARTS,
  type Bounds,
  type CommitOptions,
} from './commit/options.js';
import { CommitWorld } from './commit/commit-world.js';

const TIME_LIMIT_MS = 600_000;
const STATES_OF_A_MISTAKE = 300_000;

function worldOf(branches: number, bounds: Partial<Bounds>, changes: Partial<CommitOptions> = {}): CommitOptions {
  return {
    protocol: '2pc',
    branches,
    inclinations: INCLINATIONS,
    bounds: { ...NO_FAULTS, ...bounds },
    parts: REAL_PARTS,
    ...changes,
  };
}

/** Each is explored to its end, so within its bounds there is no interleaving that was not looked at. */
const SCENARIOS: readonly (readonly [string, CommitOptions])[] = [
  ['two branches; a leader and a participant die', worldOf(2, { leaderDeaths: 1, participantCrashes: 1 })],
  [
    'two willing branches; a leader is deposed and does not know it',
    worldOf(2, { depositions: 1 }, { inclinations: ['yes'] }),
  ],
  ['two branches; a message comes twice, a connection breaks', worldOf(2, { duplicates: 1, brokenConnections: 1 })],
  ['two branches; messages are sent again, a proposal fails', worldOf(2, { resends: 1, failedProposals: 1 })],
  [
    'two branches; an operator rules, a connection breaks, a sweeper asks',
    worldOf(2, { endingsByHand: 1, brokenConnections: 1, inquiries: 1 }),
  ],
  [
    'two branches; a database loses its last writes, a message is sent again',
    worldOf(2, { amnesias: 1, resends: 1, deadlines: 0 }, { inclinations: ['yes', 'no'] }),
  ],
  ['three branches; messages are lost or late', worldOf(3, {}, { inclinations: ['yes', 'no'] })],
  ['one branch that commits in one phase; one of everything', worldOf(1, DEFAULT_BOUNDS)],
];

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

describe('every interleaving of two-phase commit', () => {
  let largest = 0;

  for (const [name, options] of SCENARIOS) {
    it(
      `keeps every rule: ${name}`,
      () => {
        const world = new CommitWorld(options);
        const report = exploreWorld(world);
        print(`${name}: ${formatReport(report)}\n  ${commandFor(options)}`);
        if (report.counterexample) throw new Error(formatCounterexample(report.counterexample, commandFor(options)));
        expect(report.complete).toBe(true);
        expect([...world.outcomes()]).toContain('committed');
        expect(world.outcomes().has('mixed')).toBe(options.bounds.endingsByHand + options.bounds.amnesias > 0);
        largest = Math.max(largest, report.states);
      },
      TIME_LIMIT_MS,
    );
  }

  it('is a million different states in the largest of these worlds', () => {
    expect(largest).toBeGreaterThanOrEqual(1_000_000);
  });
});

describe('the states of the model are those of the real machines', () => {
  it(
    'a way through them ends in the same state when it is walked in a world of its own',
    () => {
      const options = worldOf(2, { ...DEFAULT_BOUNDS, endingsByHand: 1 });
      const world = new CommitWorld(options);
      const paths: number[][] = [];
      new Explorer(world, {
        limits: { states: 60_000 },
        now: () => 0,
        onState: (index, path) => {
          if (index % 397 === 0) paths.push(path());
        },
      }).explore();
      for (const path of paths) {
        const { state, steps } = walk(world, path);
        expect(walkInWords(new CommitWorld(options), steps)).toBe(world.describeState(state));
      }
      expect(paths.length).toBeGreaterThan(100);
    },
    TIME_LIMIT_MS,
  );
});

/** In a world that was never elsewhere, every machine on the way is one that went this way and no other. */
function walkInWords(world: CommitWorld, steps: readonly string[]): string {
  let state = world.initial();
  for (const step of steps) {
    const here = state;
    const actions = world.actions(here).filter((action) => world.describe(here, action) === step);
    expect(actions).toHaveLength(1);
    for (const action of actions) state = world.apply(here, action);
  }
  return world.describeState(state);
}

describe('the explorer finds', () => {
  for (const [index, mistake] of TWO_PHASE_MISTAKES.entries()) {
    for (const world of worldsOf(mistake, index + 1, '2pc')) {
      it(world.title, () => print(findMistake(world, STATES_OF_A_MISTAKE)), TIME_LIMIT_MS);
    }
  }

  it('a way that a replay walks again', () => {
    const [mistake] = TWO_PHASE_MISTAKES;
    if (!mistake) throw new Error('there are mistakes');
    const options = worldOf(mistake.branches, mistake.bounds, { parts: mistakenParts(mistake, '2pc') });
    const { counterexample } = exploreWorld(new CommitWorld(options));
    if (!counterexample) throw new Error('the mistake is found');
    const again = walk(new CommitWorld(options), counterexample.path);
    expect(again.violation).toEqual(counterexample.violation);
    expect(again.steps).toEqual(counterexample.steps);
    expect(formatCounterexample(counterexample, commandFor(options, 1))).toMatch(
      /replay: npm run model -- .* --replay 0/,
    );
  });
});
