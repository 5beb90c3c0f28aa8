import { describe, expect, it } from '@jest/globals';
import { DECIDED, Harness, transfer, work } from '../testing/harness.js';

const HOUR_MS = 3_600_000;

/** Loses the leadership and gains it again; what was sent before is forgotten. */
function changeLeader(harness: Harness): void {
  harness.log.follow();
  harness.bus.forget();
  harness.log.lead();
}

describe('a new leader (protocol 4.1 to 4.3)', () => {
  it('asks again for votes it does not know, as a repeat and fenced with its own epoch', async () => {
    const harness = new Harness();
    const answer = harness.watch(harness.execute());
    await harness.settle();
    harness.vote(harness.bus.of('prepare')[0]!, 'yes'); // lives in the old leader's memory only
    changeLeader(harness);
    await harness.settle();
    const prepares = harness.bus.of('prepare');
    expect(prepares.map(({ participant }) => participant)).toEqual(['bank-a', 'bank-b']);
    for (const { attempt, epoch } of prepares) {
      expect(attempt).toBeGreaterThanOrEqual(1);
      expect(epoch).toEqual(harness.log.leadership().epoch);
    }
    await harness.answerPrepares('yes');
    expect(answer.value?.transaction.outcome).toBe('committed');
  });

  it('keeps open interactive transactions, with the votes that were enlisted', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    await harness.manager.enlist(id, { participant: 'bank-a', branchId: harness.newId(), vote: 'yes' });
    changeLeader(harness);
    await harness.settle();
    expect(harness.bus.sent).toEqual([]); // nobody asked for the commit
    await harness.enlist(id, 'bank-b');
    const answer = harness.watch(harness.manager.commit(id, DECIDED));
    await harness.settle();
    expect(harness.bus.of('prepare').map(({ participant }) => participant)).toEqual(['bank-b']);
    await harness.answerPrepares('yes');
    expect(answer.value?.transaction.outcome).toBe('committed');
  });

  it('goes on with a commit that was requested in the log: a 202 keeps its promise', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    await harness.enlist(id, 'bank-a');
    await harness.enlist(id, 'bank-b');
    const answer = harness.watch(harness.manager.commit(id, { wait: 'decided', waitMs: 0 }));
    await harness.pass(0);
    expect(answer.value).toMatchObject({ settled: false });
    changeLeader(harness);
    await harness.answerPrepares('yes');
    expect((await harness.manager.get(id, 'linearizable')).value).toMatchObject({ outcome: 'committed' });
  });

  it('tells decisions again until every branch has ended', async () => {
    const harness = new Harness();
    harness.watch(harness.execute());
    await harness.answerPrepares('yes');
    const [first] = harness.bus.of('decision');
    harness.done(first!, 'committed');
    await harness.pass(100); // the end of one branch is in the log
    changeLeader(harness);
    expect(harness.bus.of('decision')).toMatchObject([{ decision: 'commit', participant: 'bank-b' }]);
    await harness.pass(60_000);
    expect(harness.bus.of('decision').length).toBeGreaterThan(3);
    await harness.obeyDecisions();
    expect(harness.log.state.openCount).toBe(0);
  });

  it('proposes an abort of what is past its deadline', async () => {
    const harness = new Harness();
    const answer = harness.watch(harness.execute({ ...transfer(), timeoutMs: 1_000 }));
    await harness.settle();
    harness.log.follow();
    await harness.pass(2_000);
    harness.bus.forget();
    harness.log.lead();
    await harness.pass(0);
    expect(answer.value?.transaction).toMatchObject({ outcome: 'aborted', reason: 'DEADLINE_EXCEEDED' });
    expect(harness.bus.of('prepare')).toEqual([]); // nobody is asked for a vote that cannot count
    expect(harness.bus.of('decision')).toHaveLength(2);
  });

  it('sends no work of what is past its deadline and waited for the keys of another one that is', async () => {
    const harness = new Harness();
    const request = { ...transfer(undefined, ['acc-1']), timeoutMs: 1_000 };
    const answers = [1, 2].map(() => harness.watch(harness.execute(request)));
    await harness.settle();
    harness.log.follow();
    await harness.pass(2_000);
    harness.bus.forget();
    harness.log.lead();
    await harness.pass(0);
    expect(answers.map(({ value }) => value?.transaction.outcome)).toEqual(['aborted', 'aborted']);
    expect(harness.bus.of('prepare')).toEqual([]);
  });

  it('commits what is past its deadline when all votes came with the enlistments: a 202 keeps its promise', async () => {
    const harness = new Harness();
    const id = await harness.begin(1_000);
    await harness.manager.enlist(id, { participant: 'bank-a', branchId: harness.newId(), vote: 'yes' });
    harness.log.held = true;
    harness.watch(harness.manager.commit(id, { wait: 'decided', waitMs: 0 }));
    await harness.settle();
    harness.log.follow(1); // the commit is requested in the log, and nobody decides
    harness.log.held = false;
    await harness.pass(2_000);
    harness.log.lead();
    await harness.pass(0);
    expect((await harness.manager.get(id, 'linearizable')).value).toMatchObject({ decision: 'commit' });
  });

  it('asks a delegated branch again, and decides nothing itself', async () => {
    const harness = new Harness();
    harness.watch(harness.execute({ ...transfer(), timeoutMs: 1_000, branches: [work('bank-a')] }));
    await harness.settle();
    changeLeader(harness);
    await harness.pass(5_000);
    const repeated = harness.bus.of('commit-one-phase');
    expect(repeated.length).toBeGreaterThan(1);
    expect(repeated.every(({ attempt }) => attempt >= 1)).toBe(true);
    expect(harness.log.applied.map(({ record }) => record.type)).not.toContain('decide');
  });

  it('does and sends nothing while it only follows', async () => {
    const harness = new Harness();
    harness.watch(harness.execute());
    await harness.settle();
    const prepares = harness.bus.of('prepare');
    harness.log.follow();
    harness.bus.forget();
    for (const prepare of prepares) harness.vote(prepare, 'yes');
    harness.inquire(harness.newId());
    await harness.pass(60_000);
    expect(harness.bus.sent).toEqual([]);
    expect(harness.log.state.openCount).toBe(1);
  });
});

