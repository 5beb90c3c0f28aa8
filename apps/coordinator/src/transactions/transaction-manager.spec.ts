import { describe, expect, it } from '@jest/globals';
import { DECIDED, ENDED, Harness, transfer, work } from './testing/harness.js';

/** Types of the records about transactions, in order. */
const logged = (harness: Harness): string[] =>
  harness.log.applied.map(({ record }) => record.type).filter((type) => type !== 'participant');

describe('what must be in the log before which message leaves (protocol 3)', () => {
  it('lets prepares leave together with the proposal of Begin, to both participants at once', async () => {
    const harness = new Harness();
    harness.log.held = true;
    harness.watch(harness.execute());
    await harness.settle();
    expect(harness.log.proposed.map(({ type }) => type)).toEqual(['begin']);
    expect(harness.bus.sent.map(({ topic }) => topic)).toEqual(['prepare.bank-a', 'prepare.bank-b']);
    expect(harness.bus.of('prepare').every(({ attempt, epoch }) => attempt === 0 && epoch.term === 1)).toBe(true);
  });

  it('may keep Begin for a moment, and logs it together with the decision, in front of it', async () => {
    const harness = new Harness({ options: { beginDelayMs: 10 } });
    const answer = harness.watch(harness.execute());
    await harness.settle();
    expect(harness.bus.of('prepare')).toHaveLength(2);
    expect(logged(harness)).toEqual([]);
    await harness.answerPrepares('yes');
    expect(logged(harness)).toEqual(['begin', 'decide']);
    expect(answer.value?.transaction.outcome).toBe('committed');
  });

  it('logs a Begin that was kept when the decision takes longer', async () => {
    const harness = new Harness({ options: { beginDelayMs: 10 } });
    harness.watch(harness.execute());
    await harness.pass(9);
    expect(logged(harness)).toEqual([]);
    await harness.pass(1);
    expect(logged(harness)).toEqual(['begin']);
  });

  it('says that there is no leader for a Begin that was kept when the leadership ends: nothing happened', async () => {
    const harness = new Harness({ options: { beginDelayMs: 10 } });
    const answer = harness.watch(harness.execute());
    await harness.settle();
    harness.log.follow();
    await harness.settle();
    expect(answer.error).toMatchObject({ reason: 'no-leader' });
  });

  it('never keeps the Begin of a delegated transaction: its work waits for it', async () => {
    const harness = new Harness({ options: { beginDelayMs: 10 } });
    harness.watch(harness.execute({ ...transfer(), branches: [work('bank-a', 'debit')] }));
    await harness.settle();
    expect(logged(harness)).toEqual(['begin']);
    expect(harness.bus.of('commit-one-phase')).toHaveLength(1);
  });

  it('logs the Begins of transactions in the order in which they queue for their keys', async () => {
    const harness = new Harness({ options: { beginDelayMs: 10 } });
    const [two, one] = [['bank-a', 'bank-b'], ['bank-a']].map((participants) => {
      const branches = participants.map((participant) => work(participant, 'debit', ['acc-1']));
      return harness.watch(harness.execute({ ...transfer(), branches }));
    });
    await harness.answerPrepares('yes');
    harness.done(harness.bus.of('commit-one-phase')[0]!, 'committed');
    await harness.settle();
    const begins = harness.log.applied.flatMap(({ record }) => (record.type === 'begin' ? [record.transactionId] : []));
    expect(begins).toEqual([two, one].map((answer) => answer?.value?.transaction.id));
  });

  it('tells neither branches nor client of a commit before Decide is applied', async () => {
    const harness = new Harness();
    const answer = harness.watch(harness.execute());
    await harness.settle();
    harness.log.held = true;
    await harness.answerPrepares('yes');
    expect(harness.log.proposed).toMatchObject([{ type: 'decide', decision: 'commit' }]);
    expect(harness.bus.sent).toEqual([]);
    expect(answer.isSettled).toBe(false);
    harness.log.applyNext();
    await harness.settle();
    expect(harness.bus.of('decision').map(({ decision }) => decision)).toEqual(['commit', 'commit']);
    expect(answer.value).toMatchObject({ settled: true, transaction: { outcome: 'committed', decision: 'commit' } });
  });

  it('tells nobody of an abort before Decide is applied', async () => {
    const harness = new Harness();
    const answer = harness.watch(harness.execute());
    await harness.settle();
    harness.log.held = true;
    const [first, second] = harness.bus.of('prepare');
    harness.bus.forget();
    harness.vote(first!, 'yes');
    harness.vote(second!, 'no', 'INSUFFICIENT_FUNDS');
    await harness.settle();
    expect(harness.log.proposed).toMatchObject([{ type: 'decide', decision: 'abort' }]);
    expect(harness.bus.sent).toEqual([]);
    expect(answer.isSettled).toBe(false);
    harness.log.applyNext();
    await harness.settle();
    expect(harness.bus.of('decision')).toMatchObject([{ decision: 'abort', participant: 'bank-a' }]); // no tells itself
    expect(answer.value).toMatchObject({
      settled: true,
      transaction: {
        outcome: 'aborted',
        reason: 'PARTICIPANT_REFUSED',
        detail: 'bank-b says INSUFFICIENT_FUNDS',
        cause: { participant: 'bank-b', branchId: second!.branchId, participantCode: 'INSUFFICIENT_FUNDS' },
      },
    });
  });

  it('sends no prepare of an interactive transaction before its commit was requested in the log', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    await harness.enlist(id, 'bank-a');
    await harness.enlist(id, 'bank-b');
    harness.log.held = true;
    const answer = harness.watch(harness.manager.commit(id, DECIDED));
    await harness.settle();
    expect(harness.log.proposed.map(({ type }) => type)).toEqual(['commit-requested']);
    expect(harness.bus.sent).toEqual([]);
    harness.log.release();
    await harness.answerPrepares('yes');
    expect(answer.value?.transaction.outcome).toBe('committed');
  });

  it('sends commit-one-phase only when Begin with its delegation is applied', async () => {
    const harness = new Harness();
    harness.log.held = true;
    harness.watch(harness.execute({ ...transfer(), branches: [work('bank-a')] }));
    await harness.settle();
    expect(harness.log.proposed).toMatchObject([{ type: 'begin', closed: true }]);
    expect(harness.bus.sent).toEqual([]);
    harness.log.applyNext();
    await harness.settle();
    expect(harness.bus.sent).toMatchObject([
      { topic: 'prepare.bank-a', message: { type: 'commit-one-phase', attempt: 0 } },
    ]);
  });

  it('ends a transaction only when the end of its last branch is in the log', async () => {
    const harness = new Harness();
    const answer = harness.watch(harness.execute(transfer(), ENDED));
    await harness.answerPrepares('yes');
    const [first, second] = harness.bus.of('decision');
    harness.done(first!, 'committed');
    await harness.pass(100);
    expect(answer.isSettled).toBe(false);
    harness.log.held = true;
    harness.done(second!, 'committed');
    await harness.settle();
    expect(answer.isSettled).toBe(false);
    harness.log.release();
    await harness.settle();
    expect(answer.value).toMatchObject({ settled: true, transaction: { status: 'committed' } });
    expect(answer.value?.transaction.endedAt).not.toBeNull();
  });
});

