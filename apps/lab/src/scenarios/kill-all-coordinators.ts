import type { Scenario } from './scenario.js';

export const killAllCoordinators: Scenario = {
  name: 'kill-all-coordinators',
  title: 'kill -9 of all three coordinators, the leader right after it logged a decision',
  run: async (lab) => {
    const { narration } = lab;
    const leader = await lab.leader();
    const names = lab.coordinators().map(({ name }) => name);
    narration.action(`kill -9 ${leader} right after a decision is logged, and at once the other two`);
    await lab.arm(leader, 'coordinator.decide.after-append=kill');
    await lab.waitForDeath(leader);
    await Promise.all(names.filter((name) => name !== leader).map((name) => lab.kill(name)));
    const prepared = await lab.databases.preparedAnywhere();
    narration.observation(`no coordinator lives; ${prepared.length} branches are prepared and wait`);
    narration.expectation('the logs on disk hold every decision; the new leader tells the branches');
    await Promise.all(names.map((name) => lab.restart(name)));
    const tookMs = await lab.waitForCommits(20);
    narration.observation(`${await lab.leader()} leads; 20 further transfers committed within ${tookMs} ms`);
  },
};
