import { describe, expect, it } from '@jest/globals';
import { UnreadableLedgerRowError, ledgerRowOf } from './ledger-row.js';

describe('a row of the ledger', () => {
  it('is read as a commit with its results, or as an abort with its reason', () => {
    expect(ledgerRowOf({ outcome: 'committed', result: [1], decided: false })).toEqual({
      outcome: 'committed',
      results: [1],
    });
    const error = { code: 'SOLD_OUT', message: 'nothing left' };
    expect(ledgerRowOf({ outcome: 'aborted', result: error, decided: true })).toEqual({
      outcome: 'aborted',
      error,
      isDecided: true,
    });
  });

  it('is nothing where there is none', () => {
    expect(ledgerRowOf(undefined)).toBeUndefined();
  });

  it.each(['comitted', '', null])('tells no end when it was edited to %j', (outcome) => {
    expect(() => ledgerRowOf({ outcome, result: null, decided: false })).toThrow(UnreadableLedgerRowError);
  });
});