describe('admission by declared keys', () => {
  const request = transfer(undefined, ['acc-1']);

  it('lets work out in the order in which it came, each when the one before is decided', async () => {
    const harness = new Harness();
    const answers = [1, 2, 3].map(() => harness.watch(harness.execute(request)));
    await harness.settle();
    expect(harness.manager.figures().waitingForKeys).toBe(2);
    const order: string[] = [];
    for (let turn = 0; turn < 3; turn++) {
      const prepares = harness.bus.of('prepare');
      expect(prepares).toHaveLength(2);
      order.push(prepares[0]!.transactionId);
      await harness.answerPrepares('yes'); // decided, not ended
    }
    expect(order).toEqual(answers.map(({ value }) => value?.transaction.id));
    expect(harness.manager.figures().waitingForKeys).toBe(0);
  });

  it('sends a decision and the work of the next in one flight, before the client is answered', async () => {
    const harness = new Harness();
    const answers = [1, 2].map(() => harness.watch(harness.execute(request)));
    await harness.settle();
    const flights: string[] = [];
    harness.bus.onPublish = (messages, { atOnce = false }) => {
      const things = messages.map(
        ({ message }) => `${message.type} ${'participant' in message && message.participant}`,
      );
      const answered = answers.filter(({ isSettled }) => isSettled).length;
      flights.push(`${things.join(', ')}; at once ${atOnce}; ${answered} answered`);
    };
    await harness.answerPrepares('yes');
    await harness.answerPrepares('yes');
    expect(flights).toEqual([
      'decision bank-a, decision bank-b, prepare bank-a, prepare bank-b; at once true; 0 answered',
      'decision bank-a, decision bank-b; at once false; 1 answered', // nobody waits for the keys
    ]);
  });

  it('counts keys per participant, and holds nobody up who declares others', async () => {
    const harness = new Harness();
    for (const participant of ['bank-a', 'bank-b']) {
      harness.watch(harness.execute({ ...request, branches: [work(participant, 'debit', ['x']), work('bank-c')] }));
    }
    await harness.settle();
    expect(harness.bus.of('prepare')).toHaveLength(4);
  });

  it('aborts what waits beyond its deadline, without a word to participants that may hold something', async () => {
    const harness = new Harness();
    harness.watch(harness.execute({ ...request, timeoutMs: 60_000 }));
    const waiting = harness.watch(harness.execute({ ...request, timeoutMs: 1_000 }));
    const third = harness.watch(harness.execute({ ...request, timeoutMs: 60_000 }));
    await harness.settle();
    await harness.pass(1_000);
    expect(waiting.value?.transaction).toMatchObject({ outcome: 'aborted', reason: 'ADMISSION_TIMEOUT' });
    await harness.answerPrepares('yes'); // of the first; the third follows
    await harness.answerPrepares('yes');
    expect(third.value?.transaction.outcome).toBe('committed');
  });

  it('keeps its order over a change of leader', async () => {
    const harness = new Harness();
    const [first, second] = [harness.watch(harness.execute(request)), harness.watch(harness.execute(request))];
    await harness.settle();
    changeLeader(harness);
    await harness.answerPrepares('yes');
    expect([first.isSettled, second.isSettled]).toEqual([true, false]);
    await harness.answerPrepares('yes');
    expect(second.value?.transaction.outcome).toBe('committed');
  });

  it('refuses as OVERLOADED when as many wait as may', async () => {
    const harness = new Harness({ options: { maximumWaitingForKeys: 1 } });
    harness.watch(harness.execute(request));
    harness.watch(harness.execute(request));
    await harness.settle();
    await expect(harness.execute(request)).rejects.toMatchObject({ code: 'OVERLOADED', retryable: true });
  });
});

