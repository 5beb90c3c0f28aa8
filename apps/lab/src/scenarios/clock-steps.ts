import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { LabError } from '../lab-error.js';
import { waitUntil } from '../local-system/wait.js';
import { request } from '../rest.js';
import { metric } from './operator.js';
import type { Scenario } from './scenario.js';
import type { ScenarioLab } from './scenario-lab.js';

const HOUR_MS = 3_600_000;
/** Longer than the retention of a day. */
const STEP_MS = 30 * HOUR_MS;
/** Ids and times of records may deviate by this, in milliseconds; a step is hours. */
const TOLERANCE_MS = 60_000;
const SEEN_TIMEOUT_MS = 30_000;
/** The oldest would be forgotten first; the checks at the end cover all. */
const LOOKED_AT = 50;
/** Rounds of the retention that a step must survive. */
const LOOKS = 10;
const SETTINGS = { CONCORDAT_RETENTION_INTERVAL_MS: '250' } as const;

export const clockSteps: Scenario = {
  name: 'clock-steps',
  title: "the coordinators' clocks are set by hours, forward and back: nothing is forgotten, nothing is presumed",
  run: async (lab) => {
    const { narration } = lab;
    const names = lab.coordinators().map(({ name }) => name);
    const files = new Map<string, string>(
      names.map((name) => [name, path.join(lab.context.directory, `${name}.clock`)]),
    );
    narration.action(
      'start the coordinators again, with clocks that can be set, and a retention that runs 4 times a second',
    );
    for (const name of names) await lab.restartWith(name, { ...SETTINGS, CONCORDAT_CLOCK_FILE: files.get(name)! });
    const set = (name: string, aheadMs: number): void => writeFileSync(files.get(name)!, String(aheadMs));
    try {
      await lab.waitForCommits(20);
      await stepLeader(lab, set, STEP_MS);
      await stepLeader(lab, set, -STEP_MS);
      await nobodyAgrees(lab, set, names);
    } finally {
      for (const file of files.values()) rmSync(file, { force: true });
      for (const name of names) await lab.restartWith(name, {});
    }
    await lab.waitForCommits(20);
  },
};

/** One clock of three is wrong, and it is the leader's: the majority's time is used. */
async function stepLeader(
  lab: ScenarioLab,
  set: (name: string, aheadMs: number) => void,
  stepMs: number,
): Promise<void> {
  const { narration } = lab;
  const leader = await lab.leader();
  const hours = stepMs / HOUR_MS;
  narration.action(`set the clock of ${leader}, the leader, ${Math.abs(hours)} hours ${stepMs > 0 ? 'ahead' : 'back'}`);
  set(leader, stepMs);
  await waitForMetric(lab, 'concordat_clock_skew_ms', (skewMs) => skewMs > Math.abs(stepMs) - TOLERANCE_MS);
  narration.expectation('it uses the clocks of the other two: no id, no deadline and no age jumps');
  await lab.waitForCommits(20);
  await waitForLooks(lab);
  const problems = [...(await forgotten(lab)), ...(await wrongTimes(lab))];
  const agree = await metric(lab, 'concordat_clocks_agree');
  if (agree !== 1) problems.push(`the leader says that no majority agrees`);
  const alerts = await metric(lab, 'concordat_alerts_total');
  if (alerts === 0) problems.push('no alert was raised');
  lab.check(`one clock is ${hours} hours off`, problems, `all is known, and all times are right; ${alerts} alerts`);
  narration.action(`set the clock of ${leader} right`);
  set(leader, 0);
  await waitForMetric(lab, 'concordat_clock_skew_ms', (skewMs) => skewMs < TOLERANCE_MS);
}

/** No two clocks of three agree: work continues by the monotonic clock, and nothing expires. */
async function nobodyAgrees(
  lab: ScenarioLab,
  set: (name: string, aheadMs: number) => void,
  names: readonly string[],
): Promise<void> {
  const { narration } = lab;
  narration.action('set the clock of one coordinator 30 hours ahead, of another one 30 hours back');
  set(names[0]!, STEP_MS);
  set(names[1]!, -STEP_MS);
  await waitForMetric(lab, 'concordat_clocks_agree', (agree) => agree === 0);
  narration.expectation('no majority agrees: nothing expires, an alert is raised, and transfers go on');
  await lab.waitForCommits(20);
  const problems = [...(await forgotten(lab)), ...(await wrongTimes(lab))];
  lab.check('no two clocks agree', problems, 'transfers commit, and nothing is forgotten');
  narration.action('set both clocks right');
  for (const name of names) set(name, 0);
  await waitForMetric(lab, 'concordat_clocks_agree', (agree) => agree === 1);
  narration.observation('the clocks agree again');
}

async function waitForMetric(lab: ScenarioLab, name: string, right: (value: number) => boolean): Promise<void> {
  let value = NaN;
  const seen = async (): Promise<boolean> => right((value = await metric(lab, name)));
  if (await waitUntil(seen, { timeoutMs: SEEN_TIMEOUT_MS })) return lab.narration.observation(`${name} is ${value}`);
  throw new LabError(`${name} of the leader stayed at ${value}.`);
}

/** Waits until the retention has run some times: the log has grown by that. */
async function waitForLooks(lab: ScenarioLab): Promise<void> {
  const until = performance.now() + LOOKS * Number(SETTINGS.CONCORDAT_RETENTION_INTERVAL_MS);
  await waitUntil(() => performance.now() >= until && lab.load.committed > 0, { timeoutMs: SEEN_TIMEOUT_MS });
}

/** Those of the oldest answered transfers that the leader has forgotten. */
async function forgotten(lab: ScenarioLab): Promise<string[]> {
  const url = lab.url(await lab.leader());
  const problems: string[] = [];
  const known = lab.load.transfers.filter(({ id, told, forgotten: before }) => id && told && before === undefined);
  for (const { id, told } of known.slice(0, LOOKED_AT)) {
    const { status } = await request('GET', `${url}/v1/transactions/${id}`);
    if (status !== 200) problems.push(`${id} was ${told}, and is now answered with ${status}`);
  }
  return problems;
}

/** The newest transaction was made now, whatever the clocks of the nodes say. */
async function wrongTimes(lab: ScenarioLab): Promise<string[]> {
  const { status, body } = await request('GET', `${lab.url(await lab.leader())}/v1/transactions?limit=1`);
  const [newest] = Array.isArray(body['items']) ? (body['items'] as { id: string; createdAt: string }[]) : [];
  if (status !== 200 || !newest) return [`the list was answered with ${status}`];
  const times = [
    ['createdAt', Date.parse(newest.createdAt)],
    ['id', Number.parseInt(newest.id.replace('-', '').slice(0, 12), 16)],
  ] as const;
  return times
    .filter(([, time]) => Math.abs(time - Date.now()) > TOLERANCE_MS)
    .map(([what, time]) => `${what} of ${newest.id} is ${new Date(time).toISOString()}`);
}
