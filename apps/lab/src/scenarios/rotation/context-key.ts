import { SHOP_SERVICES } from '../../local-system/ports.js';
import type { LocalSecurity } from '../../local-system/security/local-security.js';
import { openShop } from '../../local-system/shop.js';
import { LabError } from '../../lab-error.js';
import { tryAll } from '../intruder/attempts.js';
import { countedNow } from '../intruder/counted.js';
import { recordedContext } from '../intruder/forged-contexts.js';
import type { ScenarioLab } from '../scenario-lab.js';
import { ShopLoad } from '../shop/index.js';
import { readAgain } from './processes.js';

const ORDERS = 10;
/** More would wait for each other's goods until a deadline, on a machine that is slow or busy, and fail for that. */
const CUSTOMERS = 2;
const ORDERS_TIMEOUT_MS = 60_000;
/** Who waits for goods or credit is not refused. */
const LEAST_FAILURE = 500;

/** The key of the contexts of calls between the services of the shop, while customers check out. */
export async function replaceContextKey(lab: ScenarioLab, { contextKeys }: LocalSecurity): Promise<void> {
  const { narration } = lab;
  narration.action('start the shop, whose services call each other in transactions');
  const close = await openShop(lab.context, lab.file);
  try {
    const old = contextKeys.signing;
    const before = await refusedContexts(lab);
    const load = new ShopLoad(lab.url('orders'), CUSTOMERS);
    load.start();
    try {
      await untilPaid(load);
      narration.action('a new key for the contexts of its calls: all take it, then it signs, then the old one goes');
      const key = contextKeys.add();
      await readOneByOne(lab, load);
      contextKeys.signWith(key);
      await readOneByOne(lab, load);
      contextKeys.dropOthers();
      await readOneByOne(lab, load);
    } finally {
      await load.stop();
    }
    const failed = load.checkouts.filter(({ answer }) => answer === undefined || answer.status >= LEAST_FAILURE);
    const said = failed.map(({ answer }) => `${answer?.status} ${JSON.stringify(answer?.body)}`);
    lab.check('no checkout has failed', said, `${load.checkouts.length} checkouts`);
    const refused = (await refusedContexts(lab)) - before;
    lab.check('no call between services was refused', refused === 0 ? [] : [`${refused} of them`], 'none');
    await tryAll(lab, 'between services, somebody who has kept the old key', [
      recordedContext(lab.url('inventory'), old),
    ]);
  } finally {
    await close();
  }
}

/** One service after the other, so that they differ meanwhile. */
async function readOneByOne(lab: ScenarioLab, load: ShopLoad): Promise<void> {
  for (const name of SHOP_SERVICES) {
    await readAgain(lab, [lab.process(name)]);
    await untilPaid(load);
  }
}

async function untilPaid(load: ShopLoad): Promise<void> {
  if (await load.waitForPaid(ORDERS, ORDERS_TIMEOUT_MS)) return;
  const last = load.checkouts.at(-1)?.answer;
  throw new LabError(
    `Fewer than ${ORDERS} orders were paid within ${ORDERS_TIMEOUT_MS / 1000} s; the last answer was ${last?.status} ${JSON.stringify(last?.body)}.`,
  );
}

async function refusedContexts(lab: ScenarioLab): Promise<number> {
  const { metrics } = await countedNow(lab);
  return metrics.get('concordat_participant_refused_contexts_total') ?? 0;
}
