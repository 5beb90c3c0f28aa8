import { describe, expect, it } from '@jest/globals';
import { DECIDED, Harness, key, transfer, work } from './testing/harness.js';
import type { InDoubtItem, TransactionEvent } from './transactions.api.js';

const HOUR_MS = 3_600_000;

async function inDoubtOf({ manager }: Harness): Promise<readonly InDoubtItem[]> {
  return (await manager.inDoubt('linearizable')).value;
}

describe('list', () => {
  it('goes newest first through open and ended ones alike, page by page', async () => {
    const harness = new Harness();
    const ids: string[] = [];
    for (let count = 0; count < 5; count++) {
      await harness.pass(1);
      ids.unshift(count % 2 === 0 ? await harness.committed() : await harness.begin(HOUR_MS));
    }
    const seen: string[] = [];
    let cursor: string | undefined;
    let pages = 0;
    do {
      const query = { limit: 2, ...(cursor !== undefined && { cursor }) };
      const { value: page } = await harness.manager.list(query, 'linearizable');
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor ?? undefined;
      pages++;
    } while (cursor !== undefined);
    expect(seen).toEqual(ids);
    expect(pages).toBe(3);
  });

  it('has no next page when the last item ends the page', async () => {
    const harness = new Harness();
    await harness.begin();
    await harness.begin();
    expect((await harness.manager.list({ limit: 2 }, 'linearizable')).value.nextCursor).toBeNull();
    expect((await harness.manager.list({ limit: 1 }, 'linearizable')).value.nextCursor).not.toBeNull();
  });

  it('filters by status and participant', async () => {
    const harness = new Harness();
    const committed = await harness.committed();
    const active = await harness.begin();
    await harness.enlist(active, 'bank-c');
    const of = async (query: object): Promise<string[]> =>
      (await harness.manager.list({ limit: 50, ...query }, 'linearizable')).value.items.map(({ id }) => id);
    expect(await of({ status: 'committed' })).toEqual([committed]);
    expect(await of({ status: 'active' })).toEqual([active]);
    expect(await of({ participant: 'bank-c' })).toEqual([active]);
    expect(await of({ participant: 'bank-a', status: 'active' })).toEqual([]);
  });
});

describe('a node on which somebody waits', () => {
  it('applies at once while there are subscribers', () => {
    const { manager, log } = new Harness();
    const unsubscribe = [manager.subscribe(() => undefined), manager.subscribe(() => undefined)];
    expect(log.promptCallers).toBe(2);
    for (const end of unsubscribe) end();
    expect(log.promptCallers).toBe(0);
  });

  it('applies at once while clients wait, also when it no longer leads', async () => {
    const harness = new Harness();
    expect(harness.log.promptCallers).toBe(0);
    const execution = harness.watch(harness.execute());
    await harness.settle();
    harness.log.followLeader(2);
    expect([execution.isSettled, harness.log.promptCallers]).toEqual([false, 1]);
    await harness.pass(HOUR_MS);
    expect([execution.isSettled, harness.log.promptCallers]).toEqual([true, 0]);
  });
});

describe('a transaction shown', () => {
  it('moves forward only, and shows votes that no decision has recorded yet', async () => {
    const harness = new Harness();
    const statuses: string[] = [];
    harness.manager.subscribe(({ transaction }) => statuses.push(transaction.status));
    const id = await harness.begin();
    await harness.enlist(id, 'bank-a');
    await harness.enlist(id, 'bank-b');
    harness.watch(harness.manager.commit(id, DECIDED));
    await harness.settle();
    harness.vote(harness.bus.of('prepare')[0]!, 'yes');
    const { branches } = (await harness.manager.get(id, 'linearizable')).value;
    expect(branches.map(({ vote, state }) => [vote, state])).toEqual([
      ['yes', 'prepared'],
      [null, 'preparing'],
    ]);
    await harness.answerPrepares('yes');
    await harness.obeyDecisions();
    expect(statuses).toEqual(['active', 'active', 'active', 'preparing', 'committing', 'committed']);
  });

  it('shows times, deadline and metadata as they were begun', async () => {
    const harness = new Harness();
    const { id } = await harness.manager.begin({ protocol: '2pc', timeoutMs: 1_000, metadata: { order: 7 } });
    expect((await harness.manager.get(id, 'linearizable')).value).toEqual({
      id,
      protocol: '2pc',
      status: 'active',
      decision: null,
      outcome: null,
      reason: null,
      branches: [],
      metadata: { order: 7 },
      warnings: [],
      rulings: [],
      createdAt: '2026-01-01T00:00:00.000Z',
      deadline: '2026-01-01T00:00:01.000Z',
      decidedAt: null,
      endedAt: null,
      logIndex: harness.log.lastIndex,
    });
  });

  it('shows how each branch of an abort ends', async () => {
    const harness = new Harness();
    const answer = harness.watch(harness.execute());
    await harness.settle();
    const [first, second] = harness.bus.of('prepare');
    harness.vote(first!, 'yes');
    harness.vote(second!, 'no', 'INSUFFICIENT_FUNDS');
    await harness.settle();
    expect(answer.value?.transaction).toMatchObject({
      status: 'aborting',
      branches: [
        { state: 'aborting', vote: 'yes' },
        { state: 'aborted', vote: 'no', error: { code: 'INSUFFICIENT_FUNDS' } },
      ],
    });
  });
});

