import { describe, expect, it } from '@jest/globals';
import { formatCursor, parseCursor, type ListIdentity } from './cursor.js';
import { BRANCH_ID, ID } from './testing/fake-engine.js';

const lists: readonly ListIdentity[] = [
  { list: 'in-doubt' },
  { list: 'transactions' },
  { list: 'transactions', filters: { status: 'active' } },
  { list: 'transactions', filters: { participant: 'active' } },
  { list: 'transactions', filters: { status: 'active', participant: 'bank-a' } },
];

describe('a cursor', () => {
  it('is read by its own list, with the same filters in any order, and by no other', () => {
    for (const own of lists) {
      const cursor = formatCursor(own, ID);
      for (const list of lists) {
        if (list === own) expect(parseCursor(list, cursor)).toBe(ID);
        else expect(() => parseCursor(list, cursor)).toThrow('cursor must be the nextCursor');
      }
    }
    const [first, second] = [
      { participant: 'p', status: 's' },
      { status: 's', participant: 'p' },
    ].map((filters) => formatCursor({ list: 'transactions', filters }, ID));
    expect(first).toBe(second);
    expect(parseCursor(lists[1]!, formatCursor({ list: 'transactions', filters: { status: undefined } }, ID))).toBe(ID);
  });

  it.each(['zzz', ID, `${ID}.`, `${ID}.0123456789abcdef`, formatCursor(lists[1]!, ID).replace(ID, BRANCH_ID)])(
    'is not %s',
    (text) => {
      expect(() => parseCursor(lists[1]!, text)).toThrow('cursor must be the nextCursor');
    },
  );
});
