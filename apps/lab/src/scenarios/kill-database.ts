import { heldBranch } from './held-branch.js';
import type { Scenario } from './scenario.js';

const HOLD_MS = 4000;

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
