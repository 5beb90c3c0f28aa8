import type { Scenario } from './scenario.js';
import type { ScenarioLab } from './scenario-lab.js';

export const killLeader: Scenario = {
  name: 'kill-leader',
  title: 'kill -9 of the leader: between the votes and the decision, and right after the decision',
  run: async (lab) => {
    await killAt(lab, 'coordinator.decide.before-append', 'all votes are in, the decision is not logged');
    await killAt(lab, 'coordinator.decide.after-append', 'the decision is logged, nobody has been told');
  },
};

async function killAt(lab: ScenarioLab, failpoint: string, moment: string): Promise<void> {
  const { narration } = lab;
  const leader = await lab.leader();
  narration.action(`kill -9 ${leader}, the leader, at ${failpoint}: ${moment}`);
  await lab.arm(leader, `${failpoint}=kill`);
  await lab.waitForDeath(leader);
  const start = Date.now();
  narration.observation(`${leader} is dead; ${(await lab.databases.preparedAnywhere()).length} branches are prepared`);
  narration.expectation('another coordinator leads, asks the branches again and ends what was open');
  const next = await lab.leader(leader);
  await lab.waitForCommits(20);
  narration.observation(`${next} leads; 20 further transfers committed ${Date.now() - start} ms after the kill`);
  await lab.restart(leader);
  await lab.waitForCommits(20);
}
