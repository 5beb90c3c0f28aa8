import { describe, expect, it } from '@jest/globals';
import { DECIDED, Harness, work } from './testing/harness.js';

describe('enlist', () => {
  it('adds a branch, and lets more work for its participant join it in order', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    const first = await harness.manager.enlist(id, work('bank-a', 'debit', ['acc-1']));
    expect(first).toMatchObject({
      created: true,
      branch: { participant: 'bank-a', state: 'enlisted', vote: null, operations: [{ operation: 'debit' }] },
    });
    const [second, other] = await Promise.all([
      harness.manager.enlist(id, work('bank-a', 'credit')),
      harness.manager.enlist(id, work('bank-b')),
    ]);
    expect(second.branch.branchId).toBe(first.branch.branchId);
    expect(second.branch.operations.map(({ operation }) => operation)).toEqual(['debit', 'credit']);
    expect(other.branch.branchId).not.toBe(first.branch.branchId);
  });

  it('lets two that come at the same time join one branch', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    const both = await Promise.all([harness.enlist(id), harness.enlist(id)]);
    expect(both[0]).toBe(both[1]);
    expect(harness.log.state.find(id)?.branches).toHaveLength(1);
  });

  it('gives work that a service prepared itself a branch of its own, beside the one to be done', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    await harness.enlist(id, 'bank-a');
    const [one, two] = [harness.newId(), harness.newId()];
    for (const branchId of [one, two]) {
      expect(await harness.manager.enlist(id, { participant: 'bank-a', branchId, vote: 'yes' })).toMatchObject({
        created: true,
        branch: { branchId, vote: 'yes', state: 'prepared', operations: [] },
      });
    }
    await harness.enlist(id, 'bank-a'); // still joins the first
    expect(harness.log.state.find(id)?.branches.map(({ operations }) => operations.length)).toEqual([2, 0, 0]);
  });

  it('answers a repeat of a prepared branch with the branch, and refuses another vote or participant', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    const branchId = harness.newId();
    const branch = { participant: 'bank-a', branchId, vote: 'yes' } as const;
    const twice = await Promise.all([harness.manager.enlist(id, branch), harness.manager.enlist(id, branch)]);
    expect(twice.map(({ created }) => created)).toEqual([true, false]);
    expect(twice[1].branch).toEqual(twice[0].branch);
    const conflict = { code: 'BRANCH_CONFLICT', retryable: false };
    await expect(harness.manager.enlist(id, { ...branch, vote: 'read-only' })).rejects.toMatchObject(conflict);
    await expect(harness.manager.enlist(id, { ...branch, participant: 'bank-b' })).rejects.toMatchObject(conflict);
    const own = await harness.enlist(id, 'bank-b');
    await expect(
      harness.manager.enlist(id, { participant: 'bank-b', branchId: own, vote: 'yes' }),
    ).rejects.toMatchObject(conflict);
  });

  it('repeats the answer for a prepared branch also when the transaction is closed', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    const branch = { participant: 'bank-a', branchId: harness.newId(), vote: 'yes' } as const;
    await harness.manager.enlist(id, branch);
    await harness.enlist(id, 'bank-b');
    harness.watch(harness.manager.commit(id, DECIDED));
    await harness.settle();
    expect(await harness.manager.enlist(id, branch)).toMatchObject({ created: false });
  });

  it('refuses more once the commit was requested, and once it is decided', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    await harness.enlist(id, 'bank-a');
    await harness.enlist(id, 'bank-b');
    harness.watch(harness.manager.commit(id, DECIDED));
    await harness.settle();
    await expect(harness.enlist(id, 'bank-c')).rejects.toMatchObject({ code: 'TRANSACTION_CLOSED' });
    await harness.answerPrepares('yes');
    await expect(harness.enlist(id, 'bank-c')).rejects.toMatchObject({ code: 'TRANSACTION_DECIDED' });
    await harness.obeyDecisions();
    await expect(harness.enlist(id, 'bank-c')).rejects.toMatchObject({ code: 'TRANSACTION_DECIDED' });
  });

  it('leaves it to the log who was first when an enlistment and the commit meet', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    await harness.enlist(id, 'bank-a');
    await harness.enlist(id, 'bank-b');
    harness.log.held = true;
    harness.watch(harness.manager.commit(id, DECIDED));
    await harness.settle();
    const late = harness.watch(harness.enlist(id, 'bank-c'));
    await harness.settle();
    expect(harness.log.proposed.map(({ type }) => type)).toEqual(['commit-requested', 'enlist']);
    harness.log.release();
    await harness.settle();
    expect(late.error).toMatchObject({ code: 'TRANSACTION_CLOSED' });
  });

  it('takes an enlistment that came before the commit into it', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    await harness.enlist(id, 'bank-a');
    harness.log.held = true;
    harness.watch(harness.enlist(id, 'bank-b'));
    await harness.settle();
    const commit = harness.watch(harness.manager.commit(id, DECIDED));
    await harness.settle();
    expect(harness.log.proposed.map(({ type }) => type)).toEqual(['enlist']);
    harness.log.release();
    await harness.answerPrepares('yes');
    expect(commit.value?.transaction.branches).toHaveLength(2);
    expect(commit.value?.transaction.outcome).toBe('committed');
  });

  it('limits branches and operations, of enlistments together and of one request', async () => {
    const harness = new Harness({ options: { maximumBranches: 2, maximumOperations: 3 } });
    const id = await harness.begin();
    await harness.enlist(id, 'bank-a');
    await harness.enlist(id, 'bank-b');
    const tooMany = { code: 'TOO_MANY_BRANCHES' };
    await expect(harness.enlist(id, 'bank-c')).rejects.toMatchObject(tooMany);
    const third = { participant: 'bank-a', branchId: harness.newId(), vote: 'yes' } as const;
    await expect(harness.manager.enlist(id, third)).rejects.toMatchObject(tooMany);
    const both = await Promise.allSettled([harness.enlist(id, 'bank-a'), harness.enlist(id, 'bank-b')]);
    expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    const request = { protocol: '2pc', timeoutMs: 1_000, metadata: {} } as const;
    const branches = ['bank-a', 'bank-b', 'bank-c'].map((participant) => work(participant));
    await expect(harness.execute({ ...request, branches })).rejects.toMatchObject(tooMany);
    await expect(
      harness.execute({ ...request, branches: Array.from({ length: 4 }, () => work('bank-a')) }),
    ).rejects.toMatchObject(tooMany);
  });

  it('limits the size of all operations together, of enlistments and of one request, before anything is proposed', async () => {
    const harness = new Harness();
    const large = (participant: string) => ({ ...work(participant), payload: 'é'.repeat(120_000) }); // 240,000 bytes
    const tooLarge = { code: 'PAYLOAD_TOO_LARGE', retryable: false, details: { limit: 1_048_576 } };
    const id = await harness.begin();
    for (const participant of ['bank-a', 'bank-b', 'bank-a', 'bank-c']) {
      await harness.manager.enlist(id, large(participant));
    }
    const { lastIndex } = harness.log;
    await expect(harness.manager.enlist(id, large('bank-b'))).rejects.toMatchObject(tooLarge);
    const request = { protocol: '2pc', timeoutMs: 1_000, metadata: {} } as const;
    const branches = Array.from({ length: 5 }, () => large('bank-a'));
    await expect(harness.execute({ ...request, branches })).rejects.toMatchObject(tooLarge);
    expect(harness.log.lastIndex).toBe(lastIndex);
    await harness.manager.enlist(id, work('bank-b')); // what fits is still taken
    const prepared = { participant: 'bank-a', branchId: harness.newId(), vote: 'yes' } as const;
    expect(await harness.manager.enlist(id, prepared)).toMatchObject({ created: true });
  });

  it('says RECORD_TOO_LARGE, not to repeat it, of a record that the log can never take', async () => {
    const harness = new Harness();
    harness.log.tooSmall = true;
    const tooLarge = { code: 'RECORD_TOO_LARGE', retryable: false };
    await expect(harness.begin()).rejects.toMatchObject(tooLarge);
    await expect(harness.execute()).rejects.toMatchObject(tooLarge);
    harness.log.tooSmall = false;
    harness.bus.forget();
    await harness.pass(60_000);
    expect(harness.bus.sent).toEqual([]);
  });

  it('refuses what is not there', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    await expect(harness.enlist(harness.newId())).rejects.toMatchObject({ code: 'TRANSACTION_NOT_FOUND' });
    await expect(harness.enlist(id, 'bank-x')).rejects.toMatchObject({ code: 'UNKNOWN_PARTICIPANT' });
    const prepared = { participant: 'bank-x', branchId: harness.newId(), vote: 'yes' } as const;
    await expect(harness.manager.enlist(id, prepared)).rejects.toMatchObject({ code: 'UNKNOWN_PARTICIPANT' });
  });

  it('says OUTCOME_UNKNOWN when leadership is lost on the way, and the next leader goes on from the log', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    await harness.enlist(id, 'bank-a');
    harness.log.held = true;
    const lost = harness.watch(harness.enlist(id, 'bank-b'));
    await harness.settle();
    harness.log.follow(1);
    await harness.settle();
    expect(lost.error).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    harness.log.held = false;
    harness.log.lead();
    const commit = harness.watch(harness.manager.commit(id, DECIDED));
    await harness.answerPrepares('yes');
    expect(commit.value?.transaction).toMatchObject({ outcome: 'committed', branches: { length: 2 } });
  });

  it('counts a vote that came with the enlistment, and a no among them aborts', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    await harness.manager.enlist(id, { participant: 'bank-a', branchId: harness.newId(), vote: 'yes' });
    await harness.manager.enlist(id, { participant: 'bank-b', branchId: harness.newId(), vote: 'read-only' });
    const { transaction } = await harness.manager.commit(id, DECIDED);
    expect(transaction).toMatchObject({ outcome: 'committed', branches: [{ vote: 'yes' }, { state: 'read-only' }] });
    expect(harness.bus.of('prepare')).toEqual([]);
    const other = await harness.begin();
    await harness.manager.enlist(other, { participant: 'bank-a', branchId: harness.newId(), vote: 'no' });
    expect((await harness.manager.commit(other, DECIDED)).transaction.outcome).toBe('aborted');
  });
});
