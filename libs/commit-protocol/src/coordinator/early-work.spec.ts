import { describe, expect, it } from '@jest/globals';
import { AT, LeaderDriver, beginOf, branchOf, idOf } from '../testing/leader-driver.js';
import { COMMIT_REQUESTED, enlist } from '../testing/decision-machine.js';
import type { BranchSpecification, Protocol } from '../vocabulary/types.js';

function held(branch: number): BranchSpecification {
  return branchOf(branch, { operations: [], heldBy: `bank-${branch}-1` });
}

/** An open transaction whose client requests the commit and names these branches with it. */
function requested(
  joining: readonly BranchSpecification[],
  known: readonly BranchSpecification[] = [],
  protocol: Protocol = '2pc',
) {
  const driver = new LeaderDriver().begun(beginOf([], { closed: false, protocol }));
  for (const branch of known) driver.propose(enlist(branch));
  driver.applyAll();
  for (const branch of joining) driver.propose(enlist(branch));
  return driver.handle({ type: 'commit', joining });
}

describe('a commit request that names its branches', () => {
  it('is proposed behind their enlistments, and they are asked at once', () => {
    const driver = requested([held(1), held(2)]);
    expect(driver.proposed()).toEqual(['enlist', 'enlist', 'commit-requested']);
    expect(driver.takeSent()).toEqual(['prepare 1', 'prepare 2']);
  });

  it('is decided when the log has it and all have voted, whichever comes first', () => {
    const early = requested([held(1)], [held(2)])
      .vote(1, 'yes')
      .vote(2, 'yes');
    expect(early.proposed()).toEqual(['enlist', 'commit-requested']);
    expect(early.applyAll().transaction.decision).toBe('commit');
    const late = requested([held(1)]).applyAll();
    expect(late.proposed()).toEqual([]);
    expect(late.vote(1, 'yes').applyAll().transaction.decision).toBe('commit');
  });

  it('asks nobody twice, until an answer is missing', () => {
    const driver = requested([held(1), held(2)]);
    driver.takeSent();
    driver.vote(1, 'yes').applyAll();
    expect(driver.takeSent()).toEqual([]);
    driver.handle({ type: 'resend' });
    expect(driver.sent).toMatchObject([{ type: 'prepare', branchId: idOf(1, 2), attempt: 1 }]);
  });

  it('asks again while the request is still on its way to the log', () => {
    const driver = requested([held(1)]);
    driver.takeSent();
    expect(driver.handle({ type: 'resend' }).takeSent()).toEqual(['prepare 1']);
  });

  it('aborts when one of them refuses', () => {
    const driver = requested([held(1), held(2)])
      .vote(2, 'no')
      .applyAll();
    expect(driver.transaction.decision).toBe('abort');
    expect(driver.takeSent()).toContain('abort 1');
  });

  it('is refused by the log without one of its branches, and proposed again', () => {
    const driver = requested([]);
    const record = { ...COMMIT_REQUESTED, branchIds: [idOf(1, 1)] };
    expect(driver.state.apply(record, 50).refusal).toBe('BRANCH_MISSING');
    expect(driver.transaction.closed).toBe(false);
  });

  it('waits for the log in three phases, because the branches get the whole set', () => {
    const driver = requested([held(1), held(2)], [], '3pc');
    expect(driver.takeSent()).toEqual([]);
    expect(driver.applyAll().takeSent()).toEqual(['prepare 1', 'prepare 2']);
  });

  it('waits for the log when a branch has operations, which may wait for their keys', () => {
    const driver = requested([held(1)], [branchOf(2)]);
    expect(driver.takeSent()).toEqual([]);
    expect(driver.applyAll().takeSent()).toEqual(['prepare 2', 'prepare 1']);
  });

  it('is not delegated, whatever else has one branch', () => {
    const driver = requested([held(1)], [branchOf(2)]).applyAll();
    expect(driver.transaction.delegatedTo).toBeUndefined();
  });

  it('asks nobody after the deadline', () => {
    const driver = new LeaderDriver().begun(beginOf([], { closed: false, deadline: AT })).propose(enlist(held(1)));
    driver.now = AT;
    expect(driver.handle({ type: 'commit', joining: [held(1)] }).takeSent()).toEqual([]);
  });
});

describe('the process that began a transaction and is gone', () => {
  const gone = { type: 'beginner-gone', participant: 'bank-9', instance: 'bank-9-1' } as const;

  it('aborts it while its commit has not been requested', () => {
    const driver = new LeaderDriver()
      .begun(beginOf([], { closed: false }))
      .handle(gone)
      .applyAll();
    expect(driver.transaction).toMatchObject({
      decision: 'abort',
      cause: { reason: 'CLIENT_ABORTED', detail: expect.stringContaining('"bank-9-1" of bank-9 began') },
    });
  });

  it('changes nothing afterwards', () => {
    const driver = requested([held(1)]).handle(gone);
    expect(driver.applyAll().transaction.decision).toBeUndefined();
    expect(driver.handle(gone).proposed()).toEqual([]);
  });
});
