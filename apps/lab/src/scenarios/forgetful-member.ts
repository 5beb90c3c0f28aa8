import { rmSync } from 'node:fs';
import { LabError } from '../lab-error.js';
import type { PartName } from '../local-system/ports.js';
import { waitUntil } from '../local-system/wait.js';
import { describeAnswer, execute, request, type Answer, type Operation } from '../rest.js';
import { expectMembers, membersOf } from './membership.js';
import type { Scenario } from './scenario.js';
import type { ScenarioLab } from './scenario-lab.js';

const TOLD_COUNT = 10;
const START_TIMEOUT_MS = 30_000;
const WITHOUT_LEADER_MS = 10_000;
const POLL_MS = 200;
const ACCOUNT = 'acc-99';

/** A transfer whose client got a commit. */
interface Told {
  readonly key: string;
  readonly transactionId: string;
}

export const forgetfulMember: Scenario = {
  name: 'forgetful-member',
  title: 'one coordinator is away and another loses its directory: nobody is elected, and nothing told is forgotten',
  run: async (lab) => {
    const { narration } = lab;
    const [away, forgetful, keeper] = await castOf(lab);
    narration.action(`kill -9 ${away}: it misses what follows`);
    await lab.kill(away);
    const told = await commitTen(lab, forgetful);
    narration.observation(`${told.length} transfers committed, and their client was told so`);

    narration.action(`kill -9 ${forgetful} and ${keeper}, and delete the directory of ${forgetful}`);
    await Promise.all([lab.kill(forgetful), lab.kill(keeper)]);
    rmSync(lab.process(forgetful).dataDir!, { recursive: true });
    narration.action(`start ${away}, which has none of the ${told.length}, and ${forgetful}, which has forgotten them`);
    narration.expectation('they elect no leader: only the third has the decisions; both say so');
    const started = [away, forgetful].map((name) => lab.restart(name));
    for (const start of started) start.catch(() => undefined); // handled below: they are not ready without a leader
    await expectNoLeader(lab, away, forgetful);
    for (const name of [away, forgetful])
      narration.observation(`${name} is not ready: ${await readinessOf(lab, name)}`);
    lab.check('no leader without the third coordinator', [], `none within ${WITHOUT_LEADER_MS / 1000} s`);

    narration.action(`start ${keeper}`);
    await lab.restart(keeper);
    await Promise.all(started);
    await expectMembers(lab, [1, 2, 3]);
    narration.observation(
      `${forgetful} was taken back as a learner and votes again; the group is ${await membersOf(lab)}`,
    );
    await expectAllToldEverywhere(lab, told);
    await lab.waitForCommits(20);
  },
};

/** Followers first: the one that is away, the one that loses its directory, and the leader, which keeps everything. */
async function castOf(lab: ScenarioLab): Promise<[PartName, PartName, PartName]> {
  const leader = await lab.leader();
  const [away, forgetful] = lab.coordinators().flatMap(({ name }) => (name === leader ? [] : [name]));
  if (away === undefined || forgetful === undefined) throw new LabError('The scenario needs three coordinators.');
  return [away, forgetful, leader];
}

/** Back and forth, so that the final sums are right only if each ran exactly once. */
const there = (amount: number): readonly Operation[] => [
  { participant: 'bank-a', operation: 'debit', payload: { account: ACCOUNT, amount } },
  { participant: 'bank-b', operation: 'credit', payload: { account: ACCOUNT, amount } },
];
const back = (amount: number): readonly Operation[] => [
  { participant: 'bank-b', operation: 'debit', payload: { account: ACCOUNT, amount } },
  { participant: 'bank-a', operation: 'credit', payload: { account: ACCOUNT, amount } },
];

async function commitTen(lab: ScenarioLab, through: PartName): Promise<Told[]> {
  const told: Told[] = [];
  for (let count = 1; count <= TOLD_COUNT; count++) {
    const key = `forgetful-${Date.now()}-${count}`;
    const answer = await execute(lab.url(through), there(1), key, { wait: 'ended' });
    if (answer.status !== 200) throw new LabError(`A transfer was answered ${describeAnswer(answer)}.`);
    told.push({ key, transactionId: String(answer.body['id']) });
  }
  return told;
}

async function readyz(lab: ScenarioLab, name: PartName): Promise<Answer | undefined> {
  try {
    return await request('GET', `${lab.url(name)}/readyz`);
  } catch {
    return undefined; // it is not up yet
  }
}

async function readinessOf(lab: ScenarioLab, name: PartName): Promise<string> {
  const answer = await readyz(lab, name);
  return answer ? JSON.stringify(answer.body['reasons'] ?? answer.body) : 'no answer';
}

/** For a while, from the moment in which both answer. */
async function expectNoLeader(lab: ScenarioLab, ...names: readonly PartName[]): Promise<void> {
  const areUp = async (): Promise<boolean> => {
    const answers = await Promise.all(names.map((name) => readyz(lab, name)));
    return answers.every((answer) => JSON.stringify(answer?.body ?? '').includes('directory'));
  };
  if (!(await waitUntil(areUp, { timeoutMs: START_TIMEOUT_MS, pollMs: POLL_MS })))
    throw new LabError(
      `${names.join(' and ')} should say within ${START_TIMEOUT_MS / 1000} s that a directory is lost.`,
    );
  const leads = async (): Promise<boolean> => {
    const views = await Promise.all(names.map((name) => lab.cluster(name)));
    return views.some(({ leaderId }) => leaderId !== null);
  };
  if (await waitUntil(leads, { timeoutMs: WITHOUT_LEADER_MS, pollMs: POLL_MS }))
    throw new LabError(`${names.join(' and ')} have elected a leader without the one that knows what was decided.`);
}

/** Every node knows each transaction, and a repeated key gets the first answer: nothing runs again. */
async function expectAllToldEverywhere(lab: ScenarioLab, told: readonly Told[]): Promise<void> {
  const problems: string[] = [];
  for (const { name } of lab.coordinators()) {
    for (const { transactionId } of told) {
      const answer = await request('GET', `${lab.url(name)}/v1/transactions/${transactionId}`);
      if (answer.body['status'] !== 'committed')
        problems.push(`${name} says of ${transactionId}: ${describeAnswer(answer)}`);
    }
  }
  const url = lab.url(await lab.leader());
  for (const { key, transactionId } of told) {
    const answer = await execute(url, there(1), key, { wait: 'ended' });
    if (answer.status !== 200 || answer.body['id'] !== transactionId)
      problems.push(`the repeated key ${key} was answered ${describeAnswer(answer)}`);
  }
  lab.check(
    'everything told is known at every node, and a repeated key runs nothing again',
    problems,
    `${told.length}`,
  );
  const answer = await execute(url, back(told.length), `forgetful-back-${Date.now()}`, { wait: 'ended' });
  if (answer.status !== 200) throw new LabError(`The transfer back was answered ${describeAnswer(answer)}.`);
  lab.narration.observation('all ten are known at every node; the repeated keys got their first answers');
}
