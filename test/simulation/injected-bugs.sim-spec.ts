import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { THREE_PHASE_MISTAKES } from '../model/three-phase/mistakes.js';
import { TWO_PHASE_MISTAKES } from '../model/two-phase/mistakes.js';
import { runInProcess, type RunOptions } from './runner.js';
import { SABOTAGES } from './sabotage.js';
import { bugTable, namesInTable, withoutIds, type FoundBug } from './testing/bug-table.js';
import { CompiledSystem } from './testing/compiled-copy.js';
import type { InjectedBug } from './testing/injected-bug.js';
import { INJECTED_BUGS } from './testing/injected-bugs.js';

const DOCUMENT = path.resolve(import.meta.dirname, '../../docs/protocol-injected-bugs.md');
const MAXIMUM_SEEDS = 500;
const TIMEOUT_MS = 900_000;
const SEARCH_TIMEOUT_MS = 600_000;
const isUpdate = process.env['CONCORDAT_UPDATE_DOCS'] === '1';
/** How many are looked for side by side. */
const WORKERS = 2;

describe('mistakes that people make with atomic commit', () => {
  let system: CompiledSystem;
  let unchanged: Promise<string>;
  const searches = new Map<string, Promise<FoundBug | undefined>>();
  const queue = [...INJECTED_BUGS];
  const found: FoundBug[] = [];

  /** Puts the bug in, and runs seeds until a rule is broken. Undefined when none is. */
  async function find(bug: InjectedBug): Promise<FoundBug | undefined> {
    const { by } = bug;
    if ('model' in by) {
      // their own specs demand that they are found
      const mistake = [...TWO_PHASE_MISTAKES, ...THREE_PHASE_MISTAKES].find(({ name }) => name === by.model);
      return mistake && { bug, where: 'the model', rule: mistake.breaks.join(', ') };
    }
    const { family = 'storm', calm } = bug.seeds ?? {};
    const options: RunOptions = {
      from: 1,
      step: 1,
      seeds: MAXIMUM_SEEDS,
      hours: Infinity,
      family,
      calm,
      sabotage: 'sabotage' in by ? by.sabotage : undefined,
      stopsAtFirst: true,
    };
    const entry = 'edits' in by ? await system.copy(by.edits) : await unchanged;
    const { violations } = await runInProcess(entry, options, SEARCH_TIMEOUT_MS);
    const [first] = violations;
    return first && { bug, where: `seed ${first.seed}, ${calm ? 'calm' : family}`, rule: withoutIds(first.rule) };
  }

  async function work(): Promise<void> {
    for (let bug = queue.shift(); bug; bug = queue.shift()) {
      const search = find(bug);
      searches.set(bug.name, search);
      const result = await search.catch(() => undefined); // told by the test of that bug
      if (result) found.push(result);
    }
  }

  beforeAll(async () => {
    system = await CompiledSystem.make();
    unchanged = system.copy();
    await unchanged;
    await Promise.all(Array.from({ length: WORKERS }, work));
  }, TIMEOUT_MS);

  afterAll(() => system.remove());

  it('have names of their own, and every sabotage is one of them', () => {
    expect(new Set(INJECTED_BUGS.map(({ name }) => name)).size).toBe(INJECTED_BUGS.length);
    const sabotages = INJECTED_BUGS.flatMap(({ by }) => ('sabotage' in by ? [by.sabotage] : []));
    expect(sabotages.sort()).toEqual([...SABOTAGES].sort());
  });

  it.each(INJECTED_BUGS.map(({ name }) => name))('found: %s', async (name) => {
    await expect(searches.get(name)).resolves.toMatchObject({ rule: expect.stringMatching(/./) });
  });

  it('stand in the table of the documentation, all of them and no others', () => {
    if (isUpdate) writeFileSync(DOCUMENT, bugTable(found));
    expect(namesInTable(readFileSync(DOCUMENT, 'utf8')).sort()).toEqual(INJECTED_BUGS.map(({ name }) => name).sort());
  });
});
