import { LabError } from '../lab-error.js';
import { BANKS } from '../local-system/ports.js';
import { StreamProxy } from '../local-system/stream-proxy.js';
import { waitUntil } from '../local-system/wait.js';
import { metricOf } from './operator.js';
import type { ScenarioLab } from './scenario-lab.js';

const STREAMS_TIMEOUT_MS = 30_000;

/** Starts the coordinators again, each behind a proxy that all streams to it pass, and at the end without them. */
export async function behindProxies(
  lab: ScenarioLab,
  work: (proxies: readonly StreamProxy[]) => Promise<void>,
): Promise<void> {
  const proxies: StreamProxy[] = [];
  lab.narration.action('start the coordinators again, each behind a proxy that all streams to it pass');
  try {
    for (const { name, ports } of lab.coordinators()) {
      const proxy = await StreamProxy.to(ports['direct']!);
      proxies.push(proxy);
      await lab.restartWith(name, { CONCORDAT_DIRECT_ADVERTISED: proxy.address });
    }
    await streamsStand(lab);
    await work(proxies);
    for (const { name } of lab.coordinators()) await lab.restartWith(name, {});
  } finally {
    for (const proxy of proxies) proxy.close(); // after a failure `repair` starts the coordinators without them
  }
  await streamsStand(lab);
}

/** Waits until each coordinator has a stream of each bank. */
export async function streamsStand(lab: ScenarioLab): Promise<void> {
  const wanted = lab.coordinators().length * BANKS.length;
  const start = Date.now();
  if (await waitUntil(async () => (await streamCount(lab)) === wanted, { timeoutMs: STREAMS_TIMEOUT_MS }))
    return lab.narration.observation(`${wanted} streams stand after ${Date.now() - start} ms`);
  throw new LabError(`${await streamCount(lab)} of ${wanted} streams stand after ${STREAMS_TIMEOUT_MS / 1000} s.`);
}

/** How many streams of banks the coordinators have. */
export async function streamCount(lab: ScenarioLab): Promise<number> {
  let count = 0;
  for (const { name } of lab.coordinators())
    for (const bank of BANKS) count += await metricOf(lab, name, `concordat_direct_streams{participant="${bank}"}`);
  return count;
}
