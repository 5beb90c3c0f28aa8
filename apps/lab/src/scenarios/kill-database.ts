import { LabError } from '../lab-error.js';
import { waitUntil } from '../local-system/wait.js';
import type { Scenario } from './scenario.js';
import type { ScenarioLab } from './scenario-lab.js';

const HOLD_MS = 4000;
/** A branch that is prepared longer than this is the one that is held, not one in passing. */
const HELD_AFTER_MS = 700;

export const killDatabase: Scenario = {
  name: 'kill-database',
  title: 'kill -9 of a PostgreSQL server while a branch is prepared in it',
  run: async (lab) => {
    const { narration } = lab;
    const leader = await lab.leader();
    narration.action(`hold one decision at ${leader} for ${HOLD_MS} ms, so that its branches stay prepared`);
    await lab.arm(leader, `coordinator.decide.before-append=delay:${HOLD_MS}`);
    const { bank, gid } = await heldBranch(lab);
    const server = bank.replace('bank', 'postgres');
    narration.observation(`${bank} holds ${gid}`);
    narration.action(`kill -9 ${server}`);
    await lab.kill(server);
    narration.expectation('the prepared branch survives on disk; the decision reaches it when the server is back');
    await lab.restart(server);
    const still = (await lab.databases.prepared(bank)).includes(gid);
    narration.observation(`${gid} ${still ? 'is still prepared' : 'has met its decision already'}`);
    const tookMs = await lab.waitForCommits(20);
    narration.observation(`20 further transfers committed within ${tookMs} ms`);
  },
};

async function heldBranch(lab: ScenarioLab): Promise<{ bank: string; gid: string }> {
  const firstSeen = new Map<string, number>();
  let held: { bank: string; gid: string } | undefined;
  await waitUntil(
    async () => {
      const prepared = await lab.databases.preparedAnywhere();
      const now = Date.now();
      for (const { gid } of prepared) if (!firstSeen.has(gid)) firstSeen.set(gid, now);
      held = prepared.find(({ gid }) => now - (firstSeen.get(gid) ?? now) > HELD_AFTER_MS);
      return held !== undefined;
    },
    { timeoutMs: 15_000, pollMs: 50 },
  );
  if (held) return held;
  throw new LabError('No branch stayed prepared although its decision was held.');
}
