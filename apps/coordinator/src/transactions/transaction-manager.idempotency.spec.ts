import { describe, expect, it } from '@jest/globals';
import { DECIDED, ENDED, Harness, key, transfer, work } from './testing/harness.js';

const begin = { protocol: '2pc', timeoutMs: 30_000, metadata: {} } as const;

describe('idempotency keys', () => {
  it('gives a repeat of execute that still runs the same answer, and does the work once', async () => {
    const harness = new Harness();
    harness.log.held = true; // not even Begin is in the log
    const answers = [1, 2, 3].map(() => harness.watch(harness.execute(transfer(key('k')))));
    await harness.settle();
    expect(harness.log.proposed).toHaveLength(1);
    harness.log.release();
    await harness.settle();
    expect(harness.bus.of('prepare')).toHaveLength(2);
    await harness.answerPrepares('yes');
    const ids = answers.map(({ value }) => value?.transaction.id);
    expect(new Set(ids).size).toBe(1);
    for (const { value } of answers)
      expect(value).toMatchObject({ settled: true, transaction: { decision: 'commit' } });
  });

  it('gives a repeat later the same answer: after the decision, the end, and under another leader', async () => {
    const harness = new Harness();
    const first = await harness.committed(key('k'));
    expect((await harness.execute(transfer(key('k')), ENDED)).transaction).toMatchObject({
      id: first,
      status: 'committed',
    });
    await harness.committed(); // puts the first into the archive
    expect(harness.log.state.archive.size).toBe(1);
    harness.log.follow();
    harness.log.lead();
    expect((await harness.execute(transfer(key('k')))).transaction.id).toBe(first);
  });

  it('gives a repeat of a refused request the abort again', async () => {
    const harness = new Harness();
    harness.watch(harness.execute(transfer(key('k'))));
    await harness.answerPrepares('no', 'INSUFFICIENT_FUNDS');
    expect(await harness.execute(transfer(key('k')))).toMatchObject({
      settled: true,
      transaction: { outcome: 'aborted', cause: { participantCode: 'INSUFFICIENT_FUNDS' } },
    });
    expect(harness.bus.of('prepare')).toEqual([]);
  });

  it('begins once', async () => {
    const harness = new Harness();
    const request = { ...begin, idempotency: key('k') };
    const views = await Promise.all([harness.manager.begin(request), harness.manager.begin(request)]);
    expect(views[1].id).toBe(views[0].id);
    expect((await harness.manager.begin(request)).id).toBe(views[0].id);
    expect(harness.log.state.openCount).toBe(1);
  });

  it('refuses another body: in flight, in the log, and when the transaction has ended', async () => {
    const harness = new Harness();
    harness.log.held = true;
    harness.watch(harness.execute(transfer(key('k'))));
    await harness.settle();
    const other = (): Promise<unknown> => harness.execute(transfer(key('k', 'hash of another body')));
    await expect(other()).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED', retryable: false });
    harness.log.release();
    await harness.settle();
    await expect(other()).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
    await harness.answerPrepares('yes');
    await harness.obeyDecisions();
    await expect(other()).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
  });

  it('has one scope for all calls', async () => {
    const harness = new Harness();
    const { id } = await harness.manager.begin({ ...begin, idempotency: key('begun', 'begin') });
    await harness.manager.enlist(id, work('bank-a'), key('enlisted', 'enlist'));
    const reused = { code: 'IDEMPOTENCY_KEY_REUSED' };
    await expect(harness.manager.enlist(id, work('bank-b'), key('begun', 'enlist'))).rejects.toMatchObject(reused);
    await expect(harness.manager.enlist(id, work('bank-b'), key('begun', 'begin'))).rejects.toMatchObject(reused);
    await expect(harness.execute(transfer(key('begun', 'execute')))).rejects.toMatchObject(reused);
    await expect(harness.execute(transfer(key('enlisted', 'execute')))).rejects.toMatchObject(reused);
    await expect(harness.manager.begin({ ...begin, idempotency: key('enlisted', 'x') })).rejects.toMatchObject(reused);
    expect(harness.log.state.find(id)?.branches).toHaveLength(1);
  });

  it('gives a keyed enlistment its first branch again, without adding the operation twice', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    const enlist = (): ReturnType<typeof harness.manager.enlist> =>
      harness.manager.enlist(id, work('bank-a'), key('k'));
    const [first, second] = await Promise.all([enlist(), enlist()]);
    expect(first.created).toBe(true);
    expect(second).toMatchObject({ created: false, branch: { branchId: first.branch.branchId } });
    expect(await enlist()).toEqual(second);
    expect(harness.log.state.find(id)?.branches[0]?.operations).toHaveLength(1);
    await expect(harness.manager.enlist(id, work('bank-b'), key('k', 'another body'))).rejects.toMatchObject({
      code: 'IDEMPOTENCY_KEY_REUSED',
    });
  });

  it('gives a keyed enlistment its first answer also when the transaction is closed, decided or ended', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    const enlist = (): ReturnType<typeof harness.manager.enlist> =>
      harness.manager.enlist(id, work('bank-a'), key('k'));
    const { branchId } = (await enlist()).branch;
    await harness.enlist(id, 'bank-b');
    harness.watch(harness.manager.commit(id, DECIDED));
    await harness.settle();
    expect(await enlist()).toMatchObject({ created: false, branch: { branchId, state: 'preparing' } });
    await harness.answerPrepares('yes');
    await harness.obeyDecisions();
    expect(await enlist()).toMatchObject({ created: false, branch: { branchId, state: 'committed' } });
  });

  it('does the work anew with a new id when the first Begin is known never to be in the log (protocol 3.1)', async () => {
    const harness = new Harness();
    harness.log.held = true;
    const first = harness.watch(harness.execute(transfer(key('k'))));
    const repeat = harness.watch(harness.execute(transfer(key('k'))));
    const another = harness.watch(harness.execute(transfer(key('k'))));
    await harness.settle();
    const [begun] = harness.log.proposed;
    harness.log.refuseNext();
    await harness.settle();
    expect(first.error).toMatchObject({ reason: 'overloaded' });
    expect(repeat.isSettled).toBe(false);
    expect(harness.log.proposed).toHaveLength(1); // of the two that waited, one goes on and the other waits for it
    expect(harness.log.proposed[0]).not.toMatchObject({
      transactionId: (begun as { transactionId: string }).transactionId,
    });
    harness.log.release();
    harness.bus.forget(); // the prepares of the first are without consequence
    await harness.pass(1_000);
    await harness.answerPrepares('yes');
    expect(repeat.value?.transaction.outcome).toBe('committed');
    expect(another.value?.transaction.id).toBe(repeat.value?.transaction.id);
  });

  it('finds the first one when the repeat was proposed although the log had it already', async () => {
    const harness = new Harness();
    harness.log.held = true;
    const answer = harness.watch(harness.execute(transfer(key('k'))));
    await harness.settle();
    const other = harness.newId();
    harness.log.apply({
      type: 'begin',
      transactionId: other,
      protocol: '2pc',
      branches: [],
      closed: true,
      at: harness.clock.now(),
      deadline: harness.clock.now() + 30_000,
      metadata: {},
      idempotency: key('k'),
    });
    harness.log.apply({
      type: 'decide',
      transactionId: other,
      decision: 'commit',
      reports: [],
      at: harness.clock.now(),
    });
    harness.log.release();
    await harness.settle();
    expect(answer.value?.transaction.id).toBe(other);
    expect(harness.log.state.openCount).toBe(0);
  });
});
