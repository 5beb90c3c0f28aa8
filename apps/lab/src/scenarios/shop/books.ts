import pg from 'pg';
import { checkOf, type Check } from '../truth.js';
import type { Checkout } from './load.js';

const CONNECT_TIMEOUT_MS = 5_000;

interface OrderRow {
  readonly id: string;
  readonly customer: string;
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[];
  readonly total: number;
  readonly status: string;
}

/** Everything that the three services have written, read from their databases. */
export interface Books {
  readonly orders: readonly OrderRow[];
  readonly reservations: readonly { readonly orderId: string; readonly sku: string; readonly quantity: number }[];
  readonly payments: readonly { readonly orderId: string; readonly customer: string; readonly amount: number }[];
  readonly stock: ReadonlyMap<string, number>;
  readonly credit: ReadonlyMap<string, number>;
}

export type ShopDatabases = Readonly<Record<'orders' | 'inventory' | 'payments', string>>;

async function query<Row extends pg.QueryResultRow>(url: string, text: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

export async function readBooks(databases: ShopDatabases): Promise<Books> {
  const [orders, reservations, payments, stock, credit] = await Promise.all([
    query<OrderRow>(databases.orders, 'SELECT id, customer, lines, total, status FROM shop_order'),
    query<Books['reservations'][number]>(databases.inventory, 'SELECT "orderId", sku, quantity FROM reservation'),
    query<Books['payments'][number]>(databases.payments, 'SELECT "orderId", customer, amount FROM payment'),
    query<{ name: string; left: number }>(databases.inventory, 'SELECT sku AS name, available AS left FROM stock'),
    query<{ name: string; left: number }>(databases.payments, 'SELECT name, credit AS left FROM customer'),
  ]);
  const byName = (rows: readonly { name: string; left: number }[]): Map<string, number> =>
    new Map(rows.map(({ name, left }) => [name, left]));
  return { orders, reservations, payments, stock: byName(stock), credit: byName(credit) };
}

/** What is still open of branches in a database: prepared transactions, and sessions within one. */
export async function leftIn(url: string): Promise<string[]> {
  const rows = await query<{ what: string }>(
    url,
    `SELECT 'prepared: ' || gid AS what FROM pg_prepared_xacts WHERE database = current_database()
     UNION ALL
     SELECT 'open: ' || coalesce(query, '') FROM pg_stat_activity
     WHERE datname = current_database() AND state LIKE 'idle in transaction%'`,
  );
  return rows.map(({ what }) => what);
}

/** Orders, stock and payments add up, and agree with what customers were told. */
export function bookChecks(opening: Books, closing: Books, checkouts: readonly Checkout[]): Check[] {
  const { orders } = closing;
  return [
    checkOf('every order is paid', unpaid(orders), `${orders.length} orders`),
    checkOf('each order has its payment, and each payment its order', paymentProblems(closing), 'they are the same'),
    checkOf('each order has its reservations, and no other', reservationProblems(closing), 'they are the same'),
    checkOf('stock and reservations add up', stockProblems(opening, closing), 'nothing is missing'),
    checkOf('credit and payments add up', creditProblems(opening, closing), 'nothing is missing'),
    checkOf('customers were told the truth', answerProblems(closing, checkouts), tally(checkouts)),
  ];
}

const unpaid = (orders: readonly OrderRow[]): string[] =>
  orders.filter(({ status }) => status !== 'paid').map(({ id, status }) => `order ${id} is ${status}`);

function paymentProblems({ orders, payments }: Books): string[] {
  const wanted = orders.map(({ id, customer, total }) => `${id} ${customer} ${total}`);
  return difference(
    wanted,
    payments.map(({ orderId, customer, amount }) => `${orderId} ${customer} ${amount}`),
    'payment',
  );
}

function reservationProblems({ orders, reservations }: Books): string[] {
  const wanted = orders.flatMap(({ id, lines }) => lines.map(({ sku, quantity }) => `${id} ${sku} ${quantity}`));
  return difference(
    wanted,
    reservations.map(({ orderId, sku, quantity }) => `${orderId} ${sku} ${quantity}`),
    'reservation',
  );
}

function difference(wanted: readonly string[], found: readonly string[], what: string): string[] {
  const [want, have] = [new Set(wanted), new Set(found)];
  return [
    ...wanted.filter((item) => !have.has(item)).map((item) => `the order ${item} has no ${what}`),
    ...found.filter((item) => !want.has(item)).map((item) => `the ${what} ${item} has no order`),
  ];
}

function stockProblems(opening: Books, closing: Books): string[] {
  const taken = (books: Books): ReadonlyMap<string, number> =>
    sums(books.reservations.map(({ sku, quantity }) => [sku, quantity]));
  return leftProblems(opening.stock, closing.stock, taken(opening), taken(closing));
}

function creditProblems(opening: Books, closing: Books): string[] {
  const spent = (books: Books): ReadonlyMap<string, number> =>
    sums(books.payments.map(({ customer, amount }) => [customer, amount]));
  return leftProblems(opening.credit, closing.credit, spent(opening), spent(closing));
}

function sums(items: readonly (readonly [string, number])[]): ReadonlyMap<string, number> {
  const result = new Map<string, number>();
  for (const [name, amount] of items) result.set(name, (result.get(name) ?? 0) + amount);
  return result;
}

/** What is left and what was taken have the same sum before and after. */
function leftProblems(...[before, after, takenBefore, takenAfter]: ReadonlyMap<string, number>[]): string[] {
  return [...before!].flatMap(([name, left]) => {
    const was = left + (takenBefore!.get(name) ?? 0);
    const is = (after!.get(name) ?? 0) + (takenAfter!.get(name) ?? 0);
    return was === is ? [] : [`${name}: ${was} before, ${is} now`];
  });
}

function answerProblems({ orders }: Books, checkouts: readonly Checkout[]): string[] {
  const known = new Set(orders.map(({ id }) => id));
  const promised = checkouts.flatMap(({ answer }) => (answer?.status === 201 ? [String(answer.body['id'])] : []));
  return [
    ...promised.filter((id) => !known.has(id)).map((id) => `order ${id} was confirmed and is not there`),
    ...orders.filter(({ customer }) => customer === 'broke').map(({ id }) => `order ${id} has no money behind it`),
    ...checkouts
      .filter(({ customer, answer }) => customer === 'broke' && answer?.status === 201)
      .map(() => 'a customer without credit was told that the order is paid'),
  ];
}

function tally(checkouts: readonly Checkout[]): string {
  const counts = sums(checkouts.map(({ answer }) => [answer === undefined ? 'no answer' : String(answer.status), 1]));
  return [...counts].map(([status, count]) => `${count} × ${status}`).join(', ');
}
