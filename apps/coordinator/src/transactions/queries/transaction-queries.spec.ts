import { describe, expect, it } from '@jest/globals';
import { DECIDED, Harness, transfer } from '../testing/harness.js';

/** Everything is decided within this, or a reader has lost its patience. */
const LONG_MS = 10_000;

async function follower(): Promise<Harness> {
  const harness = new Harness();
  harness.log.followLeader(2);
  return harness;
}

describe('a question to a follower', () => {
  it('is answered from its own state, behind a read barrier, with the index that it is complete through', async () => {
    const harness = await follower();
    harness.log.confirmationsHeld = true;
    const id = harness.newId();
    const answer = harness.watch(harness.manager.get(id, 'linearizable'));
    await harness.settle();
    expect(answer.isSettled).toBe(false);
    const at = harness.clock.now();
    const times = { at, deadline: at + 1_000, metadata: {} };
    harness.log.apply({ type: 'begin', transactionId: id, protocol: '2pc', branches: [], closed: false, ...times });
    harness.log.answerConfirmations();
    await harness.settle();
    expect(answer.value).toMatchObject({ value: { id, status: 'active' }, leaderKnowsMore: false });
    expect(answer.value?.appliedIndex).toBe(harness.log.lastIndex);
  });

  it('is answered without a barrier from everything that the node knows to be committed', async () => {
    const harness = await follower();
    const id = harness.newId();
    const at = harness.clock.now();
    const times = { at, deadline: at + 1_000, metadata: {} };
    harness.log.unapplied.push({
      type: 'begin',
      transactionId: id,
      protocol: '2pc',
      branches: [],
      closed: false,
      ...times,
    });
    const before = harness.log.lastIndex;
    const { value, appliedIndex } = await harness.manager.get(id, 'stale');
    expect([value.id, appliedIndex]).toEqual([id, before + 1]);
  });

  it('says of what is not there that it is not, once the barrier is passed', async () => {
    const harness = await follower();
    const missing = { code: 'TRANSACTION_NOT_FOUND' };
    await expect(harness.manager.get(harness.newId(), 'linearizable')).rejects.toMatchObject(missing);
    await expect(harness.manager.get(harness.newId(), 'stale')).rejects.toMatchObject(missing);
  });

  it('is the leader’s to answer in full while votes are being collected, and no longer', async () => {
    const harness = new Harness();
    const execution = harness.watch(harness.execute());
    await harness.settle();
    const [first] = harness.bus.of('prepare');
    harness.vote(first!, 'yes');
    const id = first!.transactionId;
    const { manager } = harness;
    const readings = () =>
      Promise.all([
        manager.get(id, 'linearizable'),
        manager.list({ limit: 5 }, 'linearizable'),
        manager.get(id, 'stale'),
        manager.list({ limit: 5 }, 'stale'),
      ]);
    const more = async (): Promise<boolean[]> => (await readings()).map(({ leaderKnowsMore }) => leaderKnowsMore);
    expect(await more()).toEqual([false, false, false, false]);
    expect((await manager.get(id, 'stale')).value.branches.map(({ vote }) => vote)).toEqual(['yes', null]);
    harness.log.followLeader(2);
    expect(await more()).toEqual([true, true, false, false]);
    const reports = harness.bus.of('prepare').map(({ branchId }) => ({ branchId, vote: 'yes' as const }));
    harness.log.apply({ type: 'decide', transactionId: id, decision: 'commit', reports, at: harness.clock.now() });
    expect(await more()).toEqual([false, false, false, false]);
    await harness.settle();
    expect(execution.value?.transaction.outcome).toBe('committed');
    expect((await manager.get(id, 'linearizable')).value).toEqual(execution.value?.transaction);
  });

  it('about what is in doubt is the leader’s; locally it tells what is logged', async () => {
    const harness = new Harness();
    harness.watch(harness.execute());
    await harness.answerPrepares('yes');
    harness.log.followLeader(2);
    await harness.pass(LONG_MS);
    expect(await harness.manager.inDoubt('linearizable')).toMatchObject({ leaderKnowsMore: true });
    const { value, leaderKnowsMore } = await harness.manager.inDoubt('stale');
    expect(leaderKnowsMore).toBe(false);
    expect(value.map(({ participant, state }) => [participant, state])).toEqual([
      ['bank-a', 'in-doubt'],
      ['bank-b', 'in-doubt'],
    ]);
  });

  it('is answered at once when stale is good enough, with any leader', async () => {
    const harness = new Harness();
    const id = await harness.committed();
    harness.log.follow();
    const reading = await harness.manager.get(id, 'stale');
    expect(reading).toMatchObject({ value: { id, status: 'committed' }, appliedIndex: harness.log.lastIndex });
    expect((await harness.manager.list({ limit: 5 }, 'stale')).value.items.map((item) => item.id)).toEqual([id]);
  });
});

