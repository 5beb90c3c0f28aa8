import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { startLocalSystem, type LocalSystem } from '../../../test/support/local-system.js';
import { waitFor } from '../../../test/support/wait-for.js';

jest.setTimeout(180_000);

const CHECKOUT_TIMEOUT_MS = 20_000;
const SERVICES = ['orders', 'inventory', 'payments'] as const;
const COORDINATORS = ['coordinator-1', 'coordinator-2', 'coordinator-3'];

/** All that the shop shows, service by service. */
interface Books {
  readonly orders: readonly unknown[];
  readonly reservations: readonly unknown[];
  readonly payments: readonly unknown[];
  readonly stock: readonly unknown[];
  readonly customers: readonly unknown[];
}

describe.each(['direct', 'kafka'] as const)('the shop on the link %s', (link) => {
  let system: LocalSystem;
  const urls = new Map<string, string>();

  beforeAll(async () => {
    const broker = link === 'kafka' ? ['kafka'] : [];
    const databases = ['postgres-a', 'postgres-b', 'postgres-c'];
    system = await startLocalSystem({ link, only: [...COORDINATORS, ...databases, ...broker, ...SERVICES] });
    for (const { name, ports } of (await system.systemFile()).processes) {
      urls.set(name, `http://127.0.0.1:${ports['http']}`);
    }
  });

  afterAll(() => system?.stop());

  const read = async (service: string, path: string): Promise<readonly unknown[]> => {
    const answer = await fetch(`${urls.get(service)}/${path}`);
    return (await answer.json()) as unknown[];
  };

  async function readBooks(): Promise<Books> {
    const [orders, reservations, payments, stock, customers] = await Promise.all([
      read('orders', 'orders'),
      read('inventory', 'reservations'),
      read('payments', 'payments'),
      read('inventory', 'stock'),
      read('payments', 'customers'),
    ]);
    return { orders, reservations, payments, stock, customers };
  }

  async function checkOut(body: unknown): Promise<{ status: number; body: Record<string, unknown> }> {
    const headers = { 'content-type': 'application/json' };
    const signal = AbortSignal.timeout(CHECKOUT_TIMEOUT_MS);
    const answer = await fetch(`${urls.get('orders')}/checkout`, {
      signal,
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    });
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  }

  const cart = (customer: string) => ({ customer, lines: [{ sku: 'grinder', quantity: 2 }] });

  it('takes an order, reserves the goods and charges the customer, all of it', async () => {
    const { status, body } = await checkOut(cart('ada'));
    expect([status, body]).toMatchObject([201, { customer: 'ada', total: 17_800, status: 'paid' }]);
    const { id } = body;
    const books = await readBooks();
    expect(books.orders).toEqual([expect.objectContaining({ id, status: 'paid' })]);
    expect(books.reservations).toEqual([{ orderId: id, sku: 'grinder', quantity: 2 }]);
    expect(books.payments).toEqual([{ orderId: id, customer: 'ada', amount: 17_800 }]);
    expect(books.stock).toContainEqual({ sku: 'grinder', available: 999_998 });
    expect(books.customers).toContainEqual({ name: 'ada', credit: 1_000_000_000 - 17_800 });
  });

  it.each([
    ['the payment is refused', cart('broke'), 402, 'may spend 0'],
    ['the customer is unknown', cart('mallory'), 422, 'no customer mallory'],
    [
      'there is too little in stock',
      {
        ...cart('ada'),
        lines: [
          { sku: 'beans', quantity: 100 },
          { sku: 'tea', quantity: 1 },
        ],
      },
      422,
      'no product tea',
    ],
    ['the cart is wrong', { customer: 'ada', lines: [] }, 400, 'lines'],
  ])('leaves nothing behind when %s', async (_what, body, status, sentence) => {
    const before = await readBooks();
    const answer = await checkOut(body);
    expect(String(answer.body['message'])).toContain(sentence);
    expect(answer.status).toBe(status);
    expect(await readBooks()).toEqual(before);
  });

  it('goes on after its services were killed, and the books are right', async () => {
    for (const service of SERVICES) {
      const { processes } = await system.systemFile();
      const checkouts = Array.from({ length: 4 }, () => checkOut(cart('grace')).catch(() => undefined));
      process.kill(processes.find(({ name }) => name === service)!.pid, 'SIGKILL');
      await Promise.all(checkouts);
      await system.restart(service);
      await waitFor(
        'orders are paid again',
        async () => (await checkOut(cart('alan')).catch(() => undefined))?.status === 201,
        {
          timeoutMs: 60_000,
        },
      );
    }
    const settled = async (): Promise<boolean> => {
      const { orders, reservations, payments } = await readBooks();
      return orders.length === reservations.length && orders.length === payments.length;
    };
    await waitFor('all branches have ended', settled, { timeoutMs: 60_000 });
    const { orders } = await readBooks();
    expect(orders).toEqual(orders.map(() => expect.objectContaining({ status: 'paid' })));
  });
});
