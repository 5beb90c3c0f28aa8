import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  CRASH_POINTS,
  InvalidArgumentError,
  TransactionsOpenError,
  UnknownNameError,
  WaitedInVainError,
  type CrashPoint,
  type MessageKind,
} from './index.js';
import { Shop } from './testing/shop.js';

let shop: Shop;
const TOO_MANY = 1_000_000;
let count = 0;
const next = (): string => `order-${++count}`;

beforeAll(async () => (shop = await Shop.open({ seed: 7 })));
afterEach(() => shop.coordinator.reset());
afterAll(() => shop.close());

/** Whether an order has happened everywhere or nowhere. */
function happened(order: string, before: unknown, by = 3): 'everywhere' | 'nowhere' | 'half' {
  const ordered = shop.orders.includes(order);
  const reserved = shop.stock === (before as number) - by;
  if (ordered && reserved) return 'everywhere';
  return !ordered && shop.stock === before ? 'nowhere' : 'half';
}

describe('a transaction without faults', () => {
  it('commits everywhere, and is listed until the reset', async () => {
    const [order, before] = [next(), shop.stock];
    const { status, body } = await shop.order(order, 1);
    expect([status, body.outcome]).toEqual([200, 'committed']);
    expect(happened(order, before, 1)).toBe('everywhere');
    expect((await shop.coordinator.transactions()).map(({ id, status: state }) => [id, state])).toEqual([
      [body.id, 'committed'],
    ]);
    await shop.coordinator.expectNothingInDoubt();
    await shop.coordinator.reset();
    expect(await shop.coordinator.transactions()).toEqual([]);
  });

  it('aborts everywhere when a stand-in refuses', async () => {
    const [order, before] = [next(), shop.stock];
    const { status, body } = await shop.order(order, TOO_MANY);
    expect([status, body.code, body.participantCode]).toEqual([409, 'TRANSACTION_ABORTED', 'OUT_OF_STOCK']);
    expect(happened(order, before)).toBe('nowhere');
  });
});

describe('abortNext', () => {
  it('aborts one transaction with the reason, before any work, and no second one', async () => {
    const doom = shop.coordinator.abortNext('LOCK_TIMEOUT');
    const [order, before] = [next(), shop.stock];
    shop.calls.length = 0;
    const { status, body } = await shop.order(order);
    expect([status, body.code, body.reason]).toEqual([409, 'TRANSACTION_ABORTED', 'LOCK_TIMEOUT']);
    expect([happened(order, before), shop.calls]).toEqual(['nowhere', []]);
    expect(doom.hits).toBe(1);
    expect((await shop.order(next(), 1)).status).toBe(200);
  });

  it('waits for a transaction of the participant, which then is the one that refuses', async () => {
    shop.coordinator.abortNext({ participant: 'inventory', participantCode: 'OUT_OF_STOCK', detail: 'none left' });
    const alone = { branches: [{ participant: 'orders', operation: 'create', payload: { order: next() } }] };
    expect((await shop.post('/v1/transactions/execute', alone)).status).toBe(200);
    expect((await shop.order(next())).body).toMatchObject({
      reason: 'PARTICIPANT_REFUSED',
      participant: 'inventory',
      participantCode: 'OUT_OF_STOCK',
      detail: 'none left',
    });
  });

  it('aborts an interactive transaction at its commit, not before', async () => {
    const doom = shop.coordinator.abortNext();
    const { body } = await shop.post('/v1/transactions', {});
    const branch = { participant: 'orders', operation: 'create', payload: { order: next() } };
    expect((await shop.post(`/v1/transactions/${body.id}/branches`, branch)).status).toBe(201);
    expect(doom.hits).toBe(0);
    const committed = await shop.post(`/v1/transactions/${body.id}/commit`);
    expect([committed.status, committed.body.reason]).toEqual([409, 'OPERATOR']);
    await doom.happened;
  });

  it('can be called off, and refuses what there is not', async () => {
    shop.coordinator.abortNext().off();
    expect((await shop.order(next(), 1)).status).toBe(200);
    expect(() => shop.coordinator.abortNext('BAD_LUCK' as 'OPERATOR')).toThrow(
      'no reason is called "BAD_LUCK"; there are: PARTICIPANT_REFUSED, INVALID_PAYLOAD, LOCK_TIMEOUT',
    );
    expect(() => shop.coordinator.abortNext({ participantCode: 'X' })).toThrow(InvalidArgumentError);
  });
});

