import { randomUUID } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { VirtualClock } from '@concordat/foundation';
import { BEGIN_AFTER_MS } from './reserved-transactions.js';
import { RestCoordinators } from './rest-coordinators.js';

const CREATED = Date.UTC(2026, 10, 30);
const BEGINNER = { participant: 'orders', instance: 'orders-1' };
const REQUEST = { protocol: '2pc', timeoutMs: 10_000, beginner: BEGINNER } as const;
const BRANCH = { ...BEGINNER, branchId: randomUUID() };

interface Asked {
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Coordinators that take everything, unless `refuse` has a code for it, and the first begin of a process. */
async function begunOnce(mayReserve = true) {
  const clock = new VirtualClock();
  const asked: Asked[] = [];
  const given = { refuse: (_one: Asked): [number, string] | undefined => undefined, gate: Promise.resolve() };
  const rest = new RestCoordinators(
    {
      coordinators: ['http://127.0.0.1:1'],
      retry: { rounds: 1, baseMs: 0, capMs: 0 },
      clock,
      fetch: async (input, init) => {
        const path = new URL(String(input)).pathname.split('/').at(-1)!;
        const one = { path, body: init?.body ? (JSON.parse(String(init.body)) as Asked['body']) : {} };
        asked.push(one);
        await given.gate;
        const refused = given.refuse(one);
        if (refused) {
          const [status, code] = refused;
          const problem = { type: 'about:blank', title: code, status, code, detail: code, instance: '/' };
          return new Response(JSON.stringify(problem), { status });
        }
        return new Response(JSON.stringify(answerTo(one)), {
          status: path === 'commit' || path === 'abort' ? 200 : 201,
        });
      },
    },
    clock,
    mayReserve,
  );
  const first = await rest.begin(REQUEST);
  return { rest, asked, clock, given, first, paths: () => asked.map(({ path }) => path) };
}

function answerTo({ path, body }: Asked): unknown {
  if (path === 'branches') return { ...body, operations: [], vote: null, state: 'enlisted' };
  const isCommit = path === 'commit';
  const count = typeof body['reserve'] === 'number' ? body['reserve'] : 0;
  return {
    id: typeof body['id'] === 'string' ? body['id'] : randomUUID(),
    protocol: '2pc',
    status: isCommit ? 'committed' : 'active',
    decision: isCommit ? 'commit' : null,
    outcome: isCommit ? 'committed' : null,
    reason: null,
    branches: [],
    metadata: {},
    warnings: [],
    rulings: [],
    createdAt: new Date(CREATED).toISOString(),
    deadline: new Date(CREATED + 10_000).toISOString(),
    decidedAt: null,
    endedAt: null,
    logIndex: 1,
    ...(count > 0 && { reserved: Array.from({ length: count }, () => randomUUID()) }),
  };
}

describe('a transaction with a reserved id', () => {
  it('begins without a request, by the clock of the coordinators, and with its commit', async () => {
    const { rest, asked, clock } = await begunOnce();
    expect(asked[0]).toEqual({
      path: 'transactions',
      body: { protocol: '2pc', timeoutMs: 10_000, beginner: BEGINNER, deferred: true, reserve: 4 },
    });
    const { transactionId, deadline } = await rest.begin(REQUEST);
    expect([asked.length, deadline]).toEqual([1, CREATED + 10_000]);
    clock.advance(100);
    expect(await rest.commit(transactionId, 'ended', [BRANCH])).toEqual({ outcome: 'committed' });
    const begin = { protocol: '2pc', timeoutMs: 9_900 };
    expect(asked.slice(1)).toEqual([{ path: 'commit', body: { branches: [BRANCH], begin } }]);
    await rest.commit(transactionId, 'ended', [BRANCH]);
    expect(asked.at(-1)!.body).not.toHaveProperty('begin');
  });

  it.each([
    ['in three phases', { ...REQUEST, protocol: '3pc' }],
    ['with metadata', { ...REQUEST, metadata: { cart: 1 } }],
  ] as const)('is not one %s', async (_what, request) => {
    const { rest, asked } = await begunOnce();
    await rest.begin(request);
    expect(asked).toHaveLength(2);
    expect(asked[1]!.body).not.toHaveProperty('reserve');
  });

  it('is none where each participant must speak for itself', async () => {
    const { rest, asked } = await begunOnce(false);
    await rest.begin(REQUEST);
    expect(asked.map(({ body }) => body)).toEqual(
      [1, 2].map(() => ({ protocol: '2pc', timeoutMs: 10_000, beginner: BEGINNER, deferred: true })),
    );
  });

  it('is begun by its enlistment, and when it has run for a while', async () => {
    const { rest, asked, clock, paths } = await begunOnce();
    const one = await rest.begin(REQUEST);
    await rest.enlist(one.transactionId, BRANCH);
    await rest.commit(one.transactionId, 'ended', [BRANCH]);
    expect(paths()).toEqual(['transactions', 'transactions', 'branches', 'commit']);
    expect(asked[1]!.body).toEqual({ ...REQUEST, id: one.transactionId, deferred: true });
    const other = await rest.begin(REQUEST);
    clock.advance(BEGIN_AFTER_MS);
    await rest.commit(other.transactionId, 'ended', [BRANCH]);
    expect(asked.slice(4).map(({ path, body }) => [path, body['id'], body['begin']])).toEqual([
      ['transactions', other.transactionId, undefined],
      ['commit', undefined, undefined],
    ]);
  });

  it('makes who needs it wait for the request that begins it', async () => {
    const { rest, given, paths } = await begunOnce();
    const { transactionId } = await rest.begin(REQUEST);
    let open = (): void => undefined;
    given.gate = new Promise((resolve) => (open = resolve));
    const known = rest.known(transactionId)!;
    const committed = rest.commit(transactionId, 'ended', [BRANCH]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(paths().slice(1)).toEqual(['transactions']);
    open();
    await Promise.all([known, committed]);
    expect(paths().slice(1)).toEqual(['transactions', 'commit']);
    expect(rest.known(transactionId)).toBeUndefined();
  });

  it('is aborted without a request where nobody else has heard of it, otherwise begun before', async () => {
    const { rest, paths } = await begunOnce();
    const one = await rest.begin(REQUEST);
    await rest.abort(one.transactionId, [], undefined, true);
    expect(paths()).toHaveLength(1);
    const other = await rest.begin(REQUEST);
    await rest.abort(other.transactionId, [BRANCH]);
    expect(paths().slice(1)).toEqual(['transactions', 'abort']);
  });

  it('that another leader does not know is lost, and the next one asks', async () => {
    const { rest, given, asked } = await begunOnce();
    const { transactionId } = await rest.begin(REQUEST);
    given.refuse = ({ path }) => (path === 'commit' ? [404, 'TRANSACTION_NOT_FOUND'] : undefined);
    await expect(rest.commit(transactionId, 'ended', [BRANCH])).rejects.toMatchObject({
      code: 'TRANSACTION_NOT_FOUND',
    });
    await rest.begin(REQUEST);
    expect(asked.at(-1)!.body).toMatchObject({ reserve: 8 });
  });

  it('that aborts leaves the other ids as they are', async () => {
    const { rest, given, asked } = await begunOnce();
    const { transactionId } = await rest.begin(REQUEST);
    given.refuse = ({ path }) => (path === 'commit' ? [409, 'TRANSACTION_MIXED'] : undefined);
    expect(await rest.commit(transactionId, 'ended', [BRANCH])).toBe('unknown');
    await rest.begin(REQUEST);
    expect(asked).toHaveLength(2);
  });

  it('of another process is begun by its id; coordinators of an earlier version know it', async () => {
    const { rest, given, asked } = await begunOnce();
    const id = randomUUID();
    await rest.ensure(id, 5_000.5);
    expect(asked[1]!.body).toEqual({ id, timeoutMs: 5_000, deferred: true });
    given.refuse = () => [400, 'UNKNOWN_FIELD'];
    await rest.ensure(id, 5_000);
    given.refuse = () => [404, 'TRANSACTION_NOT_FOUND'];
    await expect(rest.ensure(id, 5_000)).rejects.toMatchObject({ code: 'TRANSACTION_NOT_FOUND' });
  });

  it('whose abort finds nothing is aborted', async () => {
    const { rest, given } = await begunOnce();
    given.refuse = () => [404, 'TRANSACTION_NOT_FOUND'];
    await rest.abort(randomUUID(), [BRANCH]);
  });
});
