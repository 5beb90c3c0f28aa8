import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { startLocalSystem, type LocalSystem } from '../../../test/support/local-system.js';
import { IS_NIGHTLY } from '../../../test/support/nightly.js';
import { waitFor } from '../../../test/support/wait-for.js';
import {
  bookChecks,
  leftIn,
  readBooks,
  ShopLoad,
  stepsOn,
  type ShopDatabases,
} from '../../lab/src/scenarios/shop/index.js';

jest.setTimeout(180_000);

const CHECKOUT_TIMEOUT_MS = 20_000;
const SERVICES = ['orders', 'inventory', 'payments'] as const;
const stepsAt = (link: 'direct' | 'kafka', ...points: readonly string[]): readonly string[] =>
  points.map((point) => stepsOn(link).find((step) => step.point === `participant.${point}`)!.point);

/** Each service dies at a step of its own. */
const KILLED_AT = {
  direct: stepsAt('direct', 'begin.after-statement', 'prepare-transaction.after-statement', 'vote.after-send'),
  kafka: stepsAt('kafka', 'prepare-transaction.before-statement', 'commit.before-commit', 'commit.after-commit'),
};
/** By day one service dies on Kafka, at night all of them do. */
const KILLED: Record<'direct' | 'kafka', readonly (typeof SERVICES)[number][]> = {
  direct: SERVICES,
  kafka: IS_NIGHTLY ? SERVICES : ['inventory'],
};
const PAID_AFTER_EACH = 6;
const COORDINATORS = ['coordinator-1', 'coordinator-2', 'coordinator-3'];

/** All that the shop shows, service by service. */
interface Shown {
  readonly orders: readonly unknown[];
  readonly reservations: readonly unknown[];
  readonly payments: readonly unknown[];
  readonly stock: readonly unknown[];
  readonly customers: readonly unknown[];
}

describe.each(['direct', 'kafka'] as const)('the shop on the link %s', (link) => {
  let system: LocalSystem;
  const urls = new Map<string, string>();
  const databases = new Map<string, string>();

  beforeAll(async () => {
    const broker = link === 'kafka' ? ['kafka'] : [];
    const servers = ['postgres-a', 'postgres-b', 'postgres-c'];
    system = await startLocalSystem({ link, only: [...COORDINATORS, ...servers, ...broker, ...SERVICES] });
    for (const { name, ports, databaseUrl } of (await system.systemFile()).processes) {
      urls.set(name, `http://127.0.0.1:${ports['http']}`);
      if (databaseUrl !== undefined) databases.set(name, databaseUrl);
    }
  });

  afterAll(() => system?.stop());

  const read = async (service: string, path: string): Promise<readonly unknown[]> => {
    const answer = await fetch(`${urls.get(service)}/${path}`);
    return (await answer.json()) as unknown[];
  };

  async function readShown(): Promise<Shown> {
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

  const shopDatabases = (): ShopDatabases => {
    const [orders, inventory, payments] = SERVICES.map((name) => databases.get(name)!);
    return { orders: orders!, inventory: inventory!, payments: payments! };
  };

  const pidOf = async (service: string): Promise<number> =>
    (await system.systemFile()).processes.find(({ name }) => name === service)!.pid;

  const arm = async (service: string, failpoint: string): Promise<void> => {
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ arm: failpoint });
    const answer = await fetch(`${urls.get(service)}/debug/failpoints`, { method: 'PUT', headers, body });
    expect(answer.status).toBe(200);
  };

  const cart = (customer: string) => ({ customer, lines: [{ sku: 'grinder', quantity: 2 }] });

  it('takes an order, reserves the goods and charges the customer, all of it', async () => {
    const { status, body } = await checkOut(cart('ada'));
    expect([status, body]).toMatchObject([201, { customer: 'ada', total: 17_800, status: 'paid' }]);
    const { id } = body;
    const books = await readShown();
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
    const before = await readShown();
    const answer = await checkOut(body);
    expect(String(answer.body['message'])).toContain(sentence);
    expect(answer.status).toBe(status);
    expect(await readShown()).toEqual(before);
  });

  it('is killed service by service within a checkout, goes on, and the books are right', async () => {
    const opening = await readBooks(shopDatabases());
    const load = new ShopLoad(urls.get('orders')!);
    load.start();
    try {
      for (const service of KILLED[link]) {
        const pid = await pidOf(service);
        await arm(service, `${KILLED_AT[link][SERVICES.indexOf(service)]}=kill`);
        await waitFor(`${service} has died`, () => !isAlive(pid), { timeoutMs: 30_000 });
        await system.restart(service);
        expect(await load.waitForPaid(PAID_AFTER_EACH, 60_000)).toBe(true);
      }
    } finally {
      await load.stop();
    }
    const left = (): Promise<string[][]> => Promise.all(Object.values(shopDatabases()).map(leftIn));
    await waitFor('all branches have ended', async () => (await left()).flat().length === 0, { timeoutMs: 60_000 });
    const checks = bookChecks(opening, await readBooks(shopDatabases()), load.checkouts);
    expect(checks.length).toBeGreaterThan(4);
    expect(checks.filter(({ holds }) => !holds)).toEqual([]);
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
