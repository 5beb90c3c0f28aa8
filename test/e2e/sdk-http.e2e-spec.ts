import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { waitFor } from '../support/wait-for.js';
import { ContextCodec, contextKeysOf } from '@concordat/participant';
import { Checkpoint, SdkSystem, type ServiceProcess } from './sdk-system.js';
import { DEVELOPMENT_PORTS } from '../support/development-ports.js';

jest.setTimeout(120_000);

let system: SdkSystem;
let orders: ServiceProcess;
let inventory: ServiceProcess;
let payments: ServiceProcess;

describe.each([
  ['asks for its transaction first', {}, true],
  ['begins it with the commit', { beginWithCommit: true }, false],
] as const)('a service that %s', (_how, begins, isKnownAtOnce) => {
  beforeAll(async () => {
    system = await SdkSystem.start(DEVELOPMENT_PORTS.sdkHttp);
    payments = await system.service('payments', begins);
    inventory = await system.service('inventory', { ...begins, propagateTo: [payments.host] });
    orders = await system.service('orders', { ...begins, propagateTo: [inventory.host, payments.host] });
    const back = [orders.host, payments.host];
    Object.assign(inventory.options, { propagateTo: back });
    await Promise.all([payments.start(), inventory.start(), orders.start()]);
  });

  afterAll(() => system?.stop());

  afterEach(async () => {
    await waitFor('nothing is prepared', async () => (await prepared()) === 0);
    await system.clear();
  });

  const prepared = async (): Promise<number> => {
    const all = await Promise.all([orders, inventory, payments].map((service) => system.wordsOf(service)));
    return all.reduce((sum, one) => sum + one.prepared, 0);
  };

  async function words(): Promise<readonly (readonly string[])[]> {
    return Promise.all([orders, inventory, payments].map(async (service) => (await system.wordsOf(service)).words));
  }

  describe.each(['fetch', 'axios'] as const)('three services that call each other by %s', (via) => {
    it('commit together, and the read right after sees everything', async () => {
      const pay = { call: payments.url, path: 'join', via, plan: [{ add: 'payment' }] };
      const reserve = { call: inventory.url, path: 'join', via, plan: [{ add: 'reservation' }, pay] };
      expect(await orders.post('begin', [{ add: 'order' }, reserve])).toEqual({ status: 201, body: {} });
      expect(await words()).toEqual([['order'], ['reservation'], ['payment']]);
      const { branches } = await system.lastTransaction();
      expect(branches.map(({ participant }) => participant).sort()).toEqual(['inventory', 'orders', 'payments']);
    });

    it('abort together when one throws', async () => {
      const pay = { call: payments.url, path: 'join', via, plan: [{ add: 'payment' }, { fail: 'no funds' }] };
      const reserve = { call: inventory.url, path: 'join', via, plan: [{ add: 'reservation' }] };
      expect(await orders.post('begin', [{ add: 'order' }, reserve, pay])).toMatchObject({ status: 500 });
      expect(await words()).toEqual([[], [], []]);
      expect(await system.lastTransaction()).toMatchObject({ outcome: 'aborted' });
    });

    it('keep the rest when a failure is caught', async () => {
      const pay = { call: payments.url, path: 'join', via, plan: [{ add: 'payment' }, { fail: 'no funds' }] };
      const again = { call: payments.url, path: 'join', via, plan: [{ add: 'voucher' }] };
      expect(await orders.post('begin', [{ add: 'order' }, { attempt: [pay] }, again])).toEqual({
        status: 201,
        body: {},
      });
      expect(await words()).toEqual([['order'], [], ['voucher']]);
    });

    it('abort when an exception filter hides the failure, and say who it was', async () => {
      const soothing = {
        call: inventory.url,
        path: 'soothing',
        via,
        plan: [{ add: 'reservation' }, { fail: 'hidden' }],
      };
      const { status, body } = await orders.post('begin', [{ add: 'order' }, soothing]);
      expect([status, body.code]).toEqual([500, 'ROLLBACK_ONLY']);
      expect(body.message).toContain('inventory had doomed it with PLANNED');
      expect(await words()).toEqual([[], [], []]);
    });

    it('abort when the proof is missing, and name the destination', async () => {
      const local = { call: inventory.url, path: 'local', via, plan: [] };
      const { body } = await orders.post('begin', [{ add: 'order' }, local]);
      expect(body.code).toBe('NOT_JOINED');
      expect(body.message).toContain(inventory.host);
      expect((await orders.post('begin', [{ add: 'order' }, { attempt: [local] }])).body.code).toBe('ROLLBACK_ONLY');
      expect(await words()).toEqual([[], [], []]);
    });
  });

  describe('one session for each service and transaction', () => {
    it('lets two calls change the same row, and a callback work beside its caller', async () => {
      const change = { sql: "UPDATE word SET word = word || '!'" };
      const back = { call: orders.url, path: 'join', plan: [{ add: 'from a callback' }, change] };
      const first = { call: inventory.url, path: 'join', plan: [{ add: 'row' }, change, back] };
      const second = { call: inventory.url, path: 'join', plan: [change] };
      expect(await orders.post('begin', [{ add: 'order' }, first, second])).toEqual({ status: 201, body: {} });
      expect(await words()).toEqual([['from a callback!', 'order!'], ['row!!'], []]);
    });

    it('calls the hooks of all services once the decision is known', async () => {
      const join = { call: inventory.url, path: 'join', plan: [{ hook: 'inventory' }, { add: 'reservation' }] };
      await orders.post('begin', [{ hook: 'orders' }, { add: 'order' }, join]);
      // in its own time, which the next transaction does not wait for
      await waitFor('the first ran in inventory', async () => (await inventory.observe()).hooks.length === 1);
      await orders.post('begin', [{ hook: 'orders' }, { add: 'order' }, join, { fail: 'no' }]);
      expect((await orders.observe()).hooks).toEqual(['orders commit', 'orders abort']);
      const hooks = await waitFor('they ran', async () => {
        const seen = (await inventory.observe()).hooks;
        return seen.length === 2 ? seen : undefined;
      });
      expect(hooks).toEqual(['inventory commit', 'inventory abort']);
    });
  });

  describe('misuse', () => {
    it('a forged context, or none where it is MANDATORY, is an error and works nowhere', async () => {
      const forged = { 'concordat-transaction': 'v1.0190.5.aaaa.bbbb' };
      expect((await inventory.post('join', [{ add: 'x' }], forged)).body.code).toBe('INVALID_CONTEXT');
      expect((await inventory.post('join', [{ add: 'x' }])).body.code).toBe('TRANSACTION_REQUIRED');
      expect(await words()).toEqual([[], [], []]);
    });

    it('a genuine context that is replayed after the end is an error and works nowhere', async () => {
      await orders.post('begin', [{ add: 'order' }]);
      await system.clear();
      const { id, deadline } = await system.lastTransaction();
      const keys = contextKeysOf({ cluster: 'local', coordinators: [system.coordinatorUrl], environment: {} });
      const genuine = { transactionId: id, deadline: Date.parse(deadline), audience: inventory.host };
      const headers = { 'concordat-transaction': new ContextCodec(keys).encode(genuine) };
      const { status, body } = await inventory.post('join', [{ add: 'replayed' }], headers);
      expect(status).toBe(500);
      expect(['TRANSACTION_DECIDED', 'TRANSACTION_CLOSED', 'ROLLBACK_ONLY']).toContain(body.code);
      const cut = { 'concordat-transaction': headers['concordat-transaction'].slice(0, -9) };
      expect((await inventory.post('join', [{ add: 'cut' }], cut)).body.code).toBe('INVALID_CONTEXT');
      expect(await words()).toEqual([[], [], []]);
    });

    it('REQUIRES_NEW where the only session is taken fails at once, and says what to raise', async () => {
      const narrow = await system.service('narrow', { limits: { workConcurrency: 2, heldBranches: 1 } });
      await narrow.start();
      const startedAt = performance.now();
      const { body } = await narrow.post('begin', [{ add: 'outer' }, { anew: [{ add: 'inner' }] }]);
      expect(performance.now() - startedAt).toBeLessThan(8_000); // the deadline is at 10 s
      expect(body.code).toBe('HELD_BRANCHES_EXHAUSTED');
      expect(body.message).toContain('raise workConnections and limits.heldBranches');
      expect((await system.wordsOf(narrow)).words).toEqual([]);
      await narrow.kill();
    });

    it('a forgotten await is an error that says so, and nothing is left', async () => {
      const checkpoint = await Checkpoint.open(async () => undefined);
      const forget = { forget: "INSERT INTO word VALUES ('late')" };
      const { status } = await orders.post('begin', [{ add: 'order' }, forget]);
      const [ordersWords] = await words();
      // in time: the statement belongs to the transaction; late: the transaction is aborted. Never one without the other
      expect(status === 201 ? ordersWords : [status, ordersWords]).toEqual(
        status === 201 ? expect.arrayContaining(['order']) : [500, []],
      );
      if (status === 201) expect(ordersWords).not.toContain('late');
      checkpoint.close();
    });

    it('a method that returns after the deadline has changed nothing', async () => {
      const join = { call: inventory.url, path: 'join', plan: [{ add: 'reservation' }] };
      const { body } = await orders.post('begin-short', [{ add: 'order' }, join, { waitUntilDeadline: true }]);
      expect(['TRANSACTION_ABORTED', 'ROLLBACK_ONLY']).toContain(body.code);
      expect(await words()).toEqual([[], [], []]);
    });
  });

  describe('a caller that is killed before its commit', () => {
    it('leaves nothing: its callees hear of the abort long before the deadline', async () => {
      const checkpoint = await Checkpoint.open(() => orders.kill());
      const join = { call: payments.url, path: 'join', plan: [{ add: 'payment' }] };
      await expect(orders.post('begin', [{ add: 'order' }, join, { tell: checkpoint.url }])).rejects.toThrow();
      checkpoint.close();
      await waitFor('payments holds nothing', async () => (await system.openSessions(payments)) === 0);
      if (isKnownAtOnce) {
        const { outcome, detail } = await system.lastTransaction();
        expect(outcome).toBe('aborted');
        expect(detail).toContain('of orders began the transaction and is gone');
      }
      await orders.start();
      expect(await words()).toEqual([[], [], []]);
    });
  });

  describe('a callee that is killed', () => {
    it('between its work and its answer: the transaction aborts, and the service can be used again', async () => {
      const dying = { call: payments.url, path: 'join', plan: [{ add: 'payment' }, { die: true }] as const };
      const { body } = await orders.post('begin', [{ add: 'order' }, { attempt: [dying] }]);
      expect(body.code).toBe('ROLLBACK_ONLY');
      await payments.hasEnded();
      expect(await words()).toEqual([[], [], []]);
      await payments.start();
      const join = { call: payments.url, path: 'join', plan: [{ add: 'payment' }] };
      await waitFor('it works again', async () => (await orders.post('begin', [join])).status === 201);
    });

    it('between its enlistment and its prepare: the commit fails, long before the deadline, and nothing is left', async () => {
      const checkpoint = await Checkpoint.open(() => payments.kill());
      const join = { call: payments.url, path: 'join', plan: [{ add: 'payment' }] };
      const { body } = await orders.post('begin', [{ add: 'order' }, join, { tell: checkpoint.url }]);
      checkpoint.close();
      expect(body.code).toBe('TRANSACTION_ABORTED');
      expect(await words()).toEqual([[], [], []]);
      await payments.start();
    });
  });
});
