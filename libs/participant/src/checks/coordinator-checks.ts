import { failure, ok, warning, type Check, type Finding } from './check.js';
import { MAXIMUM_CLOCK_DIFFERENCE_MS, describeDifference } from './clock-difference.js';
import type { CoordinatorFacts } from './coordinator-facts.js';

export interface CoordinatorCheckContext {
  readonly facts: CoordinatorFacts;
  /** as the participant is set up; undefined: any */
  readonly cluster?: string | undefined;
  /** the participant's road to the coordinators; undefined: it is not known */
  readonly link?: 'direct' | 'kafka' | 'both' | undefined;
}

/** The others do not apply to a coordinator that does not answer. */
export const COORDINATOR_CHECKS: readonly Check<CoordinatorCheckContext>[] = [
  { name: 'reachable', run: reachable },
  { name: 'ready', run: ready },
  { name: 'leader', run: leader },
  { name: 'cluster', run: cluster },
  { name: 'direct-streams', run: directStreams },
  { name: 'clock', run: clock },
];

function reachable({ facts: { url, problem, group, refusedWith } }: CoordinatorCheckContext): Finding {
  if (problem !== undefined) {
    return failure(
      `the coordinator at ${url} cannot be reached: ${problem}`,
      'start it (npx concordat dev, or npx concordat server), and check the URL, the network and firewalls',
    );
  }
  if (refusedWith !== undefined) {
    return failure(
      `${url} asks who is there and answers with ${refusedWith}`,
      'give a token with the role participant:<name>: the option "token" of a service, CONCORDAT_TOKEN for the doctor',
    );
  }
  if (!group) {
    return failure(
      `${url} answers, but not as a coordinator of this release`,
      'give the address of CONCORDAT_HTTP, and run the same release everywhere',
    );
  }
  return ok(`${url} is node ${group.nodeId} of the cluster "${group.clusterName}"`);
}

function ready({ facts }: CoordinatorCheckContext): Finding | undefined {
  if (facts.problem !== undefined) return undefined;
  if (facts.isReady) return ok(`${facts.url} is ready for work`);
  const reasons = facts.reasons.length > 0 ? facts.reasons.join('; ') : 'it does not say why';
  return failure(`${facts.url} is not ready: ${reasons}`, `see its log and ${new URL('/readyz', facts.url).href}`);
}

function leader({ facts: { url, group } }: CoordinatorCheckContext): Finding | undefined {
  if (!group) return undefined;
  if (group.leaderId !== null) return ok(`node ${group.leaderId} leads the group, as ${url} sees it`);
  return failure(
    `the group has no leader, as ${url} sees it, so no transaction begins or commits`,
    `bring a majority of its ${group.members.length} nodes up, and let them reach each other`,
  );
}

function cluster({ facts: { url, group }, cluster: wanted }: CoordinatorCheckContext): Finding | undefined {
  if (!group || wanted === undefined) return undefined;
  if (group.clusterName === wanted) return ok(`${url} belongs to the cluster "${wanted}"`);
  return failure(
    `${url} belongs to the cluster "${group.clusterName}", the participant to "${wanted}"`,
    `set cluster: '${group.clusterName}' in the participant, or give it the coordinators of "${wanted}"`,
  );
}

function directStreams({ facts: { url, group }, link }: CoordinatorCheckContext): Finding | undefined {
  if (!group || link === undefined || link === 'kafka') return undefined;
  if (group.directAddress !== null) return ok(`${url} takes streams of participants at ${group.directAddress}`);
  return failure(
    `${url} takes no streams of participants, and the participant needs them (link: '${link}')`,
    `run the coordinators with CONCORDAT_LINK=${link} and CONCORDAT_DIRECT`,
  );
}

function clock({ facts: { url, problem, clockDifferenceMs } }: CoordinatorCheckContext): Finding | undefined {
  if (problem !== undefined) return undefined;
  if (Math.abs(clockDifferenceMs) <= MAXIMUM_CLOCK_DIFFERENCE_MS) {
    return ok(`the clock of ${url} agrees with this machine's`);
  }
  return warning(
    `the clock of ${url} is ${describeDifference(clockDifferenceMs)} this machine's`,
    'let NTP set both; transactions reach their deadlines too early or too late by as much',
  );
}

/** Whether coordinators that were given together belong together; needs two that answer. */
export function groupFinding(all: readonly CoordinatorFacts[]): Finding | undefined {
  const groups = all.flatMap(({ url, group }) => (group ? [{ url, ...group }] : []));
  const [first, ...others] = groups;
  if (!first || others.length === 0) return undefined;
  const foreign = others.find(
    (group) => group.clusterName !== first.clusterName || group.clusterId !== first.clusterId,
  );
  if (foreign) {
    return failure(
      `${first.url} and ${foreign.url} belong to different groups of coordinators`,
      'give a participant the coordinators of one group',
    );
  }
  return ok(`the ${groups.length} coordinators that answer belong to one group`);
}
