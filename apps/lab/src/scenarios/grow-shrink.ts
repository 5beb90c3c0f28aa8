import { GUEST_NAME } from '../local-system/ports.js';
import { membersOf, expectMembers } from './membership.js';
import type { Scenario } from './scenario.js';
import { nodeIdOf } from './scenario-lab.js';

export const growShrink: Scenario = {
  name: 'grow-shrink',
  title: 'a fourth coordinator joins, leads while another is dead, and leaves again, under load',
  run: async (lab) => {
    const { narration } = lab;
    narration.action(`start ${GUEST_NAME} and add it to the group; it gets the log as a learner, then a vote`);
    await lab.welcomeGuest();
    narration.observation(`the group is ${await membersOf(lab)}`);
    await expectMembers(lab, [1, 2, 3, 4]);
    await lab.waitForCommits(20);

    const old = await lab.leader();
    narration.action(`transfer leadership from ${old} to ${GUEST_NAME}`);
    await lab.changeGroup('POST', 'leader', { nodeId: nodeIdOf(GUEST_NAME) });
    narration.observation(`${await lab.leader()} leads`);
    await lab.waitForCommits(20);

    narration.action(`kill -9 ${old}; three of four are a majority`);
    await lab.kill(old);
    await lab.waitForCommits(20);
    narration.observation('20 further transfers committed without it');
    await lab.restart(old);

    narration.action(`remove ${GUEST_NAME}, the leader, from the group; it hands over`);
    await lab.changeGroup('DELETE', `members/${nodeIdOf(GUEST_NAME)}`);
    await expectMembers(lab, [1, 2, 3]);
    narration.observation(`${await lab.leader(GUEST_NAME)} leads; the group is ${await membersOf(lab)}`);
    await lab.dismissGuest();
    await lab.waitForCommits(20);
  },
};
