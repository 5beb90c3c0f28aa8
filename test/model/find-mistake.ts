import { CommitWorld } from './commit/commit-world.js';
import { INCLINATIONS, NO_FAULTS, type CommitOptions } from './commit/options.js';
import { Explorer, type ExplorationReport } from './explorer.js';
import { mistakenParts, type Mistake } from './mistake.js';

/** A mistake in the world in which it is looked for, by what is heard or by what comes of it. */
export interface MistakenWorld {
  readonly title: string;
  readonly options: CommitOptions;
  readonly breaks: readonly string[];
}

/** Where a mistake is to be found: in one world or two. */
export function worldsOf(mistake: Mistake, number: number, protocol: CommitOptions['protocol']): MistakenWorld[] {
  const { consequence } = mistake;
  const title = `${mistake.name} (--protocol ${protocol} --mistake ${number})`;
  const parts = mistakenParts(mistake, protocol);
  const common = { protocol, branches: mistake.branches, inclinations: INCLINATIONS, parts };
  const options = { ...common, ...mistake.world, bounds: { ...NO_FAULTS, ...mistake.bounds } };
  const worlds: MistakenWorld[] = [{ title, options, breaks: mistake.breaks }];
  if (!consequence) return worlds;
  const { branches = mistake.branches, world = mistake.world, bounds, breaks } = consequence;
  return [
    ...worlds,
    {
      title: `${title}, by what comes of it`,
      options: { ...common, branches, ...world, bounds: { ...NO_FAULTS, ...bounds }, consequencesOnly: true },
      breaks,
    },
  ];
}

/** Explores until a rule is broken, or that many states were reached. */
export function exploreWorld(world: CommitWorld, states?: number): ExplorationReport {
  const limits = states === undefined ? {} : { states };
  return new Explorer(world, { limits, now: () => performance.now() }).explore();
}

/**
 * Finds a mistake.
 *
 * @returns a line about how it was found
 * @throws Error when nothing is found in so many states, or something else than the rules that it breaks
 */
export function findMistake({ title, options, breaks }: MistakenWorld, states: number): string {
  const { counterexample, states: reached } = exploreWorld(new CommitWorld(options), states);
  if (!counterexample) throw new Error(`nothing is wrong in ${reached} states: ${title}`);
  const { violation, steps } = counterexample;
  if (!breaks.includes(violation.rule)) throw new Error(`${violation.rule} is broken instead: ${violation.detail}`);
  const healing = violation.epilogue ? ` and ${violation.epilogue.length} of healing` : '';
  return `found in ${reached} states, ${steps.length} steps${healing}: ${title}: ${violation.rule}`;
}
