import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import { SystemClock } from '@concordat/foundation';
import { RestCoordinators } from './rest-coordinators.js';

const id = '01890a5d-ac96-774b-bcce-b302099a8057';
const branchId = randomUUID();

const transaction = (changes: Record<string, unknown> = {}): Record<string, unknown> => ({
  id,
  protocol: '2pc',
  status: 'active',
  decision: null,
  outcome: null,
  reason: null,
  branches: [],
  metadata: {},
  warnings: [],
  rulings: [],
  createdAt: '2026-11-30T00:00:00.000Z',
  deadline: '2026-11-30T00:00:10.000Z',
  decidedAt: null,
  endedAt: null,
  logIndex: 1,
  ...changes,
});

/** One of two branches has ended otherwise than the transaction. */
const mixed = (decision: 'commit' | 'abort', state: string): Record<string, unknown> => {
  const branch = { participant: 'orders', branchId: randomUUID(), operations: [], vote: 'yes', state: 'committed' };
  const branches = [branch, { ...branch, participant: 'stock', branchId, state }];
  return { status: 'mixed', outcome: 'mixed', decision, branches };
};

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  readonly invitation?: string;
}

/** A coordinator that gives these answers, one after the other; the last one again and again. */
function coordinators(...answers: readonly [status: number, body: unknown][]): {
  rest: RestCoordinators;
  asked: Asked[];
} {
  const asked: Asked[] = [];
  const rest = new RestCoordinators(
    {
      coordinators: ['http://127.0.0.1:1'],
      retry: { rounds: 1, baseMs: 0, capMs: 0 },
      fetch: async (input, init) => {
        const { pathname, search } = new URL(String(input));
        const invitation = new Headers(init?.headers).get('concordat-invitation');
        const [status, body] = answers[Math.min(asked.length, answers.length - 1)]!;
        asked.push({
          method: init!.method!,
          path: pathname + search,
          body: init?.body ? JSON.parse(String(init.body)) : undefined,
          ...(invitation !== null && { invitation }),
        });
        const type = status < 400 ? 'application/json' : 'application/problem+json';
        return new Response(JSON.stringify(body), { status, headers: { 'content-type': type } });
      },
    },
    new SystemClock(),
  );
  return { rest, asked };
}

const problem = (status: number, code: string, more: Record<string, unknown> = {}): [number, unknown] => [
  status,
  { type: 'about:blank', title: code, status, code, detail: `because of ${code}`, instance: '/', ...more },
];

