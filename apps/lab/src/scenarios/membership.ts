import { LabError } from '../lab-error.js';
import { waitUntil } from '../local-system/wait.js';
import type { ScenarioLab } from './scenario-lab.js';

const MEMBERS_TIMEOUT_MS = 10_000;

/** The leader's view of the group, in words. */
export async function membersOf(lab: ScenarioLab): Promise<string> {
  const { members } = await lab.cluster(await lab.leader());
  return members.map(({ nodeId, role }) => `${nodeId} (${role})`).join(', ');
}

/** Waits until the leader knows exactly these voters and no other member. */
export async function expectMembers(lab: ScenarioLab, nodeIds: readonly number[]): Promise<void> {
  const wanted = [...nodeIds]
    .sort((left, right) => left - right)
    .map((nodeId) => `${nodeId} (voter)`)
    .join(', ');
  let seen = '';
  const agree = async (): Promise<boolean> => (seen = await membersOf(lab)) === wanted;
  if (await waitUntil(agree, { timeoutMs: MEMBERS_TIMEOUT_MS })) return;
  throw new LabError(`The group should be ${wanted}, and it is ${seen}.`);
}
