import { LabError } from '../lab-error.js';
import { GUEST_NAME, type PartName } from '../local-system/ports.js';
import { waitUntil } from '../local-system/wait.js';
import { expectMembers, membersOf } from './membership.js';
import type { Scenario } from './scenario.js';
import { nodeIdOf, type ScenarioLab } from './scenario-lab.js';

const CANDIDACY_TIMEOUT_MS = 30_000;

export const replaceNode: Scenario = {
  name: 'replace-node',
  title: 'a killed coordinator is replaced by a fourth in one step; the removed one comes back and does no harm',
  run: async (lab) => {
    const { narration } = lab;
    const lost = await lab.leader();
    const others = lab.coordinators().filter(({ name }) => name !== lost);
    narration.action(`kill -9 ${lost}, the leader, for good`);
    await lab.kill(lost);
    await lab.waitForCommits(20);
    narration.action(`start ${GUEST_NAME} and put it in the place of ${lost}, in one joint step`);
    await lab.welcomeGuest(lost);
    await expectMembers(lab, [...others.map(({ name }) => nodeIdOf(name)), nodeIdOf(GUEST_NAME)]);
    narration.observation(`the group is ${await membersOf(lab)}`);

    const second = others[0]!.name;
    narration.action(`kill -9 ${second} too: the new node and the last old one are a majority now`);
    await lab.kill(second);
    await lab.waitForCommits(20);
    narration.observation(`20 further transfers committed; ${await lab.leader(second)} leads`);
    await lab.restart(second);

    const { term } = await lab.cluster(await lab.leader());
    narration.action(`start ${lost} again: its own log still says that it is a member`);
    narration.expectation('it asks for votes in vain: the term does not rise, and transfers go on');
    const returned = lab.restart(lost); // it is ready only when it is a member again
    returned.catch(() => undefined); // handled below
    await waitForCandidacy(lab, lost);
    narration.observation(`${lost} has asked for votes`);
    await lab.waitForCommits(60);
    const now = await lab.cluster(await lab.leader(lost));
    if (now.term !== term) throw new LabError(`The term rose from ${term} to ${now.term}.`);
    narration.observation(`60 further transfers committed, still in term ${now.term}`);

    narration.action(`put ${lost} back in the place of ${GUEST_NAME}, and end that one`);
    await lab.addMember(lost, GUEST_NAME);
    await returned;
    await expectMembers(lab, [1, 2, 3]);
    await lab.dismissGuest();
    narration.observation(`the group is ${await membersOf(lab)}`);
    await lab.waitForCommits(20);
  },
};

/** Waits until a node has had no leader for an election timeout, and so becomes a pre-candidate. */
async function waitForCandidacy(lab: ScenarioLab, name: PartName): Promise<void> {
  const stands = async (): Promise<boolean> => {
    try {
      const { members } = await lab.cluster(name);
      return members.some(({ nodeId, state }) => nodeId === nodeIdOf(name) && state.endsWith('candidate'));
    } catch {
      return false; // it is not up yet
    }
  };
  if (await waitUntil(stands, { timeoutMs: CANDIDACY_TIMEOUT_MS, pollMs: 20 })) return;
  throw new LabError(`${name} should have asked for votes within ${CANDIDACY_TIMEOUT_MS / 1000} s and did not.`);
}
