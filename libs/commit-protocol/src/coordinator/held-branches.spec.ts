import { describe, expect, it } from '@jest/globals';
import type { DecideRecord } from '../log/records.js';
import { AT, LeaderDriver, beginOf, branchOf, idOf } from '../testing/leader-driver.js';
import { COMMIT_REQUESTED, enlist } from '../testing/decision-machine.js';
import type { BranchSpecification, Protocol } from '../vocabulary/types.js';

/** A branch whose session a process holds. */
function heldBranch(branch: number, heldBy = `bank-${branch}-1`): BranchSpecification {
  return branchOf(branch, { operations: [], heldBy });
}

function opened(...branches: readonly BranchSpecification[]): LeaderDriver {
  return openedIn('2pc', ...branches);
}

function openedIn(protocol: Protocol, ...branches: readonly BranchSpecification[]): LeaderDriver {
  const driver = new LeaderDriver().begun(beginOf([], { closed: false, protocol }));
  for (const branch of branches) driver.propose(enlist(branch));
  return driver.applyAll();
}

const gone = (branch: number, instance = `bank-${branch}-1`) =>
  ({ type: 'instance-gone', participant: `bank-${branch}`, instance }) as const;

function causeIn(driver: LeaderDriver): DecideRecord['cause'] {
  return driver.inFlight.find((record): record is DecideRecord => record.type === 'decide')?.cause;
}

describe('a held branch, for its leader', () => {
  it.each<Protocol>(['2pc', '3pc'])('is asked to prepare by its instance, without operations (%s)', (protocol) => {
    const driver = openedIn(protocol, heldBranch(1), branchOf(2)).handle({ type: 'commit' }).applyAll();
    expect(driver.sent).toMatchObject([
      { type: 'prepare', protocol, branchId: idOf(1, 1), operations: [], heldBy: 'bank-1-1' },
      { type: 'prepare', protocol, branchId: idOf(1, 2) },
    ]);
    expect(driver.sent[1]).not.toHaveProperty('heldBy');
  });

  it('names its instance in the decision, too, and keeps it across a change of leader', () => {
    const driver = opened(heldBranch(1), branchOf(2)).handle({ type: 'commit' }).applyAll().failOver();
    expect(driver.sent.at(-2)).toMatchObject({ type: 'prepare', attempt: 1, heldBy: 'bank-1-1' });
    driver.sent = [];
    driver.vote(1, 'yes').vote(2, 'yes').applyAll();
    expect(driver.sent).toMatchObject([{ type: 'decision', decision: 'commit', heldBy: 'bank-1-1' }, {}]);
  });

  it('is never delegated, because its work is done', () => {
    const driver = opened(heldBranch(1)).handle({ type: 'commit' }).applyAll();
    expect([driver.takeSent(), driver.transaction.delegatedTo]).toEqual([['prepare 1'], undefined]);
  });

  it('gets the abort of an open transaction, because it holds locks', () => {
    const cause = { reason: 'CLIENT_ABORTED', detail: 'the client aborted' } as const;
    const driver = opened(heldBranch(1), branchOf(2)).handle({ type: 'abort', cause }).applyAll();
    expect([driver.takeSent(), driver.endOf(1), driver.endOf(2)]).toEqual([['abort 1'], undefined, 'aborted']);
  });
});

describe('an instance that is gone', () => {
  it.each<Protocol>(['2pc', '3pc'])(
    'aborts the transaction before its vote, in the name of its branch (%s)',
    (protocol) => {
      const driver = openedIn(protocol, heldBranch(1), branchOf(2)).handle({ type: 'commit' }).applyAll();
      driver.vote(2, 'yes').handle(gone(1));
      expect(driver.proposed()).toEqual(['decide abort']);
      expect(causeIn(driver)).toEqual({
        reason: 'PARTICIPANT_REFUSED',
        detail: 'the process "bank-1-1" held the branch and is gone; repeat the transaction',
        branchId: idOf(1, 1),
        participant: 'bank-1',
        participantCode: 'INSTANCE_GONE',
      });
    },
  );

  it('aborts also while branches may still join', () => {
    expect(opened(heldBranch(1)).handle(gone(1)).proposed()).toEqual(['decide abort']);
  });

  it('aborts behind a commit request that is in flight', () => {
    const driver = opened(heldBranch(1)).handle({ type: 'commit' }).handle(gone(1));
    expect(driver.proposed()).toEqual(['commit-requested']);
    driver.applyNext();
    expect(driver.proposed()).toEqual(['decide abort']);
  });

  it.each([
    ['has voted', gone(1)],
    ['is another process', gone(2, 'bank-2-2')],
    ['belongs to another participant', { ...gone(2), participant: 'bank-1' }],
    ['holds no branch', gone(3, 'bank-3-1')],
  ])('changes nothing when it %s', (_, event) => {
    const driver = opened(heldBranch(1), heldBranch(2), branchOf(3)).handle({ type: 'commit' }).applyAll();
    driver.vote(1, 'yes').handle(event);
    expect(driver.proposed()).toEqual([]);
  });

  it('changes nothing under a ballot, which needed its vote', () => {
    const driver = openedIn('3pc', heldBranch(1), heldBranch(2), branchOf(3)).handle({ type: 'commit' }).applyAll();
    for (const branch of [1, 2, 3]) driver.vote(branch, 'yes');
    driver.handle(gone(1)).applyAll();
    expect(driver.transaction.preCommit).toBeDefined();
    const failedOver = driver.failOver(); // has no votes, only the ballot
    expect(failedOver.handle(gone(1)).proposed()).not.toContain('decide abort');
  });

  it('changes nothing after the decision', () => {
    const driver = opened(heldBranch(1)).handle({ type: 'commit' }).applyAll().vote(1, 'yes').applyAll();
    expect(driver.failOver().handle(gone(1)).proposed()).toEqual([]);
  });
});

describe('a held branch in the log', () => {
  it('is repeated by the same enlistment alone', () => {
    const driver = opened(heldBranch(1));
    const apply = (branch: BranchSpecification) => driver.state.apply(enlist(branch), 50).refusal;
    expect(apply(heldBranch(1))).toBeUndefined();
    expect(driver.transaction.branches).toHaveLength(1);
    expect(apply(heldBranch(1, 'bank-1-2'))).toBe('BRANCH_CONFLICT');
    expect(apply(branchOf(1))).toBe('BRANCH_CONFLICT');
    expect(apply(branchOf(1, { operations: [], enlistedVote: 'yes' }))).toBe('BRANCH_CONFLICT');
  });

  it('does not become what work or a vote has enlisted', () => {
    const driver = opened(branchOf(1), branchOf(2, { operations: [], enlistedVote: 'yes' }));
    for (const branch of [1, 2]) {
      expect(driver.state.apply(enlist(heldBranch(branch)), 50).refusal).toBe('BRANCH_CONFLICT');
    }
  });

  it('commits only with its vote', () => {
    const driver = opened(heldBranch(1)).propose(COMMIT_REQUESTED).applyAll();
    const decide = { type: 'decide', transactionId: idOf(1), decision: 'commit', reports: [], at: AT } as const;
    expect(driver.state.apply(decide, 60).refusal).toBe('VOTES_MISSING');
  });
});
