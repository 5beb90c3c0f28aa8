import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  BugSearch,
  bugsOfThisRun,
  CompiledProgram,
  EVERY_SEED,
  namesInPage,
  numbersInPage,
  runInProcess,
  sumOf,
  type RunOptions,
} from '@concordat/foundation/testing';
import { FAMILIES } from './profile.js';
import { bugTable, type FoundBug } from './testing/bug-table.js';
import type { InjectedBug } from './testing/injected-bug.js';
import { INJECTED_BUGS } from './testing/injected-bugs.js';
import { RAFT_PROGRAM } from './testing/program.js';

const DOCUMENT = path.resolve(import.meta.dirname, '../../../../docs/raft-injected-bugs.md');
const MAXIMUM_SEEDS = 500;
const TIMEOUT_MS = 900_000;
const SEARCH_TIMEOUT_MS = 600_000;
const SEARCH: RunOptions = { ...EVERY_SEED, seeds: MAXIMUM_SEEDS, stopsAtFirst: true, choices: { storms: true } };
/** The column of the page with the number of seeds. */
const SEEDS_COLUMN = 4;
const isUpdate = process.env['CONCORDAT_UPDATE_DOCS'] === '1';
/** Only bugs with this in their name are looked for. */
const NAMED = process.env['INJECTED_BUG'];
const BUGS =
  NAMED === undefined ? bugsOfThisRun(INJECTED_BUGS) : INJECTED_BUGS.filter(({ name }) => name.includes(NAMED));

describe('mistakes that people make', () => {
  let program: CompiledProgram;
  const knownSeeds = isUpdate ? new Map<string, number>() : numbersInPage(readFileSync(DOCUMENT, 'utf8'), SEEDS_COLUMN);
  const search = new BugSearch<InjectedBug, FoundBug>(BUGS, async (bug) => {
    const seeds = bug.family && { from: FAMILIES.indexOf(bug.family), step: FAMILIES.length };
    const options = { ...SEARCH, ...seeds };
    const entry = await program.copy(bug.edits);
    // where the bug was found before it most likely is
    const known = knownSeeds.get(bug.name);
    const there = known !== undefined && { from: options.from + options.step * (known - 1), seeds: 1 };
    const found = (there && (await rulesIn(entry, { ...options, ...there }))) || (await rulesIn(entry, options));
    return found && { bug, ...found };
  });

  async function rulesIn(entry: string, options: RunOptions): Promise<Omit<FoundBug, 'bug'> | undefined> {
    const { totals, violations } = await runInProcess(entry, options, SEARCH_TIMEOUT_MS);
    const [rule] = violations[0]?.rule.split(': ') ?? [];
    return rule === undefined ? undefined : { seeds: sumOf(totals).runs, rule };
  }

  beforeAll(async () => {
    program = await CompiledProgram.make(RAFT_PROGRAM);
  });

  afterAll(() => program.remove());

  it('are at least 22, each with a name of its own', () => {
    const names = new Set(INJECTED_BUGS.map(({ name }) => name));
    expect(names.size).toBe(INJECTED_BUGS.length);
    expect(names.size).toBeGreaterThanOrEqual(22);
  });

  it.each(BUGS.map(({ name }) => name))(
    'found by the simulation: %s',
    async (name) => {
      await expect(search.resultOf(name)).resolves.toMatchObject({ seeds: expect.any(Number) });
    },
    TIMEOUT_MS,
  );

  it(
    'stand in the table of the documentation, all of them and no others',
    async () => {
      if (isUpdate) {
        await search.run();
        writeFileSync(DOCUMENT, bugTable(search.found));
      }
      expect(namesInPage(readFileSync(DOCUMENT, 'utf8')).sort()).toEqual(INJECTED_BUGS.map(({ name }) => name).sort());
    },
    TIMEOUT_MS,
  );
});