describe('answers to clients (protocol 4.6)', () => {
  it('commits a transaction without branches', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    expect(await harness.manager.commit(id, ENDED)).toMatchObject({
      settled: true,
      transaction: { status: 'committed', outcome: 'committed', branches: [] },
    });
    expect(harness.bus.of('outcome')).toMatchObject([{ transactionId: id, outcome: 'committed', participants: [] }]);
  });

  it('needs no second phase when every branch only read', async () => {
    const harness = new Harness();
    const answer = harness.watch(harness.execute(transfer(), ENDED));
    await harness.answerPrepares('read-only');
    expect(harness.bus.of('decision')).toEqual([]);
    expect(answer.value).toMatchObject({ settled: true, transaction: { status: 'committed' } });
  });

  it('answers with the results that were logged with the decision', async () => {
    const harness = new Harness();
    const id = await harness.committed();
    const { branches } = (await harness.manager.get(id, 'linearizable')).value;
    expect(branches.map(({ operations }) => operations[0]?.result)).toEqual([{ by: 'bank-a' }, { by: 'bank-b' }]);
  });

  it('answers as undecided after waitMs when the branches are closed in the log', async () => {
    const harness = new Harness();
    const answer = harness.watch(harness.execute(transfer(), { wait: 'decided', waitMs: 1_000 }));
    await harness.pass(999);
    expect(answer.isSettled).toBe(false);
    await harness.pass(1);
    expect(answer.value).toMatchObject({ settled: false, transaction: { status: 'preparing', decision: null } });
  });

  it('promises nothing as long as the request is not in the log', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    await harness.enlist(id);
    harness.log.held = true;
    const answer = harness.watch(harness.manager.commit(id, { wait: 'decided', waitMs: 1_000 }));
    await harness.pass(1_000);
    expect(answer.isSettled).toBe(false);
    harness.log.release();
    await harness.settle(); // at once
    expect(answer.value).toMatchObject({ settled: false, transaction: { id, status: 'preparing' } });
  });

  it('says OUTCOME_UNKNOWN when the request could not be logged in time', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    harness.log.held = true;
    const answer = harness.watch(harness.manager.commit(id, { wait: 'decided', waitMs: 1_000 }));
    await harness.pass(1_000);
    await harness.pass(5_000);
    expect(answer.error).toMatchObject({ code: 'OUTCOME_UNKNOWN', retryable: true });
  });

  it('with wait=ended gives a decision that is there but has not reached every branch', async () => {
    const harness = new Harness();
    const answer = harness.watch(harness.execute(transfer(), { wait: 'ended', waitMs: 500 }));
    await harness.answerPrepares('yes');
    await harness.pass(500);
    expect(answer.value).toMatchObject({ settled: false, transaction: { decision: 'commit', status: 'committing' } });
  });

  it('logs the end of branches at once when somebody waits for it, and otherwise gathers it', async () => {
    const harness = new Harness({ options: { doneDelayMs: 1_000 } });
    const waiting = harness.watch(harness.execute(transfer(), ENDED));
    await harness.answerPrepares('yes');
    for (const decision of harness.bus.of('decision')) harness.done(decision, 'committed');
    await harness.settle();
    expect(waiting.value?.settled).toBe(true);
    harness.bus.forget();

    harness.watch(harness.execute());
    await harness.answerPrepares('yes');
    for (const decision of harness.bus.of('decision')) harness.done(decision, 'committed');
    await harness.pass(999);
    expect(harness.log.state.openCount).toBe(1);
    await harness.pass(1);
    expect(harness.log.state.openCount).toBe(0);
    const items = harness.log.applied.map(({ record }) => (record.type === 'branches-done' ? record.items.length : 0));
    expect(items.filter((count) => count > 0)).toEqual([2, 2]);
  });

  it('logs the ends of one transaction together, with the last of them, when somebody waits for it', async () => {
    const harness = new Harness({ options: { doneDelayMs: 1_000 } });
    const waiting = harness.watch(harness.execute(transfer(), ENDED));
    await harness.answerPrepares('yes');
    const [first, last] = harness.bus.of('decision');
    harness.done(first!, 'committed');
    await harness.settle();
    expect(waiting.isSettled).toBe(false);
    harness.done(last!, 'committed');
    await harness.settle();
    expect(waiting.value?.settled).toBe(true);
    const items = harness.log.applied.map(({ record }) => (record.type === 'branches-done' ? record.items.length : 0));
    expect(items.filter((count) => count > 0)).toEqual([2]);
  });

  it('says that there is no leader on a node that does not lead, whatever is to be changed', async () => {
    const harness = new Harness({ leading: false });
    const { manager } = harness;
    const id = harness.newId();
    const calls = [
      harness.begin(),
      harness.execute(),
      manager.enlist(id, work('bank-a')),
      manager.commit(id, DECIDED),
      manager.abort(id, DECIDED),
    ];
    for (const call of calls) await expect(call).rejects.toMatchObject({ reason: 'no-leader', retryable: true });
    expect(harness.log.proposed).toEqual([]);
  });

  it.each([
    ['full', 'disk-full'],
    ['handingOver', 'handing-over'],
    ['overloaded', 'overloaded'],
  ] as const)(
    'says clearly that nothing happened when the log is %s, and takes the request later',
    async (lack, reason) => {
      const harness = new Harness();
      const id = await harness.begin();
      harness.log[lack] = true;
      for (const refused of [harness.begin(), harness.execute(), harness.enlist(id)]) {
        await expect(refused).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE', reason, retryable: true });
      }
      harness.log[lack] = false;
      await harness.enlist(id);
      expect(await harness.committed()).toBeDefined();
    },
  );

  it('says OUTCOME_UNKNOWN when leadership is lost under a Begin, and the log may have it or not', async () => {
    const harness = new Harness();
    harness.log.held = true;
    const begun = harness.watch(harness.begin());
    const executed = harness.watch(harness.execute());
    await harness.settle();
    harness.log.follow(1);
    await harness.settle();
    expect(begun.error).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect(executed.error).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect(harness.log.state.openCount).toBe(1);
  });

  it('still answers who waits here with the decision of the next leader', async () => {
    const harness = new Harness();
    const answer = harness.watch(harness.execute());
    await harness.settle();
    const [transaction] = harness.log.state.openTransactions();
    harness.log.follow();
    const { transactionId, branches } = transaction!;
    harness.log.apply({
      type: 'decide',
      transactionId,
      decision: 'commit',
      reports: branches.map(({ branchId }) => ({ branchId, vote: 'yes' })),
      at: harness.clock.now(),
    });
    await harness.settle();
    expect(answer.value).toMatchObject({ settled: true, transaction: { outcome: 'committed' } });
  });

  it('answers who waits here also when the decision comes with a snapshot, and forgets the events before it', async () => {
    const harness = new Harness();
    const answer = harness.watch(harness.execute());
    await harness.settle();
    const [transaction] = harness.log.state.openTransactions();
    const { transactionId, logIndex } = transaction!;
    harness.log.follow();
    expect(harness.manager.missedSince(logIndex)).toMatchObject({ kind: 'events' });
    const resets: number[] = [];
    harness.manager.onReset((throughIndex) => resets.push(throughIndex));
    harness.log.install([{ type: 'decide', transactionId, decision: 'abort', reports: [], at: harness.clock.now() }]);
    await harness.settle();
    expect(answer.value).toMatchObject({ settled: true, transaction: { outcome: 'aborted' } });
    expect(harness.manager.missedSince(logIndex)).toEqual({ kind: 'reset' });
    expect(resets).toEqual([harness.log.lastIndex]);
  });

  it('never proposes or reports the opposite of a Decide whose fate is unknown (protocol 4.4)', async () => {
    const harness = new Harness();
    const answer = harness.watch(harness.execute());
    await harness.settle();
    harness.log.held = true;
    await harness.answerPrepares('yes');
    harness.log.follow(1); // the commit made it into the log
    harness.log.held = false;
    harness.log.lead();
    await harness.pass(60_000);
    expect(answer.value?.transaction.outcome).toBe('committed');
    expect(new Set(harness.bus.of('decision').map(({ decision }) => decision))).toEqual(new Set(['commit']));
  });

  it('says at once that nothing happened when the leadership ends before a commit could be asked for', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    harness.log.held = true;
    harness.watch(harness.manager.enlist(id, work('bank-a')));
    await harness.settle();
    const answer = harness.watch(harness.manager.commit(id, DECIDED)); // waits for the enlistment
    await harness.settle();
    harness.log.follow();
    await harness.settle();
    expect(answer.error).toMatchObject({ reason: 'no-leader' });
  });

  it('refuses participants and operations that nobody announced, at once', async () => {
    const harness = new Harness();
    const of = (participant: string, operation: string): Promise<unknown> =>
      harness.execute({ ...transfer(), branches: [work(participant, operation)] });
    await expect(of('bank-x', 'debit')).rejects.toMatchObject({ code: 'UNKNOWN_PARTICIPANT' });
    await expect(of('bank-a', 'fly')).rejects.toMatchObject({
      code: 'UNKNOWN_OPERATION',
      message:
        'participant bank-a has no operation "fly" that all of its live processes serve; they serve: credit, debit, read',
    });
    harness.manager.onReply({ type: 'announce', participant: 'bank-x', operations: ['debit'] });
    await harness.settle();
    harness.watch(of('bank-x', 'debit'));
    await harness.settle();
    expect(harness.bus.sent.map(({ topic }) => topic)).toEqual(['prepare.bank-x']);
  });

  it('logs an announcement once, however often it is repeated', async () => {
    const harness = new Harness();
    const announce = (operations: string[]): void =>
      harness.manager.onReply({ type: 'announce', participant: 'bank-d', operations });
    const before = harness.log.applied.length;
    announce(['debit']);
    announce(['debit']);
    await harness.settle();
    announce(['debit']);
    await harness.settle();
    expect(harness.log.applied.length).toBe(before + 1);
    announce(['debit', 'credit']);
    await harness.settle();
    expect(harness.log.state.participant('bank-d')?.operations).toEqual(new Set(['debit', 'credit']));
  });
});