describe('a question while the leader changes', () => {
  it('waits for a leader to be known', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    harness.log.follow();
    const answer = harness.watch(harness.manager.get(id, 'linearizable'));
    await harness.settle();
    expect(answer.isSettled).toBe(false);
    harness.log.followLeader(3);
    await harness.settle();
    expect(answer.value?.value.id).toBe(id);
  });

  it('is asked of the next leader when the first is lost on the way', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    harness.log.confirmationsHeld = true;
    const answer = harness.watch(harness.manager.get(id, 'linearizable'));
    await harness.settle();
    harness.log.follow(); // the barrier is refused
    await harness.settle();
    harness.log.confirmationsHeld = false;
    harness.log.followLeader(2);
    await harness.settle();
    expect(answer.value?.value.id).toBe(id);
  });

  it('is asked again of a leader that refused, and is still the one', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    harness.log.followLeader(2);
    harness.log.confirmationsHeld = true;
    const answer = harness.watch(harness.manager.get(id, 'linearizable'));
    await harness.settle();
    harness.log.refuseConfirmations();
    await harness.settle();
    harness.log.confirmationsHeld = false;
    expect(answer.isSettled).toBe(false);
    await harness.pass(50);
    expect(answer.value?.value.id).toBe(id);
  });

  it.each(['get', 'list', 'inDoubt'] as const)(
    '%s says that there is no leader when none answers, and leaves nothing behind',
    async (call) => {
      const harness = new Harness({ leading: false });
      const { manager } = harness;
      const calls = {
        get: () => manager.get(harness.newId(), 'linearizable'),
        list: () => manager.list({ limit: 1 }, 'linearizable'),
        inDoubt: () => manager.inDoubt('linearizable'),
      };
      const answers = [harness.watch<unknown>(calls[call]())];
      harness.log.confirmationsHeld = true;
      harness.log.followLeader(2);
      answers.push(harness.watch<unknown>(calls[call]())); // known, and it never answers
      await harness.pass(LONG_MS);
      for (const { error } of answers) expect(error).toMatchObject({ reason: 'no-leader', retryable: true });
      expect(harness.clock.nextDueAt()).toBeUndefined();
    },
  );
});

describe('an answer to a change', () => {
  it('never says more than a linearizable question to another node right after it', async () => {
    const leader = new Harness();
    const other = await follower();
    leader.log.onApplied(({ record }) => void other.log.apply(record));
    const id = await leader.begin();
    await leader.enlist(id, 'bank-a');
    const answer = leader.watch(leader.execute(transfer()));
    await leader.answerPrepares('yes');
    const aborted = await leader.manager.abort(id, DECIDED);
    for (const { transaction } of [answer.value!, aborted]) {
      const { value } = await other.manager.get(transaction.id, 'linearizable');
      expect({ ...value, logIndex: 0 }).toEqual({ ...transaction, logIndex: 0 });
    }
  });
});