describe('lost messages', () => {
  it('loseReply: a vote that never arrives ends at the deadline, in an abort', async () => {
    const loss = shop.coordinator.loseReply('inventory', 'prepare');
    const [order, before] = [next(), shop.stock];
    const { status, body } = await shop.order(order, 3, { timeoutMs: 300 });
    expect([status, body.reason]).toEqual([409, 'DEADLINE_EXCEEDED']);
    expect(loss.hits).toBeGreaterThan(0);
    expect(happened(order, before)).toBe('nowhere');
    expect((await shop.order(next(), 1)).status).toBe(200); // only that transaction
  });

  it.each<['loseReply' | 'loseRequest', MessageKind]>([
    ['loseReply', 'prepare'],
    ['loseReply', 'commit'],
    ['loseRequest', 'prepare'],
    ['loseRequest', 'commit'],
  ])('%s of one %s is made good by sending it again', async (method, kind) => {
    const loss = shop.coordinator[method]('inventory', kind, { times: 1 });
    const [order, before] = [next(), shop.stock];
    const { status } = await shop.order(order, 1);
    expect([status, loss.hits]).toEqual([200, 1]);
    expect(happened(order, before, 1)).toBe('everywhere');
  });

  it('concerns the abort as well', async () => {
    shop.coordinator.abortNext();
    await shop.order(next());
    const loss = shop.coordinator.loseRequest('orders', 'abort', { times: 1 });
    const [order, before] = [next(), shop.stock];
    expect((await shop.order(order, TOO_MANY)).status).toBe(409);
    await shop.coordinator.expectNothingInDoubt();
    expect(happened(order, before)).toBe('nowhere');
    expect(loss.hits).toBeLessThanOrEqual(1); // orders may have been asked after the refusal was known
  });
});

describe('late and doubled messages', () => {
  it('delay: holds up what is named, each by a time of its own', async () => {
    const delay = shop.coordinator.delay('inventory', [40, 60], ['prepare']);
    const start = performance.now();
    const { status } = await shop.order(next(), 1);
    expect(status).toBe(200);
    expect(performance.now() - start).toBeGreaterThanOrEqual(78); // the work, and the vote; timers may be early by 1 ms
    expect(delay.hits).toBe(2);
  });

  it('duplicate: everything twice is as good as once', async () => {
    const twice = [shop.coordinator.duplicate('inventory'), shop.coordinator.duplicate('orders')];
    const [order, before] = [next(), shop.stock];
    expect((await shop.order(order, 1)).status).toBe(200);
    expect(happened(order, before, 1)).toBe('everywhere');
    expect(twice.every(({ hits }) => hits >= 4)).toBe(true);
  });
});

