import { markdownTable } from '@concordat/foundation/testing';
import type { InjectedBug } from './injected-bug.js';
import { INJECTED_BUGS } from './injected-bugs.js';

/** A bug that the simulation has found. */
export interface FoundBug {
  readonly bug: InjectedBug;
  /** so many were run, the last of which broke a rule */
  readonly seeds: number;
  /** the rule, by its name */
  readonly rule: string;
}

const INTRODUCTION = `# Injected bugs

The simulation of the Raft library is worth what it finds. Each mistake below is put into a copy of the library's
source, which is compiled and run until a rule is broken; a test demands that one is, within 500 seeds. The list is
\`libs/raft/src/simulation/testing/*-bugs.ts\`; there are no switches for them in the code that is shipped.

This page is written by \`CONCORDAT_UPDATE_DOCS=1 npm run jest -- --selectProjects simulation -- injected-bugs\`; with
\`INJECTED_BUG=words\` instead, only the bugs with those words in their names are looked for, and nothing is written.
"Seeds" is how many it took when it was written, of all kinds or, for a rare one, of one kind; "found by" is the check
that spoke first. "node failure": an assertion of the library itself stopped the node, in production as well, before a
checker of the simulation saw any harm.
`;

const HEADER = ['bug', 'what the changed code does', 'the rule', 'who made it', 'seeds', 'found by'];

/** The page of documentation about what was found. */
export function bugTable(found: readonly FoundBug[]): string {
  const rows = INJECTED_BUGS.flatMap(({ name }) => found.filter(({ bug }) => bug.name === name)).map(
    ({ bug, seeds, rule }) => [bug.name, bug.what, bug.rule, bug.whoMadeIt, String(seeds), rule],
  );
  return `${INTRODUCTION}\n${markdownTable(HEADER, rows)}\n`;
}