describe('the coordinators over REST', () => {
  it('begin with another one when one is frozen, and not later than the transaction may take', async () => {
    const asked: string[] = [];
    const frozen = new Set(['1']);
    const rest = new RestCoordinators(
      {
        coordinators: ['http://127.0.0.1:1', 'http://127.0.0.1:2'],
        fetch: async (input, init) => {
          const { port } = new URL(String(input));
          asked.push(port);
          if (frozen.has(port)) await once(init!.signal!, 'abort').then(() => init!.signal!.throwIfAborted());
          return new Response(JSON.stringify(transaction()), { status: 201 });
        },
      },
      new SystemClock(),
    );
    const request = { protocol: '2pc', timeoutMs: 600 } as const;
    await expect(rest.begin(request)).resolves.toMatchObject({ transactionId: id });
    await rest.begin(request);
    expect(asked).toEqual(['1', '2', '2']);

    frozen.add('2');
    const startedAt = performance.now();
    await expect(rest.begin(request)).rejects.toMatchObject({
      code: 'NOT_BEGUN',
      retryable: true,
      message: expect.stringContaining('no coordinator answered within 1000 ms'),
    });
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });

  it('that do not begin have done nothing, and another attempt may succeed', async () => {
    const { rest } = coordinators(problem(503, 'NO_LEADER'));
    const begun = rest.begin({ protocol: '2pc', timeoutMs: 1_000 });
    await expect(begun).rejects.toMatchObject({
      code: 'NOT_BEGUN',
      retryable: true,
      message: expect.stringMatching(/^the transaction was not begun, so nothing has happened: .*NO_LEADER/),
      cause: { code: 'NO_LEADER' },
    });

    const refusing = coordinators(problem(403, 'FORBIDDEN')).rest;
    await expect(refusing.begin({ protocol: '2pc', timeoutMs: 1_000 })).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  it('begin, and give the deadline in milliseconds', async () => {
    const { rest, asked } = coordinators([201, transaction()]);
    const begun = await rest.begin({ protocol: '3pc', timeoutMs: 10_000, metadata: { cart: 1 } });
    expect(begun).toEqual({ transactionId: id, deadline: Date.UTC(2026, 10, 30, 0, 0, 10) });
    const body = { protocol: '3pc', timeoutMs: 10_000, metadata: { cart: 1 }, deferred: true };
    expect(asked).toEqual([{ method: 'POST', path: '/v1/transactions', body }]);
  });

  it('are shown the invitation with each request that needs one, also as coordinators of an earlier version', async () => {
    const branch = { branchId, participant: 'orders', operations: [], vote: null, state: 'enlisted' };
    const own = { participant: 'orders', branchId, instance: 'orders-1' };
    const { rest, asked } = coordinators(
      problem(400, 'UNKNOWN_FIELD'),
      [201, transaction()],
      [201, branch],
      [200, transaction({ status: 'aborted', decision: 'abort', outcome: 'aborted' })],
    );
    const invitation = 'x'.repeat(22);
    await rest.begin({ protocol: '2pc', timeoutMs: 10_000, invitation });
    await rest.enlist(id, own, invitation);
    await rest.abort(id, [], invitation);
    await rest.enlist(id, own).catch(() => undefined); // one that was begun without
    expect(asked.map((one) => [one.path, one.invitation])).toEqual([
      ['/v1/transactions', invitation],
      ['/v1/transactions', invitation],
      [`/v1/transactions/${id}/branches`, invitation],
      [`/v1/transactions/${id}/abort?waitMs=30000`, invitation],
      [`/v1/transactions/${id}/branches`, undefined],
    ]);
    expect(JSON.stringify(asked.map(({ body }) => body))).not.toContain(invitation);
  });

  it('enlist a held branch by its process, and a prepared one by its vote', async () => {
    const branch = { branchId, participant: 'orders', operations: [], vote: null, state: 'enlisted' };
    const { rest, asked } = coordinators([201, branch]);
    await rest.enlist(id, { participant: 'orders', branchId, instance: 'orders-1' });
    await rest.enlist(id, { participant: 'orders', branchId, vote: 'yes' });
    expect(asked.map(({ body }) => body)).toEqual([
      { participant: 'orders', branchId, instance: 'orders-1' },
      { participant: 'orders', branchId, vote: 'yes' },
    ]);
  });

  it.each<[string, [number, unknown], unknown]>([
    [
      'committed',
      [200, transaction({ status: 'committed', decision: 'commit', outcome: 'committed' })],
      { outcome: 'committed' },
    ],
    [
      'decided, although not all branches have ended',
      [202, transaction({ status: 'committing', decision: 'commit', outcome: 'committed' })],
      { outcome: 'committed' },
    ],
    ['not decided in time', [202, transaction({ status: 'preparing' })], 'unknown'],
    [
      'aborted by a participant',
      problem(409, 'TRANSACTION_ABORTED', {
        transactionId: id,
        reason: 'PARTICIPANT_REFUSED',
        participant: 'stock',
        participantCode: 'SOLD_OUT',
        branchId,
      }),
      {
        outcome: 'aborted',
        reason: 'PARTICIPANT_REFUSED',
        participant: 'stock',
        participantCode: 'SOLD_OUT',
        detail: 'because of TRANSACTION_ABORTED',
      },
    ],
    ['unknown', problem(503, 'OUTCOME_UNKNOWN'), 'unknown'],
    ['mixed, which its answer alone does not explain', problem(409, 'TRANSACTION_MIXED'), 'unknown'],
    ['unknown for want of a leader', problem(503, 'NO_LEADER'), 'unknown'],
  ])('answer a commit that is %s', async (_what, answer, expected) => {
    const { rest } = coordinators(answer);
    expect(await rest.commit(id, 'ended', [])).toEqual(expected);
  });

  it('enlist a branch of a process whose announcement is still on its way', async () => {
    const branch = { branchId, participant: 'orders', operations: [], vote: null, state: 'enlisted' };
    const { rest, asked } = coordinators(problem(400, 'UNKNOWN_PARTICIPANT'), [201, branch]);
    await rest.enlist(id, { participant: 'orders', branchId, instance: 'orders-1' });
    expect(asked).toHaveLength(2);
    const refused = coordinators(problem(409, 'TRANSACTION_CLOSED', { transactionId: id }));
    await expect(refused.rest.enlist(id, { participant: 'orders', branchId, vote: 'yes' })).rejects.toMatchObject({
      code: 'TRANSACTION_CLOSED',
    });
    expect(refused.asked).toHaveLength(1);
  });

  it.each(['FORBIDDEN', 'BRANCH_CONFLICT', 'NOT_ADDRESSABLE', 'TOO_MANY_BRANCHES'])(
    'say at once that a commit was refused with %s',
    async (code) => {
      const { rest } = coordinators(problem(409, code));
      await expect(rest.commit(id, 'decided', [])).rejects.toMatchObject({ code });
    },
  );

  it('name the branches in the requests to commit and to abort', async () => {
    const branch = { participant: 'orders', branchId, instance: 'orders-1' };
    const { rest, asked } = coordinators(
      [200, transaction({ decision: 'commit', outcome: 'committed' })],
      [200, transaction({ decision: 'abort', outcome: 'aborted' })],
    );
    await rest.commit(id, 'decided', [branch]);
    await rest.abort(id, [branch]);
    expect(asked.map(({ body }) => body)).toEqual([{ branches: [branch] }, { branches: [branch] }]);
  });

  it('that refuse a branch in an abort abort without it', async () => {
    const branch = { participant: 'orders', branchId, instance: 'orders-1' };
    const aborted = transaction({ decision: 'abort', outcome: 'aborted' });
    const { rest, asked } = coordinators(problem(409, 'BRANCH_CONFLICT'), [200, aborted]);
    await rest.abort(id, [branch]);
    expect(asked.map(({ body }) => body)).toEqual([{ branches: [branch] }, undefined]);
  });

  it('of an earlier version are asked in its way, and not tried again for a while', async () => {
    const branch = { participant: 'orders', branchId, instance: 'orders-1' };
    const enlisted = { participant: 'orders', branchId, operations: [], vote: null, state: 'enlisted' };
    const { rest, asked } = coordinators(
      problem(400, 'UNKNOWN_FIELD'),
      [201, transaction()],
      [201, enlisted],
      [200, transaction({ decision: 'commit', outcome: 'committed' })],
    );
    await rest.begin({ protocol: '2pc', timeoutMs: 10_000, beginner: { participant: 'orders', instance: 'orders-1' } });
    expect(await rest.commit(id, 'ended', [branch])).toEqual({ outcome: 'committed' });
    expect(asked.map(({ path, body }) => [path.split('/').at(-1), body])).toEqual([
      ['transactions', expect.objectContaining({ deferred: true })],
      ['transactions', { protocol: '2pc', timeoutMs: 10_000 }],
      ['branches', branch],
      ['commit?waitMs=3000&wait=ended', undefined],
    ]);
  });

  it('that are replaced by an earlier version between begin and commit commit all the same', async () => {
    const branch = { participant: 'orders', branchId, instance: 'orders-1' };
    const enlisted = { participant: 'orders', branchId, operations: [], vote: null, state: 'enlisted' };
    const { rest, asked } = coordinators(
      problem(400, 'INVALID_REQUEST'),
      [201, enlisted],
      [200, transaction({ decision: 'commit', outcome: 'committed' })],
    );
    expect(await rest.commit(id, 'ended', [branch])).toEqual({ outcome: 'committed' });
    expect(asked).toHaveLength(3);
  });

  it.each(['decided', 'ended'] as const)('wait for %s no longer than is worth it', async (wait) => {
    const { rest, asked } = coordinators([200, transaction({ decision: 'commit', outcome: 'committed' })]);
    await rest.commit(id, wait, []);
    const waitMs = wait === 'ended' ? 3_000 : 30_000;
    expect(asked[0]!.path).toBe(
      `/v1/transactions/${id}/commit?waitMs=${waitMs}&wait=${wait === 'ended' ? 'reported' : wait}`,
    );
  });

  it.each<[string, [number, unknown], unknown]>([
    ['undecided', [200, transaction()], 'undecided'],
    [
      'committed',
      [200, transaction({ status: 'committing', decision: 'commit', outcome: 'committed' })],
      { outcome: 'committed' },
    ],
    [
      'aborted',
      [
        200,
        transaction({
          status: 'aborted',
          decision: 'abort',
          outcome: 'aborted',
          reason: 'PARTICIPANT_REFUSED',
          detail: 'none left',
          cause: { branchId, participant: 'stock', participantCode: 'SOLD_OUT' },
        }),
      ],
      {
        outcome: 'aborted',
        reason: 'PARTICIPANT_REFUSED',
        participant: 'stock',
        participantCode: 'SOLD_OUT',
        detail: 'none left',
      },
    ],
    [
      'committed, but not everywhere',
      [200, transaction({ ...mixed('commit', 'heuristic-rollback') })],
      { outcome: 'committed', against: [{ participant: 'stock', branchId, state: 'heuristic-rollback' }] },
    ],
    [
      'committed, and nobody knows whether everywhere',
      [200, transaction({ ...mixed('commit', 'forgotten') })],
      { outcome: 'committed', against: [{ participant: 'stock', branchId, state: 'forgotten' }] },
    ],
    [
      'aborted, but not everywhere',
      [200, transaction({ ...mixed('abort', 'heuristic-commit'), reason: 'OPERATOR' })],
      expect.objectContaining({
        outcome: 'aborted',
        reason: 'OPERATOR',
        against: [{ participant: 'stock', branchId, state: 'heuristic-commit' }],
      }),
    ],
    ['forgotten', problem(410, 'TRANSACTION_EXPIRED'), 'forgotten'],
    ['not known', problem(404, 'TRANSACTION_NOT_FOUND'), 'forgotten'],
  ])('know the outcome of a transaction that is %s', async (_what, answer, expected) => {
    const { rest } = coordinators(answer);
    expect(await rest.outcomeOf(id)).toEqual(expected);
  });

  it('say which branch ended against an abort', async () => {
    const { rest } = coordinators(problem(409, 'TRANSACTION_MIXED', { transactionId: id }), [
      200,
      transaction(mixed('abort', 'heuristic-commit')),
    ]);
    await expect(rest.abort(id)).rejects.toMatchObject({
      code: 'TRANSACTION_MIXED',
      decision: 'aborted',
      branches: [{ participant: 'stock', branchId }],
    });
  });

  it('take an abort that comes too late for done: there is nothing left to abort', async () => {
    for (const code of ['TRANSACTION_COMMITTED', 'TRANSACTION_ABORTED']) {
      const { rest } = coordinators(problem(409, code, { transactionId: id }));
      await rest.abort(id);
    }
  });
});
