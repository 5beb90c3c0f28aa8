import { describe, expect, it } from '@jest/globals';
import type { Refusal } from './apply-result.js';
import { DecisionState } from './decision-state.js';
import { PlainEndedTransactions } from '../testing/plain-ended-transactions.js';
import type { DecisionStateSnapshot } from './decision-state-snapshot.js';
import { MAXIMUM_TIME_STEP_MS } from './log-time.js';
import type { BeginRecord, BranchesDoneRecord, DecideRecord, LogRecord } from './records.js';
import { AT, beginOf, branchOf, idOf, preparedBranch } from '../testing/leader-driver.js';
import type { BranchEnd } from '../vocabulary/types.js';
import { TWO, OPEN, CLAIM, enlist, decide, done, COMMIT_REQUESTED, after } from '../testing/decision-machine.js';

describe('the replicated state', () => {
  it.each<[string, readonly LogRecord[], LogRecord, Refusal]>([
    ['2 a transaction begins once', [TWO], TWO, 'TRANSACTION_EXISTS'],
    ['2 nothing is known of another transaction: enlist', [], enlist(branchOf(1)), 'UNKNOWN_TRANSACTION'],
    ['2 nothing is known of another transaction: commit', [], COMMIT_REQUESTED, 'UNKNOWN_TRANSACTION'],
    ['2 nothing is known of another transaction: decide', [], decide('abort'), 'UNKNOWN_TRANSACTION'],
    ['2 a commit needs all votes', [TWO], decide('commit', ['yes']), 'VOTES_MISSING'],
    ['2 a commit needs votes that are not no', [TWO], decide('commit', ['yes', 'no']), 'VOTES_MISSING'],
    ['2 the first Decide wins: abort', [TWO, decide('abort')], decide('commit', ['yes', 'yes']), 'DECIDED'],
    ['2 the first Decide wins: commit', [TWO, decide('commit', ['yes', 'yes'])], decide('abort'), 'DECIDED'],
    ['2 no enlist after the decision', [OPEN, decide('abort')], enlist(branchOf(2)), 'DECIDED'],
    ['2 no enlist after CommitRequested', [OPEN, COMMIT_REQUESTED], enlist(branchOf(2)), 'CLOSED'],
    ['2 no enlist into a one-shot transaction', [TWO], enlist(branchOf(3)), 'CLOSED'],
    ['2 CommitRequested comes once', [OPEN, COMMIT_REQUESTED], COMMIT_REQUESTED, 'CLOSED'],
    ['2 no CommitRequested after the decision', [OPEN, decide('abort')], COMMIT_REQUESTED, 'DECIDED'],
    [
      '2 a branch belongs to one participant',
      [OPEN],
      enlist(branchOf(1, { participant: 'bank-9' })),
      'BRANCH_CONFLICT',
    ],
    [
      '2 a prepared branch keeps the vote it came with',
      [OPEN, enlist(preparedBranch(2))],
      enlist(preparedBranch(2, 'read-only')),
      'BRANCH_CONFLICT',
    ],
    ['2 a branch with work cannot become a prepared one', [OPEN], enlist(preparedBranch(1)), 'BRANCH_CONFLICT'],
    [
      '4.7 the coordinator does not decide what it has delegated',
      [beginOf([branchOf(1)], { delegateTo: idOf(1, 1) })],
      decide('abort'),
      'DELEGATED',
    ],
    [
      '4.7 a branch does not decide what was not delegated',
      [TWO],
      decide('commit', ['yes', 'yes'], { delegatedEnd: 'committed' }),
      'DELEGATED',
    ],
    [
      '4.6 an idempotency key belongs to one transaction',
      [{ ...TWO, idempotency: CLAIM }],
      { ...beginOf([]), transactionId: idOf(2), idempotency: CLAIM },
      'KEY_IN_USE',
    ],
    [
      '4.6 an idempotency key of an enlistment is used once',
      [{ ...OPEN, idempotency: CLAIM }],
      enlist(branchOf(2), { idempotency: CLAIM }),
      'KEY_IN_USE',
    ],
  ])('%s', (_name, before, record, refusal) => {
    expect(after(...before).refusal(record)).toBe(refusal);
  });

  it('2 a refused Decide returns the first', () => {
    const { state } = after(TWO, decide('abort'));
    expect(state.apply(decide('commit', ['yes', 'yes']), 9).transactions).toMatchObject([{ decision: 'abort' }]);
  });

  it.each<[string, BeginRecord, DecideRecord, readonly (BranchEnd | undefined)[]]>([
    [
      '2 commit: a read-only branch has ended, others are told',
      TWO,
      decide('commit', ['yes', 'read-only']),
      [undefined, 'read-only'],
    ],
    [
      '4.5 abort: a branch that voted no has ended, others are told',
      TWO,
      decide('abort', ['no']),
      ['aborted', undefined],
    ],
    ['4.5 abort: who was asked and did not vote is told', TWO, decide('abort'), [undefined, undefined]],
    [
      '2 abort of an open transaction: only what was prepared is told',
      beginOf([branchOf(1), preparedBranch(2)], { closed: false }),
      decide('abort'),
      ['aborted', undefined],
    ],
  ])('%s', (_name, begin, record, ends) => {
    expect(after(begin, record).transaction?.branches.map(({ end }) => end)).toEqual(ends);
  });

  it('4.3 early votes of enlisted branches count without a report', () => {
    const machine = after(beginOf([preparedBranch(1)], { closed: false }), enlist(preparedBranch(2)), COMMIT_REQUESTED);
    expect(machine.refusal(decide('commit'))).toBeUndefined();
  });

  it('2 operations of a participant that is enlisted again join its branch, in order', () => {
    const [first, second] = [branchOf(1).operations[0]!, { operation: 'credit', payload: 2, keys: [] }];
    const machine = after(OPEN, enlist(branchOf(1, { operations: [second] })));
    expect(machine.transaction?.branches.map(({ operations }) => operations)).toEqual([[first, second]]);
  });

  it('2 an enlistment that is repeated with its vote changes nothing', () => {
    const machine = after(OPEN, enlist(preparedBranch(2)), enlist(preparedBranch(2)));
    expect(machine.transaction?.branches).toHaveLength(2);
  });

  it('4.7 a delegation that does not fit what was enlisted meanwhile is dropped', () => {
    const request: LogRecord = { ...COMMIT_REQUESTED, delegateTo: idOf(1, 1) };
    expect(after(OPEN, request).transaction?.delegatedTo).toBe(idOf(1, 1));
    const both = after(OPEN, enlist(branchOf(2)), request).transaction;
    expect([both?.closed, both?.delegatedTo]).toEqual([true, undefined]);
  });

  it('2 BranchDone: the transaction ends with its last branch, whatever is repeated', () => {
    const machine = after(TWO, decide('commit', ['yes', 'yes']), done({ 1: 'committed' }), done({ 1: 'committed' }));
    expect(machine.transaction?.endedAt).toBeUndefined();
    machine.apply(done({ 1: 'aborted', 2: 'committed' }));
    expect(machine.transaction).toMatchObject({ outcome: 'committed', endedAt: AT + 9 });
    expect([machine.state.openCount, machine.state.unpublishedCount]).toEqual([0, 1]);
  });

  it('2 BranchDone before the decision, or of an unknown branch, changes nothing', () => {
    const machine = after(TWO, done({ 1: 'committed', 7: 'aborted' }));
    expect(machine.transaction?.branches.map(({ end }) => end)).toEqual([undefined, undefined]);
  });

  it('4.5 a hazard stays, makes the outcome mixed and keeps the transaction open', () => {
    const machine = after(TWO, decide('commit', ['yes', 'yes']), done({ 1: 'heuristic-rollback' }));
    machine.apply(done({ 1: 'committed', 2: 'committed' }));
    expect(machine.transaction).toMatchObject({ outcome: 'mixed', branches: [{ end: 'heuristic-rollback' }, {}] });
    expect(machine.state.openCount).toBe(1);
  });

  it('2 what has ended is archived when its outcome is published, and expires behind the watermark', () => {
    const begin = { ...TWO, idempotency: CLAIM };
    const machine = after(begin, decide('abort', ['no', 'no']));
    expect(machine.state.archive.size).toBe(0);
    machine.apply(done({}, 2));
    expect([machine.state.unpublishedCount, machine.state.archive.size]).toEqual([0, 1]);
    expect(machine.state.findClaim('key-1')).toMatchObject({ claim: CLAIM, transaction: { decision: 'abort' } });
    expect(machine.refusal(begin)).toBe('TRANSACTION_EXISTS');
    machine.apply({ type: 'expire', before: AT + 6 }, { type: 'expire', before: AT });
    expect([machine.transaction, machine.state.findClaim('key-1')]).toEqual([undefined, undefined]);
    expect([machine.state.watermark, machine.state.mayHaveExpired(idOf(1))]).toEqual([AT + 6, true]);
  });

  it('3 an id from behind the watermark is not presumed aborted; a newer one may be', () => {
    const { state } = after({ type: 'expire', before: AT - 1 });
    expect(state.mayHaveExpired(idOf(1))).toBe(false);
    expect(state.mayHaveExpired('00000000-0000-4000-8000-000000000000')).toBe(true); // tells no time
  });

  describe('log time', () => {
    const clock = (at: number): LogRecord => ({ type: 'branches-done', items: [], publishedIndex: 0, at: AT + at });
    const expire = (before: number, at: number, crowded?: true): LogRecord => {
      return { type: 'expire', before: AT + before, at: AT + at, ...(crowded && { crowded }) };
    };
    /** archived at AT + 5, or a little later */
    const ENDED = [TWO, decide('abort', ['no', 'no']), done({}, 2)];
    const HOUR = 3_600_000;
    const everyMinute = (minutes: number, from = 0): LogRecord[] =>
      Array.from({ length: minutes }, (_, minute) => clock(from + (minute + 1) * MAXIMUM_TIME_STEP_MS));

    it.each<[string, readonly LogRecord[], { now: number; steppedTo: number }]>([
      ['starts at the first record, by a step', [], { now: -1_000, steppedTo: -1_000 }],
      ['goes with the records', [clock(500), clock(900)], { now: 900, steppedTo: -1_000 }],
      ['never goes back', [clock(900), clock(-HOUR)], { now: 900, steppedTo: -1_000 }],
      ['is moved on by refused records too', [{ ...decide('abort'), at: AT + 7 }], { now: 7, steppedTo: -1_000 }],
      ['is moved by a minute without a step', [clock(59_000)], { now: 59_000, steppedTo: -1_000 }],
      ['makes a step beyond a minute', [clock(59_001)], { now: 59_001, steppedTo: 59_001 }],
      ['forgets a step for the next one', [clock(HOUR), clock(3 * HOUR)], { now: 3 * HOUR, steppedTo: 3 * HOUR }],
    ])('%s', (_name, records, { now, steppedTo }) => {
      const { logTime } = after(...records).state;
      expect([logTime.now - AT, logTime.steppedTo - AT]).toEqual([now, steppedTo]);
    });

    it.each<[string, readonly LogRecord[], LogRecord, Refusal | undefined, number]>([
      ['drops what is old', [...everyMinute(60)], expire(6, HOUR), undefined, 0],
      ['drops nothing behind a step', [clock(HOUR)], expire(6, HOUR), 'AGE_UNKNOWN', 1],
      ['drops nothing by the step that it makes itself', [], expire(6, HOUR), 'AGE_UNKNOWN', 1],
      [
        'drops nothing until what it asks for lies behind the step',
        [clock(HOUR), clock(HOUR + 9)],
        expire(HOUR - 1, HOUR + 9),
        'AGE_UNKNOWN',
        1,
      ],
      [
        'drops it when the retention has passed since the step',
        [clock(HOUR), ...everyMinute(60, HOUR)],
        expire(HOUR, 2 * HOUR),
        undefined,
        0,
      ],
      ['drops behind a step what is too much', [clock(HOUR)], expire(6, HOUR, true), undefined, 0],
      [
        'goes by its record as it did, where there was no log time',
        [clock(HOUR)],
        { type: 'expire', before: AT + 6 },
        undefined,
        0,
      ],
    ])('%s', (_name, records, record, refusal, left) => {
      const machine = after(...ENDED, ...records);
      expect([machine.refusal(record), machine.state.archive.size]).toEqual([refusal, left]);
    });

    it('bounds the watermark, whatever a record asks for', () => {
      const { state } = after(...everyMinute(3), expire(HOUR, 180_000));
      expect(state.watermark).toBe(AT + 180_000);
    });

    it('stamps ends by the log, so that who ends later has the later time, whatever its leader says', () => {
      const machine = after(TWO, clock(50_000), decide('abort', ['no', 'no']));
      expect(machine.transaction).toMatchObject({ decidedAt: AT + 50_000, endedAt: AT + 50_000 });
    });

    it('3 what was dropped is never presumed aborted, even if its id is from the future', () => {
      const future = idOf(1).replace(/^[0-9a-f]{8}/, '019bffff'); // some days ahead
      const machine = after(
        { ...TWO, transactionId: future },
        { ...decide('abort'), transactionId: future },
        {
          ...(done({}, 2) as BranchesDoneRecord),
          items: [1, 2].map((number) => ({
            transactionId: future,
            branchId: idOf(1, number),
            end: 'aborted' as const,
          })),
        },
      );
      machine.apply({ ...(done({}, 4) as BranchesDoneRecord), at: AT + 10 });
      expect(machine.state.archive.size).toBe(1);
      machine.apply(expire(HOUR, 20, true));
      expect(machine.state.find(future)).toBeUndefined();
      expect(machine.state.mayHaveExpired(future)).toBe(true);
    });
  });

  describe('the birth of the group', () => {
    const born = (at: number): LogRecord => ({ type: 'group-born', at: AT + at });
    const unborn = (...records: readonly LogRecord[]): DecisionState => {
      const state = new DecisionState(new PlainEndedTransactions());
      for (const [index, record] of records.entries()) state.apply(record, index + 1);
      return state;
    };

    it('3 nothing is presumed before it', () => {
      expect(unborn(COMMIT_REQUESTED).mayHaveExpired(idOf(1))).toBe(true);
    });

    it('3 what is older is not presumed aborted; what is younger is', () => {
      expect(unborn(born(1)).mayHaveExpired(idOf(1))).toBe(true);
      expect(unborn(born(0)).mayHaveExpired(idOf(1))).toBe(false);
    });

    it('comes once: the first one in the log counts', () => {
      const state = unborn(born(0));
      expect(state.apply(born(5), 2).refusal).toBe('ALREADY_BORN');
      expect([state.bornAt, state.watermark]).toEqual([AT, AT]);
    });

    it('of a group that is older than its record forgets nothing', () => {
      const state = unborn(TWO, born(5));
      expect([state.find(idOf(1))?.transactionId, state.bornAt]).toEqual([idOf(1), AT + 5]);
    });

    it('stands in snapshots, with log time', () => {
      const state = unborn(born(0), { type: 'participant', name: 'bank-1', operations: [], at: AT + 100_000 });
      const copy = new DecisionState(new PlainEndedTransactions());
      copy.restoreSnapshot(
        JSON.parse(JSON.stringify(state.takeSnapshot())) as ReturnType<DecisionState['takeSnapshot']>,
      );
      expect([copy.bornAt, copy.watermark, copy.logTime.now, copy.logTime.steppedTo]).toEqual([
        AT,
        AT,
        AT + 100_000,
        AT + 100_000,
      ]);
    });

    it('is missing in a snapshot from before there was one, whose latest time is its log time', () => {
      const { time: _, ...old } = unborn({ ...TWO, at: AT + 3 }).takeSnapshot();
      const copy = new DecisionState(new PlainEndedTransactions());
      copy.restoreSnapshot(JSON.parse(JSON.stringify(old)) as ReturnType<DecisionState['takeSnapshot']>);
      expect([copy.bornAt, copy.logTime.now]).toEqual([undefined, AT + 3]);
    });
  });

  describe('the owner of a transaction', () => {
    it('stands in its Begin, and stays with it through everything, snapshots included', () => {
      const machine = after({ ...TWO, owner: 'jwt:alice' }, decide('abort'));
      expect(machine.state.find(TWO.transactionId)).toMatchObject({ owner: 'jwt:alice', decision: 'abort' });
      const restored = new DecisionState(new PlainEndedTransactions());
      restored.restoreSnapshot(JSON.parse(JSON.stringify(machine.state.takeSnapshot())) as DecisionStateSnapshot);
      expect(restored.find(TWO.transactionId)).toEqual(machine.state.find(TWO.transactionId));
    });

    it('is absent in records and snapshots of versions without owners, and nothing else changes', () => {
      const { state } = after(TWO);
      expect(Object.keys(state.find(TWO.transactionId)!)).not.toContain('owner');
      const owned = after({ ...TWO, owner: 'jwt:alice' }).state.find(TWO.transactionId)!;
      expect({ ...owned, owner: undefined }).toEqual({ ...state.find(TWO.transactionId)!, owner: undefined });
    });
  });

  it('lists open and ended ones together, newest first', () => {
    const begins = [1, 2, 3, 4].map((id) => ({ ...beginOf([]), transactionId: idOf(id) }));
    const machine = after(...begins, { ...decide('abort'), transactionId: idOf(2) });
    machine.apply(done({}, 5), { ...decide('abort'), transactionId: idOf(3) });
    const ids = (below?: string) => Array.from(machine.state.newestFirst(below), ({ transactionId }) => transactionId);
    expect(ids()).toEqual([4, 3, 2, 1].map((id) => idOf(id)));
    expect(ids(idOf(3))).toEqual([2, 1].map((id) => idOf(id)));
  });

  it('goes on from a snapshot as it would have without', () => {
    const records: readonly LogRecord[] = [
      { ...TWO, idempotency: CLAIM },
      { type: 'participant', name: 'bank-1', operations: ['debit'], at: AT },
      decide('commit', ['yes', 'yes']),
      done({ 1: 'committed' }),
      done({ 2: 'committed' }),
    ];
    const straight = after(...records);
    for (let at = 0; at <= records.length; at++) {
      const machine = after(...records.slice(0, at));
      const text = JSON.stringify(machine.state.takeSnapshot());
      machine.state.restoreSnapshot(JSON.parse(text) as ReturnType<DecisionState['takeSnapshot']>);
      machine.apply(...records.slice(at));
      expect(machine.state.takeSnapshot()).toEqual(straight.state.takeSnapshot());
      expect(machine.state.findClaim('key-1')).toEqual(straight.state.findClaim('key-1'));
    }
  });
});
