import { describe, expect, it } from '@jest/globals';
import { kindOf, ledgerProblems } from './duplicate-storm.js';

const ids = new Set(['t']);
const row = (outcome: string, updatedAt = '1', transactionId = 't') => ({ transactionId, outcome, updatedAt });
const before = new Map([['b', row('committed')]]);

describe('the ledger after the storm', () => {
  it.each([
    ['the same', new Map([['b', row('committed')]]), 0],
    ['rows of other transactions', new Map([...before, ['c', row('committed', '2', 'other')]]), 0],
    ['a late tombstone', new Map([...before, ['c', row('aborted', '2')]]), 0],
    ['a late commit', new Map([...before, ['c', row('committed', '2')]]), 1],
    ['a row that was written again', new Map([['b', row('committed', '2')]]), 1],
    ['another outcome', new Map([['b', row('aborted')]]), 1],
    ['a row that is gone', new Map(), 1],
  ])('%s', (_what, after, problems) => expect(ledgerProblems(ids, before, after)).toHaveLength(problems));
});

describe('the kind of a message', () => {
  it.each([null, Buffer.alloc(0), Buffer.from('COMMIT'), Buffer.of(0xff)])(
    'is unreadable for what is none',
    (value) => {
      expect(kindOf({ value }).kind).toBe('unreadable');
    },
  );
  it.each([
    [{ type: 'decision', decision: 'abort', transactionId: 't' }, 'decision abort', 't'],
    [{ type: 'vote', vote: 'yes', transactionId: 't' }, 'vote yes', 't'],
    [{ type: 'announce', participant: 'bank-a' }, 'announce', undefined],
    [null, 'unreadable', undefined],
  ])('%j', (fields, kind, transactionId) => {
    expect(kindOf({ value: Buffer.from(JSON.stringify(fields)) })).toEqual({ kind, transactionId });
  });
});
