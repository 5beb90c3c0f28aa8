import { SHOP_SERVICES, type ShopService } from '../local-system/ports.js';
import { openShop } from '../local-system/shop.js';
import { waitUntil } from '../local-system/wait.js';
import { sequenceOf } from './checkout-sequence.js';
import { inDoubtItems } from './final-checks.js';
import type { Scenario } from './scenario.js';
import type { ScenarioLab } from './scenario-lab.js';
import { bookChecks, checkOut, leftIn, readBooks, ShopLoad, stepsOn, type ShopDatabases } from './shop/index.js';
import { checkOf } from './truth.js';

const ORDERS = 10;
const ORDERS_TIMEOUT_MS = 60_000;
const SETTLE_TIMEOUT_MS = 60_000;

export const shop: Scenario = {
  name: 'shop',
  title: 'three ordinary NestJS services check out under load; each is killed at each step, and the books are right',
  run: async (lab) => {
    const { narration } = lab;
    narration.action('start orders, inventory and payments, each with a database of its own');
    const close = await openShop(lab.context, lab.file);
    try {
      await showOne(lab);
      await refuseOne(lab);
      await killEverywhere(lab);
    } finally {
      await close();
    }
  },
};

async function showOne(lab: ScenarioLab): Promise<void> {
  const cart = { customer: 'ada', lines: [{ sku: 'grinder', quantity: 1 }] };
  lab.narration.action('one checkout, as the coordinators see it');
  const leader = await lab.leader();
  const rows = await sequenceOf(lab.url(leader), () => checkOut(lab.url('orders'), cart));
  for (const row of rows) lab.narration.say(`          ${row}`);
}

async function refuseOne(lab: ScenarioLab): Promise<void> {
  const cart = { customer: 'broke', lines: [{ sku: 'grinder', quantity: 1 }] };
  const before = await readBooks(databasesOf(lab));
  lab.narration.action('a checkout of a customer without credit: the payment fails after order and reservation');
  const answer = await checkOut(lab.url('orders'), cart);
  lab.narration.observation(`the answer is ${answer?.status} ${String(answer?.body['message'])}`);
  const after = await readBooks(databasesOf(lab));
  const left = after.orders.length - before.orders.length + after.reservations.length - before.reservations.length;
  lab.check('a failed payment leaves no order and no reservation', left === 0 ? [] : [`${left} are left`], 'none');
}

async function killEverywhere(lab: ScenarioLab): Promise<void> {
  const opening = await readBooks(databasesOf(lab));
  const load = new ShopLoad(lab.url('orders'));
  load.start();
  try {
    await untilPaid(load, lab);
    for (const service of SHOP_SERVICES) {
      for (const { point, moment } of stepsOn(lab.state().link)) await killAt(lab, load, service, point, moment);
    }
  } finally {
    await load.stop();
  }
  await checkSettled(lab);
  lab.findings.push(...bookChecks(opening, await readBooks(databasesOf(lab)), load.checkouts));
}

async function killAt(
  lab: ScenarioLab,
  load: ShopLoad,
  service: ShopService,
  point: string,
  moment: string,
): Promise<void> {
  lab.narration.action(`kill -9 ${service}: ${moment}`);
  await lab.arm(service, `${point}=kill`);
  await lab.waitForDeath(service);
  await lab.restart(service);
  await untilPaid(load, lab);
}

async function untilPaid(load: ShopLoad, lab: ScenarioLab): Promise<void> {
  const goesOn = await load.waitForPaid(ORDERS, ORDERS_TIMEOUT_MS);
  const last = load.checkouts.at(-1)?.answer;
  const why = `fewer within ${ORDERS_TIMEOUT_MS / 1000} s; the last answer was ${last?.status} ${String(last?.body['message'])}`;
  if (!goesOn) lab.check(`${ORDERS} further orders are paid`, [why], '');
}

/** Nothing is prepared, no session holds locks, and the services have confirmed every decision. */
async function checkSettled(lab: ScenarioLab): Promise<void> {
  let left: string[] = [];
  const start = Date.now();
  const isSettled = async (): Promise<boolean> => {
    const inDatabases = await Promise.all(Object.values(databasesOf(lab)).map(leftIn));
    left = [...inDatabases.flat(), ...(await inDoubtItems(lab, SHOP_SERVICES))];
    return left.length === 0;
  };
  await waitUntil(isSettled, { timeoutMs: SETTLE_TIMEOUT_MS, pollMs: 100 });
  lab.findings.push(
    checkOf(
      'no branch of the shop is prepared or in doubt, no session is open',
      left,
      `none after ${Date.now() - start} ms`,
    ),
  );
}

function databasesOf(lab: ScenarioLab): ShopDatabases {
  const [orders, inventory, payments] = SHOP_SERVICES.map((name) => lab.process(name).databaseUrl ?? '');
  return { orders: orders!, inventory: inventory!, payments: payments! };
}