describe('presumed abort (protocol 3)', () => {
  it('answers an inquiry about an unknown transaction only when the leadership is confirmed', async () => {
    const harness = new Harness();
    harness.log.confirmationsHeld = true;
    const id = harness.newId();
    const branchId = harness.inquire(id);
    await harness.settle();
    expect(harness.bus.sent).toEqual([]);
    harness.log.answerConfirmations();
    await harness.settle();
    expect(harness.bus.sent).toEqual([
      {
        topic: 'decide.bank-a',
        message: {
          type: 'decision',
          transactionId: id,
          branchId,
          participant: 'bank-a',
          decision: 'abort',
          attempt: 0,
        },
      },
    ]);
  });

  it('answers nothing when the leadership cannot be confirmed', async () => {
    const harness = new Harness();
    harness.log.confirmationsHeld = true;
    harness.inquire(harness.newId());
    await harness.settle();
    harness.log.follow();
    await harness.settle();
    expect(harness.bus.sent).toEqual([]);
  });

  it('answers nothing when the transaction came into the log while the leadership was confirmed', async () => {
    const harness = new Harness();
    harness.log.confirmationsHeld = true;
    const id = harness.newId();
    harness.inquire(id);
    await harness.settle();
    const at = harness.clock.now();
    harness.log.apply({
      type: 'begin',
      transactionId: id,
      protocol: '2pc',
      branches: [],
      closed: false,
      at,
      deadline: at + 1_000,
      metadata: {},
    });
    harness.log.answerConfirmations();
    await harness.settle();
    expect(harness.bus.sent).toEqual([]);
  });

  it('waits with an inquiry about a proposal that is still in flight', async () => {
    const harness = new Harness();
    harness.log.held = true;
    harness.watch(harness.execute());
    await harness.settle();
    const [prepare] = harness.bus.of('prepare');
    harness.bus.forget();
    harness.inquire(prepare!.transactionId, prepare!.participant, prepare!.branchId);
    harness.inquire(prepare!.transactionId); // a branch it does not have
    await harness.settle();
    expect(harness.bus.of('decision')).toEqual([]);
  });

  it('tells the branches of a Begin that is certainly lost to abort', async () => {
    const harness = new Harness();
    harness.log.held = true;
    harness.watch(harness.execute());
    await harness.settle();
    const [prepare] = harness.bus.of('prepare');
    harness.log.refuseNext();
    await harness.settle();
    harness.vote(prepare!, 'yes'); // nobody waits for it any more: it is told at once
    await harness.settle();
    expect(harness.bus.of('decision')).toMatchObject([{ decision: 'abort', branchId: prepare!.branchId }]);
  });

  it('answers from the log what is decided or ended', async () => {
    const harness = new Harness();
    const id = await harness.committed();
    const { branches } = (await harness.manager.get(id, 'linearizable')).value;
    harness.inquire(id, 'bank-a', branches[0]!.branchId);
    await harness.settle();
    expect(harness.bus.of('decision')).toMatchObject([{ decision: 'commit', transactionId: id }]);
  });

  it('does not presume anything about what the retention may have dropped: unknown-old, one alert, listed', async () => {
    const harness = new Harness();
    const old = harness.newId();
    await harness.pass(25 * HOUR_MS);
    harness.log.apply({ type: 'expire', before: harness.clock.now() - 24 * HOUR_MS });
    const branchId = harness.inquire(old);
    harness.inquire(old, 'bank-a', branchId);
    await harness.settle();
    expect(harness.bus.of('decision')).toEqual([]);
    expect(harness.bus.of('unknown-old')).toHaveLength(2);
    expect(harness.alerts).toHaveLength(1);
    expect((await harness.manager.inDoubt('linearizable')).value).toMatchObject([
      { transactionId: old, branchId, participant: 'bank-a', state: 'unknown-old' },
    ]);
  });
});

