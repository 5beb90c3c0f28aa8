import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { Script } from './testing/script/script.js';

/*
 * Runs every script of testing/golden and compares what comes out with what is recorded in it.
 *
 *     npm run jest -- --selectProjects unit -- libs/raft/src/core/golden
 *     npm run jest -- --selectProjects unit -t figure-8 -- libs/raft/src/core/golden
 *
 * A script says first, in comments, what must come out and why; then come its commands. RAFT_UPDATE_GOLDEN=1 records
 * the outputs anew; whoever does that compares them with the comments. It is refused in continuous integration.
 */

const folder = path.join(import.meta.dirname, 'testing/golden');
const scripts = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.txt'))
  .sort();
const isUpdate = process.env['RAFT_UPDATE_GOLDEN'] === '1';

describe('golden scripts', () => {
  it('are recorded by people, not by continuous integration', () => {
    expect(isUpdate && process.env['CI'] !== undefined).toBe(false);
  });

  it('are at least 120', () => {
    expect(scripts.length).toBeGreaterThanOrEqual(120);
  });

  it('show the 26 statements of the paper’s section 5, each with a script or more', () => {
    const index = readFileSync(path.join(folder, 'paper-section-5.md'), 'utf8');
    const statements = index.split('\n').filter((line) => /^\|\s*\d+\s*\|/.test(line));
    const shown = statements.map((line) => Array.from(line.matchAll(/`(paper-[^`]+)`/g), (match) => `${match[1]}.txt`));
    expect(shown).toHaveLength(26);
    expect(shown.every((files) => files.length > 0)).toBe(true);
    const present = scripts.map((file) => path.basename(file)).filter((file) => file.startsWith('paper-'));
    expect(shown.flat().sort()).toEqual(present);
  });

  it.each(scripts)('%s', (file) => {
    const place = path.join(folder, file);
    const recorded = readFileSync(place, 'utf8');
    const script = Script.parse(path.relative(process.cwd(), place), recorded);
    const actual = script.run();
    if (isUpdate && process.env['CI'] === undefined) return writeFileSync(place, actual);
    expect(actual).toBe(recorded);
  });
});
