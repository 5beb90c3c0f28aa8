import { describe, expect, it } from '@jest/globals';
import { FailpointError, type Failpoints } from '@concordat/foundation';
import { DECIDED, Harness, key, transfer, work } from './testing/harness.js';

/** One failpoint, reached once; then the given thing happens. */
function failpointAt(name: string, act: () => Promise<void> | undefined): Failpoints {
  let spent = false;
  return {
    hit: (reached) => {
      if (spent || reached !== name) return undefined;
      spent = true;
      return act();
    },
  };
}

describe('proposals that the log does not take', () => {
  it('proposes a decision again later when the log had no room for it', async () => {
    const harness = new Harness();
    const answer = harness.watch(harness.execute());
    await harness.settle();
    harness.log.overloaded = true;
    await harness.answerPrepares('yes');
    expect(answer.isSettled).toBe(false);
    harness.log.overloaded = false;
    await harness.pass(1_000);
    expect(answer.value?.transaction.outcome).toBe('committed');
  });

  it('says OVERLOADED while what is open has too many bytes, and no longer', async () => {
    const harness = new Harness({ options: { maximumOpenBytes: 10_000 } });
    const request = { ...transfer(), metadata: { note: 'x'.repeat(10_000) } };
    harness.watch(harness.execute(request));
    await harness.settle();
    await expect(harness.execute()).rejects.toMatchObject({ code: 'OVERLOADED' });
    await harness.answerPrepares('yes');
    await harness.obeyDecisions();
    expect(harness.watch(harness.execute()).isSettled).toBe(false);
    const small = await harness.begin();
    await harness.enlist(small);
    await harness.manager.enlist(small, { ...work('bank-b'), payload: 'x'.repeat(10_000) });
    await expect(harness.begin()).rejects.toMatchObject({ code: 'OVERLOADED' });
  });

  it('says that the log is overloaded when the log has no room for a Begin, and keeps nothing of it', async () => {
    const harness = new Harness();
    harness.log.overloaded = true;
    await expect(harness.execute()).rejects.toMatchObject({ reason: 'overloaded' });
    await expect(harness.begin()).rejects.toMatchObject({ reason: 'overloaded' });
    await expect(harness.execute(transfer(key('k')))).rejects.toMatchObject({ reason: 'overloaded' });
    harness.log.overloaded = false;
    harness.bus.forget();
    await harness.pass(120_000);
    expect(harness.bus.sent).toEqual([]);
    const repeated = harness.watch(harness.execute(transfer(key('k')))); // nothing had happened: it is done now
    await harness.answerPrepares('yes');
    expect(repeated.value?.transaction.outcome).toBe('committed');
  });

  it('sends the work of who waited for the keys of a Begin that failed, without waiting for anything else', async () => {
    const harness = new Harness();
    harness.log.held = true;
    harness.watch(harness.execute(transfer(undefined, ['acc-1'])));
    harness.watch(harness.execute(transfer(undefined, ['acc-1'])));
    await harness.settle();
    expect(harness.bus.of('prepare')).toHaveLength(2);
    harness.log.refuseNext();
    await harness.settle();
    expect(harness.bus.of('prepare')).toHaveLength(4);
  });

  it('logs ends of branches later when the log had no room for them', async () => {
    const harness = new Harness();
    harness.watch(harness.execute());
    await harness.answerPrepares('yes');
    harness.log.overloaded = true;
    await harness.obeyDecisions();
    harness.log.overloaded = false;
    await harness.pass(100);
    expect(harness.log.state.openCount).toBe(0);
  });

  it('keeps nothing of a Begin before whose proposal a failpoint throws', async () => {
    const failpoints = failpointAt('coordinator.begin.before-append', () => {
      throw new FailpointError('told to fail');
    });
    const harness = new Harness({ failpoints });
    await expect(harness.execute()).rejects.toMatchObject({ code: 'FAILPOINT' });
    harness.bus.forget();
    await harness.pass(120_000);
    expect(harness.bus.sent).toEqual([]);
    expect(harness.log.applied.map(({ record }) => record.type)).not.toContain('decide');
  });

  it.each([
    'coordinator.begin.after-append',
    'coordinator.prepare.after-send',
    'coordinator.decide.after-append',
    'coordinator.decision.after-send',
  ])('goes on when the failpoint %s, behind what has happened, throws', async (name) => {
    let reached = 0;
    const unhandled: unknown[] = [];
    const note = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', note);
    const failpoints = failpointAt(name, () => {
      reached++;
      throw new FailpointError('told to fail');
    });
    const harness = new Harness({ failpoints });
    const answer = harness.watch(harness.execute());
    await harness.answerPrepares('yes');
    await harness.obeyDecisions();
    await harness.settle();
    process.off('unhandledRejection', note);
    expect(answer.value?.transaction.outcome).toBe('committed');
    expect(harness.log.state.openCount).toBe(0);
    expect([reached, unhandled]).toEqual([1, []]);
  });

  it('proposes nothing in a later leadership that an earlier one of the same node was held up with', async () => {
    let goOn = (): void => undefined;
    const failpoints = failpointAt(
      'coordinator.begin.before-append',
      () => new Promise((resolve) => void (goOn = () => resolve())),
    );
    const harness = new Harness({ failpoints });
    const answer = harness.watch(harness.begin());
    await harness.settle();
    harness.log.follow();
    harness.log.lead();
    goOn();
    await harness.settle();
    expect(answer.error).toMatchObject({ reason: 'no-leader' });
    expect(harness.log.state.openCount).toBe(0); // the session of the new leadership would not drive it
  });
});

