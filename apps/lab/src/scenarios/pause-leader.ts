import type { Scenario } from './scenario.js';

export const pauseLeader: Scenario = {
  name: 'pause-leader',
  title: 'SIGSTOP of the leader longer than the election timeout: it wakes as an old leader and must do no harm',
  run: async (lab) => {
    const { narration } = lab;
    const old = await lab.leader();
    narration.action(`SIGSTOP ${old}, the leader`);
    lab.pause(old);
    try {
      narration.expectation('the others elect a leader, and it ends what the old one left open');
      const next = await lab.leader(old);
      await lab.waitForCommits(20);
      narration.observation(`${next} leads and 20 further transfers committed`);
    } finally {
      narration.action(`SIGCONT ${old}: it still believes that it leads`);
      lab.wake(old);
    }
    narration.expectation('its term is over: it steps down, and none of its messages changes an outcome');
    await lab.waitForCommits(40);
    narration.observation(`${await lab.leader()} leads; 40 further transfers committed`);
  },
};
