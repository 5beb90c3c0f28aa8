import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { THREE_PHASE_MISTAKES } from '../model/three-phase/mistakes.js';
import { TWO_PHASE_MISTAKES } from '../model/two-phase/mistakes.js';
import {
  BugSearch,
  bugsOfThisRun,
  CompiledProgram,
  EVERY_SEED,
  namesInPage,
  numbersInPage,
  runInProcess,
  type BrokenRule,
  type RunOptions,
} from '@concordat/foundation/testing';
import { SABOTAGES } from './sabotage.js';
import { bugTable, withoutIds, type FoundBug } from './testing/bug-table.js';
import type { InjectedBug } from './testing/injected-bug.js';
import { INJECTED_BUGS } from './testing/injected-bugs.js';
import { SYSTEM_PROGRAM } from './testing/program.js';

const DOCUMENT = path.resolve(import.meta.dirname, '../../docs/protocol-injected-bugs.md');
const MAXIMUM_SEEDS = 500;
/** Of these, those of a kind that comes by every 11th or 13th seed are about as many. */
const MAXIMUM_SEEDS_OF_RARE_KIND = 6_000;
const TIMEOUT_MS = 900_000;
const SEARCH_TIMEOUT_MS = 600_000;
/** The column of the page with the seeds. */
const FOUND_COLUMN = 4;
const isUpdate = process.env['CONCORDAT_UPDATE_DOCS'] === '1';
const BUGS = bugsOfThisRun(INJECTED_BUGS);

describe('mistakes that people make with atomic commit', () => {
  let program: CompiledProgram;
  let unchanged: Promise<string>;
  const knownSeeds = isUpdate ? new Map<string, number>() : numbersInPage(readFileSync(DOCUMENT, 'utf8'), FOUND_COLUMN);
  const search = new BugSearch<InjectedBug, FoundBug>(BUGS, find);

  /** Puts the bug in, and runs seeds until a rule is broken. Undefined when none is. */
  async function find(bug: InjectedBug): Promise<FoundBug | undefined> {
    const { by } = bug;
    if ('model' in by) {
      // their own specs demand that they are found
      const mistake = [...TWO_PHASE_MISTAKES, ...THREE_PHASE_MISTAKES].find(({ name }) => name === by.model);
      return mistake && { bug, where: 'the model', rule: mistake.breaks.join(', ') };
    }
    const { family = 'storm', calm } = bug.seeds ?? {};
    const choices = { family, calm, sabotage: 'sabotage' in by ? by.sabotage : undefined };
    const seeds = family === 'storm' ? MAXIMUM_SEEDS : MAXIMUM_SEEDS_OF_RARE_KIND;
    const options = { ...EVERY_SEED, seeds, stopsAtFirst: true, choices };
    const entry = 'edits' in by ? await program.copy(by.edits) : await unchanged;
    const first = await firstViolation(entry, options, knownSeeds.get(bug.name));
    return first && { bug, where: `seed ${first.seed}, ${calm ? 'calm' : family}`, rule: withoutIds(first.rule) };
  }

  /** Looks at the known seed first: where the bug was found before it most likely is. */
  async function firstViolation(entry: string, options: RunOptions, known?: number): Promise<BrokenRule | undefined> {
    if (known !== undefined) {
      const { violations } = await runInProcess(entry, { ...options, from: known, seeds: 1 }, SEARCH_TIMEOUT_MS);
      if (violations[0]) return violations[0];
    }
    return (await runInProcess(entry, options, SEARCH_TIMEOUT_MS)).violations[0];
  }

  beforeAll(async () => {
    program = await CompiledProgram.make(SYSTEM_PROGRAM);
    unchanged = program.copy();
    await unchanged;
    await search.run();
  }, TIMEOUT_MS);

  afterAll(() => program.remove());

  it('have names of their own, and every sabotage is one of them', () => {
    expect(new Set(INJECTED_BUGS.map(({ name }) => name)).size).toBe(INJECTED_BUGS.length);
    const sabotages = INJECTED_BUGS.flatMap(({ by }) => ('sabotage' in by ? [by.sabotage] : []));
    expect(sabotages.sort()).toEqual([...SABOTAGES].sort());
  });

  it.each(BUGS.map(({ name }) => name))('found: %s', async (name) => {
    await expect(search.resultOf(name)).resolves.toMatchObject({ rule: expect.stringMatching(/./) });
  });

  it('stand in the table of the documentation, all of them and no others', () => {
    if (isUpdate) writeFileSync(DOCUMENT, bugTable(search.found));
    expect(namesInPage(readFileSync(DOCUMENT, 'utf8')).sort()).toEqual(INJECTED_BUGS.map(({ name }) => name).sort());
  });
});