describe('a wire that fails', () => {
  it('sends again what was dropped', async () => {
    const harness = new Harness();
    harness.bus.failure = new Error('the buffer is full');
    const answer = harness.watch(harness.execute());
    await harness.pass(100);
    harness.bus.failure = undefined;
    await harness.pass(1_000);
    expect(harness.bus.of('prepare').map(({ attempt }) => attempt)).toEqual([1, 1]);
    await harness.answerPrepares('yes');
    expect(answer.value?.transaction.outcome).toBe('committed');
  });

  it('asks again with growing delays up to a cap, only those who have not answered', async () => {
    const harness = new Harness({ options: { resendBaseMs: 100, resendCapMs: 800 } });
    harness.watch(harness.execute());
    await harness.settle();
    harness.vote(harness.bus.of('prepare')[0]!, 'yes');
    harness.bus.forget();
    const times: number[] = [];
    harness.bus.onPublish = () => void times.push(harness.clock.monotonic());
    await harness.pass(10_000);
    expect(new Set(harness.bus.of('prepare').map(({ participant }) => participant))).toEqual(new Set(['bank-b']));
    const gaps = times.map((time, position) => time - (times[position - 1] ?? 0));
    expect(gaps[0]).toBeGreaterThanOrEqual(50);
    expect(gaps[0]).toBeLessThanOrEqual(100);
    expect(gaps[2]).toBeGreaterThanOrEqual(200);
    for (const gap of gaps.slice(3)) {
      expect(gap).toBeGreaterThanOrEqual(400);
      expect(gap).toBeLessThanOrEqual(800);
    }
  });

  it('repeats a decision for ever, to those who have not obeyed', async () => {
    const harness = new Harness();
    harness.watch(harness.execute());
    await harness.answerPrepares('yes');
    const [first, second] = harness.bus.of('decision');
    harness.done(first!, 'committed');
    harness.bus.forget();
    await harness.pass(24 * 3_600_000);
    const repeated = harness.bus.of('decision');
    expect(repeated.length).toBeGreaterThan(5_000);
    expect(new Set(repeated.map(({ branchId }) => branchId))).toEqual(new Set([second!.branchId]));
    harness.done(second!, 'committed');
    await harness.pass(100);
    expect(harness.log.state.openCount).toBe(0);
    harness.bus.forget();
    await harness.pass(60_000);
    expect(harness.bus.sent).toEqual([]);
  });
});

