import { describe, expect, it } from '@jest/globals';
import { UNKNOWN_OLD_CAPACITY, UnknownOldBranches } from './unknown-old-branches.js';

const branch = (n: number, transactionId = `transaction-${n}`) => {
  return { transactionId, branchId: `branch-${n}`, participant: 'bank-a' };
};

describe('UnknownOldBranches', () => {
  it('knows a branch from the first time on, until an operator has ruled on it', () => {
    let now = 5;
    const branches = new UnknownOldBranches(() => now++);
    expect([branches.add(branch(1)), branches.add(branch(1))]).toEqual([true, false]);
    expect([...branches.list()]).toEqual([{ ...branch(1), since: 5 }]);
    branches.remove('transaction-1', 'branch-1');
    expect(branches.size).toBe(0);
  });

  it('is not kept from listing a branch by those that nobody asks about any more', () => {
    const branches = new UnknownOldBranches(() => 0);
    branches.add(branch(0));
    for (let n = 1; n < 3 * UNKNOWN_OLD_CAPACITY; n++) {
      branches.add(branch(n));
      if (n % 100 === 0) expect(branches.add(branch(0))).toBe(false); // its participant goes on asking
    }
    expect(branches.size).toBe(UNKNOWN_OLD_CAPACITY);
    expect(branches.add(branch(3 * UNKNOWN_OLD_CAPACITY))).toBe(true);
    expect(branches.find('transaction-0', 'branch-0')).toMatchObject(branch(0));
  });

  it('is not kept from listing a branch by who asks about it in another transaction', () => {
    const branches = new UnknownOldBranches(() => 0);
    expect(branches.add(branch(1, 'another'))).toBe(true);
    expect(branches.add(branch(1))).toBe(true);
    expect(branches.find('transaction-1', 'branch-1')).toMatchObject(branch(1));
  });
});
