import { setTimeout as delay } from 'node:timers/promises';
import type { Scenario } from './scenario.js';

const OUTAGE_MS = 3000;

export const killKafka: Scenario = {
  name: 'kill-kafka',
  title: 'kill -9 of the broker, which carries every message between coordinators and participants',
  run: async (lab) => {
    const { narration } = lab;
    narration.action('kill -9 kafka');
    await lab.kill('kafka');
    narration.expectation('nothing is lost: what is open waits, and is sent again when the broker is back');
    await delay(OUTAGE_MS); // the duration of the outage, not a wait
    narration.observation(`${lab.load.committed} transfers committed so far; the broker was away for ${OUTAGE_MS} ms`);
    await lab.restart('kafka');
    const tookMs = await lab.waitForCommits(20);
    narration.observation(`20 further transfers committed within ${tookMs} ms of its return`);
  },
};