describe('the deadline', () => {
  it('aborts what has no vote, and names who did not answer', async () => {
    const harness = new Harness();
    const answer = harness.watch(harness.execute({ ...transfer(), timeoutMs: 1_000 }));
    await harness.settle();
    harness.vote(harness.bus.of('prepare')[0]!, 'yes');
    await harness.pass(999);
    expect(answer.isSettled).toBe(false);
    await harness.pass(1);
    expect(answer.value?.transaction).toMatchObject({
      outcome: 'aborted',
      reason: 'DEADLINE_EXCEEDED',
      detail: 'no vote before the deadline from bank-b',
    });
    expect(harness.bus.of('decision')).toHaveLength(2); // the silent one may have voted yes
  });

  it('aborts an interactive transaction whose commit nobody asked for', async () => {
    const harness = new Harness();
    const id = await harness.begin(1_000);
    await harness.enlist(id);
    await harness.pass(1_000);
    expect((await harness.manager.get(id, 'linearizable')).value).toMatchObject({
      status: 'aborted',
      reason: 'DEADLINE_EXCEEDED',
    });
  });

  it('changes nothing once the commit is on its way into the log', async () => {
    const harness = new Harness();
    const answer = harness.watch(harness.execute({ ...transfer(), timeoutMs: 1_000 }));
    await harness.settle();
    harness.log.held = true;
    await harness.answerPrepares('yes');
    await harness.pass(2_000);
    expect(harness.log.proposed).toHaveLength(1);
    harness.log.release();
    await harness.settle();
    expect(answer.value?.transaction.outcome).toBe('committed');
  });
});

describe('votes after the decision (protocol 4.5)', () => {
  it('tells a late yes the decision', async () => {
    const harness = new Harness();
    harness.watch(harness.execute({ ...transfer(), timeoutMs: 1_000 }));
    await harness.settle();
    const [prepare] = harness.bus.of('prepare');
    await harness.pass(1_000);
    harness.bus.forget();
    harness.vote(prepare!, 'yes');
    expect(harness.bus.of('decision')).toMatchObject([{ decision: 'abort', branchId: prepare!.branchId }]);
  });

  it('tells a late yes the decision also when the transaction has ended', async () => {
    const harness = new Harness();
    const answer = harness.watch(harness.execute(transfer(), DECIDED));
    await harness.settle();
    const [prepare] = harness.bus.of('prepare');
    await harness.answerPrepares('read-only');
    expect(answer.value?.transaction.status).toBe('committed');
    harness.vote(prepare!, 'yes');
    expect(harness.bus.of('decision')).toMatchObject([{ decision: 'commit', branchId: prepare!.branchId }]);
  });

  it('takes a no after the commit for a broken promise: alert, mixed, in doubt, and it stays open', async () => {
    const harness = new Harness();
    harness.watch(harness.execute());
    await harness.settle();
    const prepares = harness.bus.of('prepare');
    await harness.answerPrepares('yes');
    harness.vote(prepares[0]!, 'no', 'GONE');
    await harness.pass(100);
    expect(harness.alerts).toHaveLength(1);
    expect(harness.manager.figures()).toMatchObject({ alerts: 1, open: 1, inDoubt: 1 });
    const { transactionId, branchId } = prepares[0]!;
    expect((await harness.manager.get(transactionId, 'linearizable')).value).toMatchObject({
      status: 'mixed',
      endedAt: null,
    });
    expect((await harness.manager.inDoubt('linearizable')).value).toMatchObject([
      { branchId, state: 'heuristic-rollback' },
    ]);
  });

  it('ignores who does not belong to the transaction, and repeats', async () => {
    const harness = new Harness();
    const answer = harness.watch(harness.execute());
    await harness.settle();
    const [first, second] = harness.bus.of('prepare');
    harness.vote({ ...first!, participant: 'bank-c' }, 'yes');
    harness.vote({ ...first!, branchId: harness.newId() }, 'yes');
    harness.vote(second!, 'yes');
    harness.vote(second!, 'yes');
    await harness.settle();
    expect(answer.isSettled).toBe(false);
    expect(harness.recordsOf(first!.transactionId)).toEqual(['begin']);
  });
});
