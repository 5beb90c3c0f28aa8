import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { format } from '../reference/format.js';
import { referencePages } from '../reference/pages.js';

const root = path.resolve(import.meta.dirname, '../..');
const folder = path.join(root, 'docs/reference');

describe('docs/reference', () => {
  it('is what the docstrings say; else run "npm run reference"', async () => {
    const pages = referencePages(root);
    expect(readdirSync(folder).sort()).toEqual([...pages.keys()].sort());
    for (const [name, text] of pages) {
      const written = readFileSync(path.join(folder, name), 'utf8');
      expect([name, written === (await format(root, name, text))]).toEqual([name, true]);
    }
  }, 180_000);
});
