import { LabError } from '../lab-error.js';
import { waitUntil } from '../local-system/wait.js';
import { nodeIdOf } from './scenario-lab.js';
import type { Scenario } from './scenario.js';

const HANG_MS = 12_000;
/** three election timeouts of half a second until the disk counts as hung, an election, and a machine under load */
const SUCCESSOR_MS = 5_000;
/** entries that may be in flight under load */
const MAXIMUM_LAG = 100;

export const hungDisk: Scenario = {
  name: 'hung-disk',
  title: "The leader's disk neither writes nor fails: another one leads soon, and the old one returns as a follower",
  run: async (lab) => {
    const { narration } = lab;
    const old = await lab.leader();
    narration.action(`the disk of ${old}, the leader, stops answering for ${HANG_MS / 1000} s`);
    await lab.arm(old, `coordinator.disk.before-write=delay:${HANG_MS}`);
    const hungAt = performance.now();
    narration.expectation('it hands over and steps down, although its process is well and nothing has failed');
    const next = await lab.leader(old);
    const tookMs = Math.round(performance.now() - hungAt);
    if (tookMs > SUCCESSOR_MS) throw new LabError(`${next} led only after ${tookMs} ms.`);
    narration.observation(`${next} leads after ${tookMs} ms`);
    await lab.waitForCommits(20);
    if ((await lab.leader()) === old) throw new LabError(`${old} leads again with a disk that hangs.`);
    narration.observation('20 further transfers committed while the disk hangs');
    narration.expectation('when the disk answers the old leader follows, and catches up');
    await lab.waitForCommits(40);
    const isBack = async (): Promise<boolean> => {
      const { members } = await lab.cluster(await lab.leader());
      const member = members.find(({ nodeId }) => nodeId === nodeIdOf(old));
      return member?.state === 'follower' && member.lag !== null && member.lag <= MAXIMUM_LAG;
    };
    if (!(await waitUntil(isBack, { timeoutMs: HANG_MS + SUCCESSOR_MS })))
      throw new LabError(`${old} did not catch up when its disk answered.`);
    narration.observation(`${old} follows with the whole log; ${await lab.leader()} leads`);
  },
};
