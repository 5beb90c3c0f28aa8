import { describe, expect, it } from '@jest/globals';
import { invariant } from '@concordat/foundation';
import { majorityOf } from '../ballots/ballot.js';
import { ThreePhaseRun, type RunSummary } from '../testing/three-phase-run.js';
import type { Decision } from '../vocabulary/types.js';

const SEEDS = 3_000;
const ORPHANS = 1_000;

function each(seeds: number, play: (seed: number) => void, call: string): void {
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      play(seed);
    } catch (cause) {
      throw new Error(`seed ${seed}: run it alone with ${call.replace('SEED', String(seed))}`, { cause });
    }
  }
}

/** A transaction of three to five branches, all of which want to commit. */
function willing(seed: number): ThreePhaseRun {
  return new ThreePhaseRun(seed, { branches: 3 + (seed % 3), inclination: 'yes' });
}

describe('three phases under random faults', () => {
  it(`AC1 to AC5 hold in ${SEEDS} runs of lost messages, fail-overs, crashes, ballots of branches, and no coordinator`, () => {
    const summaries: RunSummary[] = [];
    each(SEEDS, (seed) => void summaries.push(new ThreePhaseRun(seed).run()), 'new ThreePhaseRun(SEED).run()');
    const count = (isKind: (summary: RunSummary) => boolean): number => summaries.filter(isKind).length;
    expect(count(({ decision }) => decision === 'commit')).toBeGreaterThan(SEEDS / 20);
    expect(count(({ decision }) => decision === 'abort')).toBeGreaterThan(SEEDS / 20);
    expect(count(({ branchesDecided, decision }) => branchesDecided && decision === 'commit')).toBeGreaterThan(
      SEEDS / 100,
    );
    expect(count(({ branchesDecided, decision }) => branchesDecided && decision === 'abort')).toBeGreaterThan(
      SEEDS / 100,
    );
    expect(count(({ endedWithoutCoordinators }) => endedWithoutCoordinators)).toBeGreaterThan(SEEDS / 40);
  });
});

/** What was pre-committed, with nobody but a majority of the branches left to end it. */
function endWithoutCoordinators(seed: number): Decision {
  const run = willing(seed);
  run.reachPreCommit();
  run.loseCoordinators();
  const accepted = [...run.databases.values()].filter(({ hasAcceptedFirst }) => hasAcceptedFirst).length;
  run.silence();
  run.terminate();
  const { decision } = run;
  invariant(decision !== undefined, 'a majority that can talk decides');
  const isDecided = accepted >= majorityOf(run.databases.size);
  invariant(!isDecided || decision === 'commit', 'what a majority has accepted is decided');
  run.endSilence();
  run.terminate();
  for (const { ledger, isPrepared } of run.databases.values()) {
    // a branch whose process died after the rollback and before the tombstone has ended, too
    const end = ledger ?? (isPrepared ? 'prepared' : 'aborted');
    invariant(end === (decision === 'commit' ? 'committed' : 'aborted'), 'every branch ends by the decision');
  }
  return decision;
}

/**
 * What was never pre-committed, with no coordinator left to do it.
 * @returns whether a branch had to open a ballot
 */
function abortWithoutCoordinators(seed: number, reach: 'reachFirstBallot' | 'reachSomeVotes'): boolean {
  const run = willing(seed);
  run[reach]();
  run.loseCoordinators();
  const opened = run.terminate();
  invariant(run.decision !== 'commit', 'nobody had proposed a commit');
  for (const { ledger } of run.databases.values()) invariant(ledger !== 'committed', 'no branch commits alone');
  return opened;
}

describe('three phases without any coordinator', () => {
  it(`end what was pre-committed, in ${ORPHANS} runs, as long as a majority of the branches can talk`, () => {
    const counts = { commit: 0, abort: 0 };
    each(ORPHANS, (seed) => void counts[endWithoutCoordinators(seed)]++, 'endWithoutCoordinators(SEED)');
    expect(counts.commit).toBeGreaterThan(ORPHANS / 10);
    expect(counts.abort).toBeGreaterThan(ORPHANS / 100);
  });

  it.each([
    ['every branch has voted yes', 'reachFirstBallot'],
    ['some branches have not heard of it', 'reachSomeVotes'],
  ] as const)(`abort what was never pre-committed, in ${ORPHANS} runs, when %s`, (_when, reach) => {
    let opened = 0;
    const play = (seed: number): void => void (opened += abortWithoutCoordinators(seed, reach) ? 1 : 0);
    each(ORPHANS, play, `abortWithoutCoordinators(SEED, '${reach}')`);
    expect(opened).toBeGreaterThan(ORPHANS / 2);
  });
});
