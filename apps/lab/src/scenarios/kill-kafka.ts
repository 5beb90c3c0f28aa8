import { setTimeout as delay } from 'node:timers/promises';
import { checkDelays, STREAM_TIMEOUT_MS } from './delays.js';
import type { Scenario } from './scenario.js';
import type { ScenarioLab } from './scenario-lab.js';

const OUTAGE_MS = 3_000;
/** Longer than any time-out of a stream. */
const LONG_OUTAGE_MS = 8_000;

export const killKafka: Scenario = {
  name: 'kill-kafka',
  title: 'kill -9 of the broker: with Kafka alone all transfers wait for it, with direct streams beside it none does',
  links: ['kafka', 'both'],
  run: async (lab) => {
    const { narration } = lab;
    const hasStreams = lab.state().link === 'both';
    narration.action('kill -9 kafka');
    const killedAt = Date.now();
    await lab.kill('kafka');
    narration.expectation(
      hasStreams
        ? 'transfers go on over the streams: none fails, and none waits longer than the time-out of a stream'
        : 'nothing is lost: what is open waits, and is sent again when the broker is back',
    );
    await outage(lab, hasStreams ? LONG_OUTAGE_MS : OUTAGE_MS);
    if (hasStreams) await lab.waitForCommits(20, STREAM_TIMEOUT_MS);
    await lab.restart('kafka');
    if (hasStreams)
      await checkDelays(lab, { name: 'while the broker is away', from: killedAt, limitMs: STREAM_TIMEOUT_MS });
    const tookMs = await lab.waitForCommits(20);
    narration.observation(`20 further transfers committed within ${tookMs} ms of its return`);
  },
};

async function outage(lab: ScenarioLab, outageMs: number): Promise<void> {
  const before = lab.load.committed;
  await delay(outageMs); // the duration of the outage, not a wait
  lab.narration.observation(`${lab.load.committed - before} transfers committed in ${outageMs} ms without the broker`);
}
