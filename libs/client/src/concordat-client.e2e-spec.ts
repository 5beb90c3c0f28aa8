import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { AppProcesses, freePort } from '../../../test/support/app-processes.js';
import { startLocalSystem, type LocalSystem } from '../../../test/support/local-system.js';
import { waitFor } from '../../../test/support/wait-for.js';
import { ConcordatClient, ConcordatError, defineParticipant, operation, type Transaction } from './index.js';
import { DEVELOPMENT_PORTS } from '../../../test/support/development-ports.js';

jest.setTimeout(120_000);

type Movement = { readonly account: string; readonly amount: number };
type Balance = { readonly account: string; readonly balance: number };

const operations = { debit: operation<Movement, Balance>(), credit: operation<Movement, Balance>() };
const bankA = defineParticipant('bank-a', operations);
const bankB = defineParticipant('bank-b', operations);

const PORT = DEVELOPMENT_PORTS.client;

describe('the client and a real coordinator', () => {
  const apps = new AppProcesses();
  const url = `http://127.0.0.1:${PORT}`;
  /** Nobody listens there, so the first call of a client begins with a fail-over. */
  let deadUrl: string;
  let client: ConcordatClient;
  let databases: LocalSystem;

  beforeAll(async () => {
    deadUrl = `http://127.0.0.1:${await freePort()}`;
    client = new ConcordatClient({ coordinators: [deadUrl, url] });
    databases = await startLocalSystem({ only: ['postgres-a', 'postgres-b'] });
    await apps.startCoordinator(PORT);
    await Promise.all((['a', 'b'] as const).map((letter) => apps.startBank(letter, url, databases)));
    const isKnown = (): Promise<boolean> =>
      client
        .execute([bankA.credit({ account: 'acc-0', amount: 1 }), bankB.credit({ account: 'acc-0', amount: 1 })])
        .then(
          ({ settled }) => settled,
          (error: unknown) => {
            if (error instanceof ConcordatError && error.code === 'UNKNOWN_PARTICIPANT') return false;
            throw error;
          },
        );
    await waitFor('the participants are known', isKnown, { timeoutMs: 30_000 });
  });

  afterAll(async () => {
    await apps.endAll();
    await databases?.stop();
  });

  async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
    const found: Item[] = [];
    for await (const item of items) found.push(item);
    return found;
  }

  it('executes in one call, by contracts, and get typed results', async () => {
    const works = [
      bankA.debit({ account: 'acc-1', amount: 30 }),
      bankB.credit({ account: 'acc-2', amount: 30 }),
    ] as const;
    const execution = await client.execute(works, { metadata: { order: 7 } }, { wait: 'ended' });
    if (!execution.settled) throw new Error('it was not decided in time');
    const [debited, credited] = execution.results;
    expect([debited.balance, credited.balance]).toEqual([970, 1_030]);
    expect(execution.transaction).toMatchObject({ outcome: 'committed', metadata: { order: 7 } });
    expect(execution.transaction.endedAt).not.toBeNull();
  });

  it('goes on to a coordinator that lives, and stays there', async () => {
    const asked: string[] = [];
    const watched: typeof fetch = (input, init) => {
      asked.push(new URL(String(input)).origin);
      return fetch(input, init);
    };
    const fresh = new ConcordatClient({ coordinators: [deadUrl, url], fetch: watched });
    await fresh.cluster.get();
    await fresh.cluster.get();
    expect(asked).toEqual([deadUrl, url, url]);
    const alone = new ConcordatClient({ coordinators: [deadUrl], retry: { rounds: 2, baseMs: 1, capMs: 1 } });
    await expect(alone.begin()).rejects.toMatchObject({ code: 'CONNECTION_FAILED', mayHaveTakenEffect: false });
  });

  it('works step by step, while it watches', async () => {
    const { id, status } = await client.begin({ timeoutMs: 60_000, protocol: '3pc' });
    expect(status).toBe('active');
    const watching = collect(client.watch(id));
    const branch = await client.enlist(id, bankA.debit({ account: 'acc-3', amount: 5 }));
    const same = await client.enlist(id, bankA.credit({ account: 'acc-4', amount: 5 }));
    expect(same.branchId).toBe(branch.branchId);
    await client.enlist(id, { participant: 'bank-b', operation: 'credit', payload: { account: 'acc-3', amount: 1 } });
    const settlement = await client.commit(id, { wait: 'ended' });
    expect(settlement).toMatchObject({ settled: true, transaction: { id, outcome: 'committed' } });
    const states = await watching;
    expect(states[0]).toMatchObject({ id, decision: null });
    expect(states.at(-1)).toEqual(await client.get(id));
    const indexes = states.map(({ logIndex }) => logIndex);
    expect(indexes).toEqual([...new Set(indexes)].sort((a, b) => a - b));
    await expect(client.enlist(id, bankA.debit({ account: 'acc-3', amount: 5 }))).rejects.toMatchObject({
      name: 'TransactionClosedError',
      transactionId: id,
    });
    await expect(client.abort(id)).rejects.toMatchObject({ code: 'TRANSACTION_COMMITTED', transactionId: id });
  });

  it('says who refused, and aborts on demand', async () => {
    const tooMuch = [bankA.debit({ account: 'acc-1', amount: 1_000_000 })];
    await expect(client.execute(tooMuch)).rejects.toMatchObject({
      name: 'TransactionAbortedError',
      reason: 'PARTICIPANT_REFUSED',
      participant: 'bank-a',
      participantCode: 'INSUFFICIENT_FUNDS',
    });
    const { id } = await client.begin();
    expect(await client.abort(id)).toMatchObject({ settled: true, transaction: { outcome: 'aborted' } });
    await expect(client.commit(id)).rejects.toMatchObject({ code: 'TRANSACTION_ABORTED', reason: 'CLIENT_ABORTED' });
    const unknown = `${id.slice(0, -4)}${id.endsWith('0000') ? '1111' : '0000'}`;
    await expect(client.get(unknown)).rejects.toMatchObject({ name: 'TransactionNotFoundError' });
  });

  it('repeats without a further effect', async () => {
    const options = { idempotencyKey: randomUUID() };
    const [first, second] = [await client.begin({}, options), await client.begin({}, options)];
    expect(second.id).toBe(first.id);
    await expect(client.begin({ timeoutMs: 500 }, options)).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
    const prepared = { participant: 'bank-a', branchId: randomUUID(), vote: 'read-only' } as const;
    const enlisted = await client.enlist(first.id, prepared);
    expect(await client.enlist(first.id, prepared)).toMatchObject({ branchId: enlisted.branchId });
    await expect(client.enlist(first.id, { ...prepared, vote: 'no' })).rejects.toMatchObject({
      code: 'BRANCH_CONFLICT',
    });
    await client.abort(first.id);
  });

  it('lists page by page, and nothing is in doubt', async () => {
    const listed = await collect(client.list({ limit: 2 }));
    expect(listed.length).toBeGreaterThan(4);
    expect(new Set(listed.map(({ id }) => id)).size).toBe(listed.length);
    const aborted = await collect(client.list({ status: 'aborted', limit: 1 }, { consistency: 'stale' }));
    expect(aborted.length).toBeGreaterThan(1);
    expect(aborted.every(({ status }) => status === 'aborted')).toBe(true);
    expect(await collect(client.inDoubt())).toEqual([]);
  });

  it('watches all transactions, and resumes where it was', async () => {
    const seen: Transaction[] = [];
    let last = (await client.cluster.get()).appliedIndex;
    const seesNext = async (id: string): Promise<void> => {
      for await (const event of client.watchAll({ after: last })) {
        last = event.logIndex;
        if (event.kind === 'transaction') seen.push(event.transaction);
        if (event.kind === 'transaction' && event.transaction.id === id) return;
      }
    };
    const first = await client.begin();
    await seesNext(first.id);
    const missed = await client.begin(); // while nobody watches
    await seesNext(missed.id);
    const live = client.begin();
    await seesNext((await live).id);
    expect(seen.map(({ id }) => id)).toEqual(expect.arrayContaining([first.id, missed.id, (await live).id]));
  });

  it('takes locks in turn, keeps one beyond its lease, and gives it back', async () => {
    const waiting = await (async () => {
      await using held = await client.locks.acquire('invoice-7', { ttlMs: 600 });
      await expect(client.locks.acquire('invoice-7')).rejects.toMatchObject({
        name: 'LockHeldError',
        holder: { owner: held.owner },
      });
      const next = client.locks.acquire('invoice-7', { waitMs: 30_000 });
      const listed = async () => (await collect(client.locks.calls.list())).find(({ name }) => name === 'invoice-7');
      const first = await waitFor('somebody waits', async () => {
        const lock = await listed();
        return lock?.waiters === 1 ? lock : undefined;
      });
      await waitFor('the first lease is over', async () => {
        const lock = await listed();
        return Date.parse(lock!.expiresAt) > Date.parse(first.expiresAt) + 600;
      });
      held.throwIfLost();
      return { next, token: held.fencingToken };
    })();
    const second = await waiting.next;
    expect(second.fencingToken).toBeGreaterThan(waiting.token);
    expect(second.signal.aborted).toBe(false);
    await second.release();
    expect(await collect(client.locks.calls.list())).toEqual([]);
  });

  it('shows the group, and passes refusals of changes on', async () => {
    const cluster = await client.cluster.get();
    expect(cluster).toMatchObject({ nodeId: 1, leaderId: 1, standing: 'member' });
    await expect(client.cluster.removeMember(1)).rejects.toMatchObject({
      name: 'ClusterChangeRefusedError',
      code: 'LAST_VOTER',
    });
  });
});
