import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { INJECTED_BUGS } from '../simulation/testing/injected-bugs.js';
import { edited } from '@concordat/foundation/testing';

const ROOT = path.resolve(import.meta.dirname, '../..');
const edits = INJECTED_BUGS.flatMap(({ name, by }) =>
  'edits' in by ? by.edits.map((edit) => [name, edit] as const) : [],
);

describe('the injected bugs of the whole system', () => {
  // The simulation that looks for them takes minutes; this tells at once which one a change of the source has lost.
  it.each(edits)('fits the source: %s', (_name, edit) => {
    const text = readFileSync(path.join(ROOT, edit.file), 'utf8');
    expect(edited(text, edit)).not.toBe(text);
  });
});