describe('crashes', () => {
  /** With a key, a client may repeat what broke: it gets the answer of the same transaction. */
  async function orderThroughCrash(order: string, body: object = {}): Promise<number> {
    const headers = { 'content-type': 'application/json', 'idempotency-key': order };
    const request = {
      timeoutMs: 20_000,
      branches: [
        { participant: 'orders', operation: 'create', payload: { order } },
        { participant: 'inventory', operation: 'reserve', payload: { item: 'screws', count: 1 } },
      ],
      ...body,
    };
    for (;;) {
      try {
        const url = `${shop.coordinator.url}/v1/transactions/execute?wait=ended`;
        const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(request) });
        if (answer.status !== 503) return answer.status;
      } catch (error) {
        expect((error as Error).message).toBe('fetch failed'); // it is down
      }
      await shop.coordinator.recover();
    }
  }

  it.each<['crashBefore' | 'crashAfter', CrashPoint]>(
    (['begin', 'prepare', 'commit', 'decision', 'end'] as const).flatMap((point) => [
      ['crashBefore', point],
      ['crashAfter', point],
    ]),
  )('%s(%j) happens once, and the transaction ends everywhere or nowhere', async (method, point) => {
    const { term } = shop.coordinator;
    const crash = shop.coordinator[method](point);
    const [order, before] = [next(), shop.stock];
    const status = await orderThroughCrash(order);
    await crash.happened;
    await shop.coordinator.recover();
    await shop.coordinator.expectNothingInDoubt();
    expect([crash.hits, status]).toEqual([1, 200]);
    expect(happened(order, before, 1)).toBe('everywhere');
    expect(shop.coordinator.term).toBeGreaterThan(term);
  });

  it('crashBefore("abort") leaves a transaction that aborts after the recovery', async () => {
    const crash = shop.coordinator.crashBefore('abort');
    const [order, before] = [next(), shop.stock];
    const branches = [
      { participant: 'orders', operation: 'create', payload: { order } },
      { participant: 'inventory', operation: 'reserve', payload: { item: 'screws', count: TOO_MANY } },
    ];
    expect(await orderThroughCrash(order, { branches })).toBe(409);
    await crash.happened;
    await shop.coordinator.expectNothingInDoubt();
    expect(happened(order, before, TOO_MANY)).toBe('nowhere');
  });

  it('an abort is no commit: crashBefore("commit") lets it pass', async () => {
    const crash = shop.coordinator.crashBefore('commit');
    expect((await shop.order(next(), TOO_MANY)).status).toBe(409);
    expect(crash.hits).toBe(0);
  });

  it('stays down until it is told, and says so', async () => {
    const { coordinator } = shop;
    const crash = coordinator.crashBefore('commit', { recoverAfterMs: false });
    const [order, before] = [next(), shop.stock];
    await expect(shop.order(order, 1)).rejects.toThrow('fetch failed');
    await crash.happened;
    expect(coordinator.isUp).toBe(false);
    await expect(coordinator.transactions()).rejects.toThrow('it has crashed; recover() starts it again');
    await expect(coordinator.expectNothingInDoubt({ withinMs: 0 })).rejects.toThrow('nobody can say what is in doubt');
    await coordinator.recover();
    await coordinator.expectNothingInDoubt();
    expect(happened(order, before, 1)).not.toBe('half');
  });

  it('crash() is one at any moment', async () => {
    const running = shop.order(next(), 1).catch((error: unknown) => error);
    shop.coordinator.crash();
    await running;
    await shop.coordinator.recover();
    await shop.coordinator.expectNothingInDoubt();
  });

  it('refuses points and times that there are not', () => {
    const { coordinator } = shop;
    expect(() => coordinator.crashBefore('lunch' as CrashPoint)).toThrow(UnknownNameError);
    expect(() => coordinator.crashBefore('toString' as CrashPoint)).toThrow(
      `no point is called "toString"; there are: ${CRASH_POINTS.join(', ')}`,
    );
    expect(() => coordinator.crashAfter('commit', { recoverAfterMs: -1 })).toThrow(InvalidArgumentError);
  });
});

describe('failOver', () => {
  it('builds what is in flight anew from the log, in a later term', async () => {
    const { coordinator } = shop;
    const held = coordinator.delay('inventory', 200, ['prepare']);
    const { term } = coordinator;
    const [order, before] = [next(), shop.stock];
    const running = shop.order(order, 1);
    await held.happened;
    await coordinator.failOver();
    expect(coordinator.term).toBeGreaterThan(term);
    const { status } = await running;
    expect([200, 503]).toContain(status); // 503: its Begin was not logged, or its outcome is not known to the client
    await coordinator.expectNothingInDoubt();
    expect(happened(order, before, 1)).not.toBe('half');
  });
});