describe('commit and abort, again and against each other', () => {
  it('answers a second commit like the first', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    await harness.enlist(id, 'bank-a');
    await harness.enlist(id, 'bank-b');
    const answers = [harness.manager.commit(id, DECIDED), harness.manager.commit(id, DECIDED)].map((answer) =>
      harness.watch(answer),
    );
    await harness.answerPrepares('yes');
    for (const { value } of answers) expect(value?.transaction.outcome).toBe('committed');
    await harness.obeyDecisions();
    expect((await harness.manager.commit(id, ENDED)).transaction.status).toBe('committed');
    expect(harness.recordsOf(id).filter((type) => type !== 'enlist')).toEqual([
      'begin',
      'commit-requested',
      'decide',
      'branches-done',
    ]);
  });

  it('cannot abort what is committed, nor commit what is aborted', async () => {
    const harness = new Harness();
    const committed = await harness.committed();
    expect((await harness.manager.abort(committed, ENDED)).transaction.outcome).toBe('committed');
    const aborted = await harness.begin();
    expect((await harness.manager.abort(aborted, DECIDED)).transaction).toMatchObject({
      outcome: 'aborted',
      reason: 'CLIENT_ABORTED',
    });
    expect((await harness.manager.commit(aborted, DECIDED)).transaction.outcome).toBe('aborted');
  });

  it('decides once when commit and abort are asked for at the same time', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    await harness.enlist(id, 'bank-a');
    await harness.enlist(id, 'bank-b');
    const commit = harness.watch(harness.manager.commit(id, DECIDED));
    const abort = harness.watch(harness.manager.abort(id, DECIDED));
    await harness.answerPrepares('yes');
    expect(commit.value?.transaction.outcome).toBe('aborted');
    expect(abort.value?.transaction.outcome).toBe('aborted');
    expect(harness.recordsOf(id).filter((type) => type === 'decide')).toHaveLength(1);
  });

  it('tells a branch that was prepared before it was enlisted of the abort', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    const branchId = harness.newId();
    await harness.manager.enlist(id, { participant: 'bank-a', branchId, vote: 'yes' });
    await harness.enlist(id, 'bank-b'); // was never asked: nothing to undo there
    await harness.manager.abort(id, DECIDED);
    await harness.settle();
    expect(harness.bus.of('decision')).toMatchObject([{ decision: 'abort', branchId, participant: 'bank-a' }]);
  });

  it('says that there is no such transaction only when the leadership is confirmed', async () => {
    const harness = new Harness();
    harness.log.confirmationsHeld = true;
    const answer = harness.watch(harness.manager.commit(harness.newId(), DECIDED));
    const other = harness.watch(harness.manager.abort(harness.newId(), DECIDED));
    await harness.settle();
    expect(answer.isSettled).toBe(false);
    harness.log.answerConfirmations();
    await harness.settle();
    expect(answer.error).toMatchObject({ code: 'TRANSACTION_NOT_FOUND' });
    expect(other.error).toMatchObject({ code: 'TRANSACTION_NOT_FOUND' });
    const third = harness.watch(harness.manager.get(harness.newId(), 'linearizable'));
    await harness.settle();
    harness.log.follow();
    await harness.pass(10_000);
    expect(third.error).toMatchObject({ reason: 'no-leader' });
  });
});

describe('stop', () => {
  it('ends every wait as unknown, refuses what comes later, and sends nothing more', async () => {
    const harness = new Harness();
    const answer = harness.watch(harness.execute());
    await harness.settle();
    harness.manager.stop();
    harness.bus.forget();
    await harness.settle();
    expect(answer.error).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    await expect(harness.begin()).rejects.toMatchObject({ reason: 'no-leader' });
    harness.log.follow();
    harness.log.lead();
    await harness.pass(120_000);
    expect(harness.bus.sent).toEqual([]);
    expect(harness.clock.nextDueAt()).toBeUndefined();
  });
});
