import { markdownTable } from '@concordat/foundation/testing';
import type { InjectedBug } from './injected-bug.js';
import { INJECTED_BUGS } from './injected-bugs.js';

/** A mistake that was found. */
export interface FoundBug {
  readonly bug: InjectedBug;
  /** where: a seed of the simulation, or the model */
  readonly where: string;
  /** the rule that was seen to be broken, in the words of the check */
  readonly rule: string;
}

const INTRODUCTION = `# Injected bugs of the commit protocol

The simulation of the whole system and the exhaustive model are worth what they find. Each mistake below is put into a
copy of the source (or into the ports that the simulation models), and a test demands that a rule is then seen to be
broken, within 500 seeds (or as many of a rare kind). The test looks first at the seed below. The list is \`test/simulation/testing/*-bugs.ts\`; there are no switches for them in the code
that is shipped. Those of the Raft library have [a table of their own](raft-injected-bugs.md).

This page is written by \`CONCORDAT_UPDATE_DOCS=1 npm run jest -- --selectProjects simulation -- test/simulation/injected\`.
"Found" is where it was seen first when the page was written: a seed of the simulation, of the family of runs that is
named, or the model (\`test/model\`), whose own tests demand that it finds it. Where the check is an \`invariant\`, an
assertion of the product stops the node before a rule of the simulation is broken.
`;

const HEADER = ['bug', 'what the changed code does', 'the rule', 'put in by', 'found', 'by the check'];

/** The page of documentation about what was found. */
export function bugTable(found: readonly FoundBug[]): string {
  const rows = INJECTED_BUGS.flatMap(({ name }) => found.filter(({ bug }) => bug.name === name)).map(
    ({ bug, where, rule }) => [bug.name, bug.what, bug.rule, meansOf(bug), where, rule],
  );
  return `${INTRODUCTION}\n${markdownTable(HEADER, rows)}\n`;
}

/** What a check said, without the names of that one run. */
export function withoutIds(sentence: string): string {
  const [line] = sentence.split('\n');
  return (line ?? '')
    .replace(/concordat:\S+|[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g, '…')
    .replace(/bank-[abc]|client-\d+(-\d+)?|node \d+|nodes \d+/g, '…')
    .replaceAll('|', '/')
    .slice(0, 100)
    .trim();
}

function meansOf({ by }: InjectedBug): string {
  if ('edits' in by)
    return `edit of ${[...new Set(by.edits.map(({ file }) => `\`${file.split('/').at(-1)}\``))].join(', ')}`;
  return 'sabotage' in by ? `port: \`${by.sabotage}\`` : 'model';
}
