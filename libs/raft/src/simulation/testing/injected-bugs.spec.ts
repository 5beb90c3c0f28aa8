import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { edited } from '@concordat/foundation/testing';
import { INJECTED_BUGS } from './injected-bugs.js';
import { RAFT_PROGRAM } from './program.js';

describe('the injected bugs', () => {
  // The simulation that looks for them takes minutes; this tells at once which one a change of the source has lost.
  it.each(INJECTED_BUGS.map((bug) => [bug.name, bug] as const))('fits the source: %s', (_name, { edits }) => {
    for (const edit of edits) {
      const text = readFileSync(path.join(RAFT_PROGRAM.root, edit.file), 'utf8');
      expect(edited(text, edit)).not.toBe(text);
    }
  });
});
