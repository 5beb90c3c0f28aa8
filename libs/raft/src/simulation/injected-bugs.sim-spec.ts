import { describe, expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { runInProcess, type RunOptions } from './runner.js';
import { CompiledCopy } from './testing/compiled-copy.js';
import { bugTable, namesInTable, type FoundBug } from './testing/bug-table.js';
import type { InjectedBug } from './testing/injected-bug.js';
import { INJECTED_BUGS } from './testing/injected-bugs.js';

const DOCUMENT = path.resolve(import.meta.dirname, '../../../../docs/raft-injected-bugs.md');
const MAXIMUM_SEEDS = 500;
const TIMEOUT_MS = 900_000;
const SEARCH_TIMEOUT_MS = 600_000;
const SEARCH: RunOptions = {
  from: 1,
  step: 1,
  seeds: MAXIMUM_SEEDS,
  hours: Infinity,
  nodes: undefined,
  skipsLong: true,
  stopsAtFirst: true,
};
const isUpdate = process.env['CONCORDAT_UPDATE_DOCS'] === '1';
/** How many are looked for side by side. */
const WORKERS = 2;
/** Only bugs with this in their name are looked for; all without it. */
const named = process.env['INJECTED_BUG'] ?? '';
const BUGS = INJECTED_BUGS.filter(({ name }) => name.includes(named));

/** Puts the bug in, and runs seeds until a rule is broken. Undefined when none is. */
async function find(bug: InjectedBug): Promise<FoundBug | undefined> {
  const copy = await CompiledCopy.make(bug.edits);
  try {
    const { totals, violations } = await runInProcess(copy.entry, SEARCH, SEARCH_TIMEOUT_MS);
    const violation = violations[0]?.violation;
    const seeds = Object.values(totals).reduce((sum, { runs }) => sum + runs, 0);
    return violation && { bug, seeds, rule: violation.rule };
  } finally {
    await copy.remove();
  }
}

describe('mistakes that people make', () => {
  const searches = new Map<string, Promise<FoundBug | undefined>>();
  const queue = [...BUGS];
  const found: FoundBug[] = [];

  async function work(): Promise<void> {
    for (let bug = queue.shift(); bug; bug = queue.shift()) {
      const search = find(bug);
      searches.set(bug.name, search);
      const result = await search.catch(() => undefined); // told by the test of that bug
      if (result) found.push(result);
    }
  }

  let all: Promise<unknown> | undefined;
  const everything = (): Promise<unknown> => (all ??= Promise.all(Array.from({ length: WORKERS }, work)));

  it('are at least 22, each with a name of its own', () => {
    const names = new Set(INJECTED_BUGS.map(({ name }) => name));
    expect(names.size).toBe(INJECTED_BUGS.length);
    expect(names.size).toBeGreaterThanOrEqual(22);
  });

  it.each(BUGS.map(({ name }) => name))(
    'found by the simulation: %s',
    async (name) => {
      await everything();
      await expect(searches.get(name)).resolves.toMatchObject({ seeds: expect.any(Number) });
    },
    TIMEOUT_MS,
  );

  it(
    'stand in the table of the documentation, all of them and no others',
    async () => {
      if (isUpdate) {
        await everything();
        writeFileSync(DOCUMENT, bugTable(found));
      }
      expect(namesInTable(readFileSync(DOCUMENT, 'utf8')).sort()).toEqual(INJECTED_BUGS.map(({ name }) => name).sort());
    },
    TIMEOUT_MS,
  );
});
