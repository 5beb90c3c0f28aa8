import { beforeEach, describe, expect, it } from '@jest/globals';
import { waitFor } from '../../../../test/support/wait-for.js';
import { INVITATION_HEADER } from './context-header.js';
import { join } from './joining.js';
import { GlobalSystem, type FakeService } from './testing/global-system.js';

const INVENTORY = 'inventory:3000';
const SHIPPING = 'shipping:3000';
const TOPIC = 'stock-changes';

let system: GlobalSystem;
let orders: FakeService;
let inventory: FakeService;
let shipping: FakeService;

beforeEach(() => {
  system = new GlobalSystem();
  system.beginsLate = true;
  orders = system.service('orders', { propagateTo: [INVENTORY, { destination: TOPIC, consumers: ['stock'] }] });
  inventory = system.service('inventory', { propagateTo: [SHIPPING] });
  shipping = system.service('shipping');
});

const add = (service: FakeService, word: string): Promise<unknown> =>
  service.transactions.currentClient()!.query(`add ${word}`);
const run = (work: () => Promise<unknown>): Promise<unknown> => orders.transactions.run({}, work);

/** As a transport does it. */
async function call(
  from: FakeService,
  to: FakeService,
  destination: string,
  isOffering: boolean,
  handler: () => Promise<unknown> = () => add(to, 'work'),
): Promise<void> {
  const outgoing = from.transactions.outgoing(destination)!;
  await outgoing.ready(isOffering);
  const sent = isOffering ? outgoing.offeringHeaders : outgoing.headers;
  let headers: Readonly<Record<string, string>> = {};
  const incoming = {
    context: sent['concordat-transaction'],
    offer: sent['concordat-names-branches'],
    audiences: [destination],
    invitation: sent[INVITATION_HEADER],
  };
  await from.transactions.suspend(() => join(to.transactions, incoming, {}, handler, (given) => (headers = given)));
  outgoing.answered({ kind: 'success', valueOf: (name) => headers[name] });
}

describe('a transaction that begins with its commit', () => {
  it('commits what its own process has done, without another request', async () => {
    await run(() => add(orders, 'order'));
    expect([orders.words, system.earlyBegins]).toEqual([['order'], 0]);
  });

  it('begins before the first call to a service, and after it only with its commit', async () => {
    for (const begins of [1, 1, 1]) {
      await run(async () => {
        await add(orders, 'order');
        await call(orders, inventory, INVENTORY, true);
      });
      expect(system.earlyBegins).toBe(begins);
    }
    expect([orders.words, inventory.words, system.enlistments]).toEqual([['order'], ['work'], 0]);
  });

  it('begins before every call that makes no offer, because the service enlists itself', async () => {
    for (const begins of [1, 2]) {
      await run(() => call(orders, inventory, INVENTORY, false));
      expect([system.earlyBegins, system.enlistments]).toEqual([begins, begins]);
    }
  });

  it('begins before a call to a service that has not taken the last offer', async () => {
    await run(() => call(orders, inventory, INVENTORY, true));
    await run(() => call(orders, inventory, INVENTORY, true, async () => undefined)); // it has no branch to name
    await run(() => call(orders, inventory, INVENTORY, true));
    expect(system.earlyBegins).toBe(2);
  });

  it('is begun by a called service that calls another one without an offer', async () => {
    await run(() => call(orders, inventory, INVENTORY, true));
    const further = (): Promise<void> => call(inventory, shipping, SHIPPING, false);
    await run(() => call(orders, inventory, INVENTORY, true, further));
    expect([system.earlyBegins, system.enlistments, shipping.words]).toEqual([2, 1, ['work']]);
  });

  it('is asked about by a called service until the log has it, for the hooks there', async () => {
    const outcomes: string[] = [];
    const hooked = async (): Promise<void> => {
      const transaction = inventory.transactions.transaction;
      transaction.onGlobalCommit(() => void outcomes.push('committed'));
      transaction.onGlobalAbort(() => void outcomes.push('aborted'));
      await add(inventory, 'work');
    };
    for (let time = 0; time < 2; time++) await run(() => call(orders, inventory, INVENTORY, true, hooked));
    await waitFor('both hooks ran', () => outcomes.length === 2);
    expect([outcomes, system.earlyBegins]).toEqual([['committed', 'committed'], 1]);
  });

  it('begins before a message, whose consumers enlist what they have done', async () => {
    const sent = run(async () => {
      const message = orders.transactions.outgoingMessage(TOPIC)!;
      await message.ready();
      message.sent({ topic: TOPIC, partition: 0, offset: '1' });
      throw new Error('enough');
    });
    await expect(sent).rejects.toThrow('enough');
    expect(system.earlyBegins).toBe(1);
  });

  it('aborts without a request where no other process has heard of it, otherwise with one', async () => {
    const failing = (work: () => Promise<unknown>): Promise<unknown> =>
      run(async () => {
        await work();
        throw new Error('no');
      }).catch(() => undefined);
    await failing(() => add(orders, 'order'));
    expect([system.aborts, orders.words]).toEqual([0, []]);
    await failing(() => call(orders, inventory, INVENTORY, true));
    expect([system.aborts, inventory.words]).toEqual([1, []]);
  });

  it('fails the call when the coordinators do not take it, and aborts', async () => {
    const refused = new Error('no leader');
    system.ensure = () => Promise.reject(refused);
    let called = false;
    const failed = run(() => call(orders, inventory, INVENTORY, true, async () => (called = true)));
    await expect(failed).rejects.toBe(refused);
    expect(called).toBe(false);
  });
});