describe('in doubt', () => {
  it('lists branches that voted yes and have no end after inDoubtAfterMs, until they have', async () => {
    const harness = new Harness({ options: { inDoubtAfterMs: 5_000 } });
    harness.watch(harness.execute());
    await harness.settle();
    const [first] = harness.bus.of('prepare');
    harness.vote(first!, 'yes');
    await harness.pass(4_999);
    expect(await inDoubtOf(harness)).toEqual([]);
    await harness.pass(1);
    const { transactionId, branchId } = first!;
    expect(await inDoubtOf(harness)).toEqual([
      {
        transactionId,
        branchId,
        participant: 'bank-a',
        gid: `concordat:test:${transactionId}:${branchId}`,
        state: 'in-doubt',
        since: '2026-01-01T00:00:00.000Z',
        reason: 'voted yes; the transaction is not decided yet',
        rulings: [{ action: 'abort', force: false }],
      },
    ]);
    await harness.answerPrepares('yes');
    expect(await inDoubtOf(harness)).toEqual([]); // counted anew from the decision
    await harness.pass(5_000);
    expect((await inDoubtOf(harness)).map(({ reason }) => reason)).toEqual([
      'decided to commit; bank-a has not confirmed it yet',
      'decided to commit; bank-b has not confirmed it yet',
    ]);
    expect(harness.manager.figures().inDoubt).toBe(2);
    await harness.obeyDecisions();
    expect(await inDoubtOf(harness)).toEqual([]);
  });
});

describe('events', () => {
  it('come in log order with the state of that moment, until unsubscribed', async () => {
    const harness = new Harness();
    const events: TransactionEvent[] = [];
    const unsubscribe = harness.manager.subscribe((event) => events.push(event));
    const id = await harness.begin();
    await harness.enlist(id);
    unsubscribe();
    await harness.enlist(id, 'bank-b');
    expect(events.map(({ transaction }) => transaction.branches.length)).toEqual([0, 1]);
    expect(events[1]!.logIndex).toBe(events[0]!.logIndex + 1);
    expect(events[1]!.logIndex).toBe(events[1]!.transaction.logIndex);
  });

  it('are not made of what the log refused', async () => {
    const harness = new Harness();
    const id = await harness.begin();
    const events: TransactionEvent[] = [];
    harness.manager.subscribe((event) => events.push(event));
    harness.log.apply({ type: 'decide', transactionId: id, decision: 'abort', reports: [], at: 1 });
    harness.log.apply({ type: 'decide', transactionId: id, decision: 'commit', reports: [], at: 1 });
    expect(events.map(({ transaction }) => transaction.decision)).toEqual(['abort']);
  });

  it('can be caught up on: the latest state of what has changed since, once each, in log order', async () => {
    const harness = new Harness();
    const first = await harness.begin();
    const second = await harness.begin();
    const { logIndex } = (await harness.manager.get(second, 'linearizable')).value;
    const third = await harness.begin();
    await harness.enlist(second);
    await harness.enlist(third);
    const missed = harness.manager.missedSince(logIndex + 1);
    expect(missed).toMatchObject({
      kind: 'events',
      more: false,
      events: [{ transaction: { id: second } }, { transaction: { id: third } }],
    });
    expect(harness.manager.missedSince(harness.log.lastIndex + 1)).toEqual({ kind: 'events', events: [], more: false });
    expect(harness.manager.missedSince(1)).toEqual({ kind: 'reset' }); // before this node began to remember
    expect(first).toBeDefined();
  });

  it('must be read anew when more has happened than is remembered', async () => {
    const harness = new Harness({ options: { eventHistorySize: 3 } });
    const id = await harness.begin();
    const { logIndex } = (await harness.manager.get(id, 'linearizable')).value;
    for (let count = 0; count < 3; count++) await harness.enlist(id);
    expect(harness.manager.missedSince(logIndex)).toEqual({ kind: 'reset' });
    expect(harness.manager.missedSince(logIndex + 1)).toMatchObject({ kind: 'events', events: { length: 1 } });
  });
});

