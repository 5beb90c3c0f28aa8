import { setTimeout as delay } from 'node:timers/promises';
import { LabError } from '../lab-error.js';
import { BANKS } from '../local-system/ports.js';
import { StreamProxy } from '../local-system/stream-proxy.js';
import { waitUntil } from '../local-system/wait.js';
import { checkDelays, STREAM_TIMEOUT_MS } from './delays.js';
import { metricOf } from './operator.js';
import type { Scenario } from './scenario.js';
import type { ScenarioLab } from './scenario-lab.js';

/** Longer than the time-out of a stream. */
const OUTAGE_MS = 6_000;
const COMMITS = 50;
const STREAMS_TIMEOUT_MS = 30_000;
/** How late a busy machine may run a timer, and measure it. */
const TOLERANCE_MS = 1_000;

export const cutLinks: Scenario = {
  name: 'cut-links',
  title: 'every direct stream is cut, then every stream swallows what it gets: Kafka carries on, the streams come back',
  links: ['both'],
  run: async (lab) => {
    const { narration } = lab;
    const proxies: StreamProxy[] = [];
    narration.action('start the coordinators again, each behind a proxy that all streams to it pass');
    try {
      for (const { name, ports } of lab.coordinators()) {
        const proxy = await StreamProxy.to(ports['direct']!);
        proxies.push(proxy);
        await restartWith(lab, name, { CONCORDAT_DIRECT_ADVERTISED: proxy.address });
      }
      await streamsStand(lab);
      await cutAll(lab, proxies);
      await swallowAll(lab, proxies);
      for (const { name } of lab.coordinators()) await restartWith(lab, name, {});
    } finally {
      for (const proxy of proxies) proxy.close(); // after a failure `repair` starts the coordinators without them
    }
    await streamsStand(lab);
    await lab.waitForCommits(COMMITS);
  },
};

async function restartWith(
  lab: ScenarioLab,
  name: string,
  environment: Readonly<Record<string, string>>,
): Promise<void> {
  await lab.stop(name);
  await lab.revive(name, environment);
}

async function cutAll(lab: ScenarioLab, proxies: readonly StreamProxy[]): Promise<void> {
  const { narration } = lab;
  narration.action(`cut every stream for ${OUTAGE_MS / 1000} s; new ones are refused`);
  const from = Date.now();
  for (const proxy of proxies) proxy.cut();
  narration.expectation('what was under way goes to Kafka at once, and so does everything that follows');
  await outage(lab);
  const left = await streamCount(lab);
  lab.check('no stream stands while they are cut', left === 0 ? [] : [`${left} stand`], 'Kafka carried everything');
  for (const proxy of proxies) proxy.pass();
  await streamsStand(lab);
  await checkDelays(lab, { name: 'while every stream is cut', from, limitMs: STREAM_TIMEOUT_MS });
  await lab.waitForCommits(COMMITS);
}

async function swallowAll(lab: ScenarioLab, proxies: readonly StreamProxy[]): Promise<void> {
  const { narration } = lab;
  narration.action(`swallow every byte of every stream for ${OUTAGE_MS / 1000} s; nothing is closed, new streams too`);
  const from = Date.now();
  const swallowed = proxies.reduce((sum, proxy) => sum + proxy.swallow(), 0);
  narration.expectation(
    `both ends of each stream give it up within ${STREAM_TIMEOUT_MS / 1000} s, and Kafka carries on`,
  );
  await outage(lab);
  const noticedMs = proxies.flatMap((proxy) => proxy.noticedMs);
  const latestMs = Math.max(0, ...noticedMs);
  const problems = noticedMs.length < 2 * swallowed ? [`${noticedMs.length} of ${2 * swallowed} ends noticed it`] : [];
  if (latestMs > STREAM_TIMEOUT_MS + TOLERANCE_MS) problems.push(`one end noticed it only after ${latestMs} ms`);
  lab.check(
    `a stream that swallows everything is given up within ${STREAM_TIMEOUT_MS / 1000} s`,
    problems,
    `${noticedMs.length} ends of ${swallowed} streams, the last after ${latestMs} ms`,
  );
  for (const proxy of proxies) proxy.pass();
  await streamsStand(lab);
  const limitMs = STREAM_TIMEOUT_MS + TOLERANCE_MS;
  await checkDelays(lab, { name: 'while every stream swallows', from, limitMs });
  await lab.waitForCommits(COMMITS);
}

/** The transfers go on for the whole outage. */
async function outage(lab: ScenarioLab): Promise<void> {
  const before = lab.load.committed;
  await delay(OUTAGE_MS); // the duration of the outage, not a wait
  await lab.waitForCommits(COMMITS);
  lab.narration.observation(`${lab.load.committed - before} transfers committed without streams`);
}

/** Waits until each coordinator has a stream of each bank. */
async function streamsStand(lab: ScenarioLab): Promise<void> {
  const wanted = lab.coordinators().length * BANKS.length;
  const start = Date.now();
  if (await waitUntil(async () => (await streamCount(lab)) === wanted, { timeoutMs: STREAMS_TIMEOUT_MS }))
    return lab.narration.observation(`${wanted} streams stand after ${Date.now() - start} ms`);
  throw new LabError(`${await streamCount(lab)} of ${wanted} streams stand after ${STREAMS_TIMEOUT_MS / 1000} s.`);
}

async function streamCount(lab: ScenarioLab): Promise<number> {
  let count = 0;
  for (const { name } of lab.coordinators())
    for (const bank of BANKS) count += await metricOf(lab, name, `concordat_direct_streams{participant="${bank}"}`);
  return count;
}
