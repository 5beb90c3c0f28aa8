import { describe, expect, it } from '@jest/globals';
import { withinResultsLimit } from './branch-reports.js';
import { LIMITS } from '../vocabulary/limits.js';
import type { BranchReport } from '../log/records.js';

const report = (text: string, branchId = 'b'): BranchReport => ({ branchId, vote: 'yes', results: [text] });
/** Brackets and quotes. */
const AROUND = 4;

describe('the results that are kept of a transaction', () => {
  it.each([
    ['letters', 'x', 1],
    ['letters of two bytes', 'é', 2],
    ['letters of three bytes', '√', 3],
    ['letters of four bytes', '🦊', 4],
    ['quotation marks, which are escaped', '"', 2],
  ])('are counted in bytes: %s up to the limit, and not one more', (_what, letter, bytes) => {
    const fits = Math.floor((LIMITS.resultsBytes - AROUND) / bytes);
    const [kept] = withinResultsLimit([report(letter.repeat(fits))]);
    expect(kept).toHaveProperty('results');
    const [cut] = withinResultsLimit([report(letter.repeat(fits + 1))]);
    expect(cut).toEqual({ branchId: 'b', vote: 'yes' });
  });

  it('are those of the first branches that fit together', () => {
    const third = 'é'.repeat(LIMITS.resultsBytes / 6);
    const kept = withinResultsLimit(['1', '2', '3'].map((branchId) => report(third, branchId)));
    expect(kept.map(({ results }) => results !== undefined)).toEqual([true, true, false]);
  });
});
