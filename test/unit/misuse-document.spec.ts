import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';

const root = path.resolve(import.meta.dirname, '../..');
const DOCUMENT = 'docs/guides/misuse.md';

/** The rows of all tables, as cells. */
function rows(): string[][] {
  const lines = readFileSync(path.join(root, DOCUMENT), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| ---') && !line.startsWith('| situation'));
  return lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

describe('the list of misuse', () => {
  it.each(rows().map((cells) => [cells[0]!, cells]))('%s: has all its cells, and a test that exists', (_, cells) => {
    expect(cells).toHaveLength(5);
    for (const cell of cells) expect(cell).not.toBe('');
    const [, name = '', file = ''] = /^\[(.+)\]\((.+)\)$/.exec(cells.at(-1)!) ?? [];
    const source = readFileSync(path.join(root, path.dirname(DOCUMENT), file), 'utf8');
    expect(source.includes(`'${name}'`) || source.includes(`: ${name}'`) || source.includes(` ${name}'`)).toBe(true);
  });

  it('has a row for each situation', () => {
    expect(rows().length).toBeGreaterThan(20);
  });
});
