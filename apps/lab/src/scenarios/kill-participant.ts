import type { Scenario } from './scenario.js';
import type { ScenarioLab } from './scenario-lab.js';

export const killParticipant: Scenario = {
  name: 'kill-participant',
  title: 'kill -9 of a participant after its yes: before the vote was sent, and after',
  run: async (lab) => {
    await killAt(lab, 'participant.prepare.after-prepare', 'its branch is prepared, its vote not sent');
    await killAt(lab, 'participant.vote.after-send', 'its vote is sent, the decision not received');
  },
};

async function killAt(lab: ScenarioLab, failpoint: string, moment: string): Promise<void> {
  const { narration } = lab;
  const bank = 'bank-b';
  narration.action(`kill -9 ${bank} at ${failpoint}: ${moment}`);
  await lab.arm(bank, `${failpoint}=kill`);
  await lab.waitForDeath(bank);
  const prepared = await lab.databases.prepared(bank);
  narration.observation(
    `${bank} is dead; its database still holds ${prepared.length} prepared branches: ${prepared[0] ?? ''}`,
  );
  narration.expectation('the branches wait in the database; when the bank is back it learns their decisions');
  await lab.restart(bank);
  const tookMs = await lab.waitForCommits(20);
  narration.observation(`20 further transfers committed within ${tookMs} ms`);
}