describe('retention', () => {
  it('forgets ended transactions and their keys, and says so of their ids', async () => {
    const harness = new Harness();
    const open = await harness.begin(100 * HOUR_MS);
    await harness.enlist(open);
    const old = await harness.committed(key('k'));
    await harness.passHours(25);
    const recent = await harness.committed(); // its record lets the old one into the archive
    await harness.pass(60_000);
    await expect(harness.manager.get(old, 'linearizable')).rejects.toMatchObject({ code: 'TRANSACTION_EXPIRED' });
    await expect(harness.manager.commit(old, DECIDED)).rejects.toMatchObject({ code: 'TRANSACTION_EXPIRED' });
    await expect(harness.manager.enlist(old, work('bank-a'))).rejects.toMatchObject({ code: 'TRANSACTION_EXPIRED' });
    expect((await harness.manager.get(open, 'linearizable')).value).toMatchObject({ status: 'active' });
    expect((await harness.manager.get(recent, 'linearizable')).value).toMatchObject({ status: 'committed' });
    const again = harness.watch(harness.execute(transfer(key('k', 'another body'))));
    await harness.answerPrepares('yes');
    expect(again.value?.transaction.id).not.toBe(old);
  });

  it('also forgets the last ones, after which nothing happens any more', async () => {
    const harness = new Harness();
    const old = await harness.committed(key('k'));
    await harness.pass(60_000); // the log learns that its outcome is published
    const { length } = harness.log.applied;
    await harness.passHours(23);
    const records = harness.log.applied.slice(length).map(({ record }) => record);
    expect(records.filter((record) => record.type !== 'branches-done' || record.items.length > 0)).toEqual([]);
    expect(records.length).toBeLessThan(23 * 180 + 1); // three a minute, for their time alone
    await harness.passHours(2);
    await expect(harness.manager.get(old, 'linearizable')).rejects.toMatchObject({ code: 'TRANSACTION_EXPIRED' });
  });

  it('forgets the oldest when there are too many, before their time, and often enough', async () => {
    const harness = new Harness({ options: { maximumEnded: 2 } });
    const oldest = await harness.committed(key('k'));
    const others: string[] = [];
    for (let count = 0; count < 3; count++) {
      await harness.pass(60_000);
      others.push(await harness.committed());
    }
    expect(harness.log.state.archive.size).toBeLessThanOrEqual(3);
    await harness.pass(60_000);
    await harness.pass(5_000);
    expect(harness.log.state.archive.size).toBeLessThanOrEqual(2);
    await expect(harness.manager.get(oldest, 'linearizable')).rejects.toMatchObject({ code: 'TRANSACTION_EXPIRED' });
    for (const id of others.slice(-2)) {
      expect((await harness.manager.get(id, 'linearizable')).value).toMatchObject({ status: 'committed' });
    }
    harness.inquire(oldest);
    await harness.settle();
    expect(harness.bus.of('unknown-old')).toHaveLength(1);
  });

  it('keeps what ended just now, however many there are: an unknown young transaction is presumed aborted', async () => {
    const harness = new Harness({ options: { maximumEnded: 2, retentionIntervalMs: 1_000 } });
    for (let count = 0; count < 6; count++) await harness.committed();
    await harness.pass(30_000);
    const young = harness.newId();
    await harness.pass(29_000);
    expect(harness.log.state.archive.size + harness.log.state.unpublishedCount).toBe(6);
    harness.inquire(young);
    await harness.settle();
    expect(harness.bus.of('decision')).toMatchObject([{ decision: 'abort', transactionId: young }]);
    await harness.pass(5_000);
    expect(harness.log.state.archive.size).toBe(2);
  });

  it('is applied by the leader only', async () => {
    const harness = new Harness();
    await harness.committed();
    await harness.committed();
    harness.log.follow();
    await harness.passHours(25);
    expect(harness.log.state.archive.size).toBe(1);
    harness.log.lead(); // and finds a step of log time: nobody knows how much time has passed
    await harness.passHours(23);
    expect(harness.log.state.archive.size + harness.log.state.unpublishedCount).toBeGreaterThan(0);
    await harness.passHours(2);
    expect(harness.log.state.archive.size + harness.log.state.unpublishedCount).toBe(0);
  });
});

describe('overload', () => {
  it('refuses new transactions beyond the limit, and takes them again when others have ended', async () => {
    const harness = new Harness({ options: { maximumOpenTransactions: 2 } });
    const first = await harness.begin();
    await harness.begin();
    await expect(harness.begin()).rejects.toMatchObject({ code: 'OVERLOADED', retryable: true });
    await expect(harness.execute()).rejects.toMatchObject({ code: 'OVERLOADED' });
    await harness.enlist(first); // what is open goes on
    await harness.manager.abort(first, DECIDED);
    await harness.begin();
  });

  it('answers a repeat also when it takes nothing new', async () => {
    const harness = new Harness({ options: { maximumOpenTransactions: 1 } });
    const request = { protocol: '2pc', timeoutMs: 1_000, metadata: {}, idempotency: key('k') } as const;
    const { id } = await harness.manager.begin(request);
    expect((await harness.manager.begin(request)).id).toBe(id);
  });
});