describe('outcomes', () => {
  it('publishes one for each ended transaction, with its participants', async () => {
    const harness = new Harness();
    const id = await harness.committed();
    await harness.settle();
    expect(harness.bus.of('outcome')).toMatchObject([
      { transactionId: id, outcome: 'committed', participants: ['bank-a', 'bank-b'] },
    ]);
    await harness.pass(HOUR_MS);
    expect(harness.bus.of('outcome')).toHaveLength(1);
  });

  it('publishes again under a new leader what is not known to be published, and nothing that is', async () => {
    const harness = new Harness();
    const first = await harness.committed();
    const second = await harness.committed(); // its record says that the first is out
    changeLeader(harness);
    await harness.settle();
    expect(harness.bus.of('outcome').map(({ transactionId }) => transactionId)).toEqual([second]);
    expect(harness.log.state.archive.get(first)).toBeDefined();
  });

  it('tries again while the broker is away, and forgets nothing meanwhile', async () => {
    const harness = new Harness();
    harness.watch(harness.execute());
    await harness.answerPrepares('yes');
    const decisions = harness.bus.of('decision');
    harness.bus.failure = new Error('the broker is away');
    for (const decision of decisions) harness.done(decision, 'committed');
    await harness.pass(60_000);
    expect(harness.bus.of('outcome')).toEqual([]);
    const id = await harness.begin();
    await harness.manager.commit(id, DECIDED);
    harness.bus.failure = undefined;
    await harness.pass(5_000);
    expect(harness.bus.of('outcome').map(({ transactionId }) => transactionId)).toEqual([
      decisions[0]!.transactionId,
      id,
    ]);
  });

  it('lets the log know for its own sake when many are published and nothing else carries the news', async () => {
    const harness = new Harness();
    for (let count = 0; count <= 1_000; count++) {
      const id = await harness.begin();
      await harness.manager.commit(id, DECIDED);
    }
    await harness.settle();
    expect(harness.bus.of('outcome')).toHaveLength(1_001);
    expect(harness.log.state.unpublishedCount).toBeLessThan(10);
  });
});