describe('what is open', () => {
  it('is listed with branches, gids and whether their participants are connected', async () => {
    const { coordinator } = shop;
    const loss = coordinator.loseReply('inventory', 'commit');
    const url = '/v1/transactions/execute?wait=decided';
    const { body } = await shop.post(url, {
      branches: [
        { participant: 'orders', operation: 'create', payload: { order: next() } },
        { participant: 'inventory', operation: 'reserve', payload: { item: 'screws', count: 1 } },
      ],
    });
    await loss.happened;
    const error: unknown = await coordinator.expectNothingInDoubt({ withinMs: 200 }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TransactionsOpenError);
    const { message } = error as TransactionsOpenError;
    expect(message).toContain(`transaction ${body.id} is committing, decided to commit`);
    expect(message).toMatch(
      new RegExp(
        `branch \\S+ of inventory is committing \\(gid concordat:local:${body.id}:\\S+; 1 processes connected\\)`,
      ),
    );
    expect(message).not.toContain('of orders');
  });

  it('includes what a client has begun and forgotten; reset aborts it', async () => {
    const { body } = await shop.post('/v1/transactions', { timeoutMs: 600_000 });
    await expect(shop.coordinator.expectNothingInDoubt({ withinMs: 20 })).rejects.toThrow(
      `transaction ${body.id} is active, undecided`,
    );
    await shop.coordinator.reset();
    expect((await (await fetch(`${shop.coordinator.url}/v1/transactions/${body.id}`)).json()) as object).toMatchObject({
      status: 'aborted',
    });
  });

  it('includes prepared transactions of databases, of this cluster only', async () => {
    const gid = 'concordat:local:0193:0194';
    const prepared = [
      { database: 'orders', gid, ageMs: 12 },
      { database: 'orders', gid: 'concordat:other:0193:0194', ageMs: 12 },
    ];
    const databases = { preparedTransactions: () => Promise.resolve(prepared) };
    await expect(shop.coordinator.expectNothingInDoubt({ withinMs: 0, databases })).rejects.toThrow(
      `and 1 branches are prepared:\n  the database orders holds ${gid}, prepared 12 ms ago`,
    );
  });
});

describe('names', () => {
  it('of participants must be those that have announced themselves', () => {
    const { coordinator } = shop;
    for (const use of [
      () => coordinator.loseReply('inventroy', 'prepare'),
      () => coordinator.loseRequest('inventroy', 'prepare'),
      () => coordinator.delay('inventroy', 5),
      () => coordinator.duplicate('inventroy'),
      () => coordinator.abortNext({ participant: 'inventroy' }),
    ]) {
      expect(use).toThrow('no participant "inventroy" has announced itself; there are: inventory, orders.');
    }
  });

  it('of kinds, and numbers, are checked', () => {
    const { coordinator } = shop;
    expect(() => coordinator.loseReply('inventory', 'vote' as MessageKind)).toThrow(
      'no kind of message is called "vote"; there are: prepare, precommit, commit, abort',
    );
    expect(() => coordinator.delay('inventory', 5, [])).toThrow(InvalidArgumentError);
    expect(() => coordinator.delay('inventory', [9, 5])).toThrow('or [least, most] of them');
    expect(() => coordinator.delay('inventory', -1)).toThrow(InvalidArgumentError);
    expect(() => coordinator.loseReply('inventory', 'commit', { times: 0 })).toThrow('a whole number above 0');
  });

  it('of participants that never come are named, with those that are there', async () => {
    await expect(shop.coordinator.participantsReady(['orders', 'payments'], { withinMs: 10 })).rejects.toThrow(
      WaitedInVainError,
    );
    await expect(shop.coordinator.participantsReady(['payments'], { withinMs: 10 })).rejects.toThrow(
      `after 10 ms these are not connected: payments; connected are: inventory, orders. Their coordinators must be ['${shop.coordinator.url}']`,
    );
    await expect(shop.coordinator.participantsReady([], { withinMs: NaN })).rejects.toThrow(InvalidArgumentError);
  });
});
