import { setTimeout as delay } from 'node:timers/promises';
import type { StreamProxy } from '../local-system/stream-proxy.js';
import { behindProxies, streamCount, streamsStand } from './behind-proxies.js';
import { checkDelays, STREAM_TIMEOUT_MS } from './delays.js';
import type { Scenario } from './scenario.js';
import type { ScenarioLab } from './scenario-lab.js';

/** Longer than the time-out of a stream. */
const OUTAGE_MS = 6_000;
const COMMITS = 50;
/** How late a busy machine may run a timer, and measure it. */
const TOLERANCE_MS = 1_000;

export const cutLinks: Scenario = {
  name: 'cut-links',
  title: 'every direct stream is cut, then every stream swallows what it gets: Kafka carries on, the streams come back',
  links: ['both'],
  run: async (lab) => {
    await behindProxies(lab, async (proxies) => {
      await cutAll(lab, proxies);
      await swallowAll(lab, proxies);
    });
    await lab.waitForCommits(COMMITS);
  },
};

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
