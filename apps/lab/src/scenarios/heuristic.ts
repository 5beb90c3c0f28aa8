import { LabError } from '../lab-error.js';
import { waitUntil } from '../local-system/wait.js';
import { describeAnswer, request } from '../rest.js';
import { heldBranch } from './held-branch.js';
import type { Scenario } from './scenario.js';
import type { ScenarioLab } from './scenario-lab.js';

const HELD_BANK = 'bank-b';
const HOLD_MS = 8000;
/** Well within the hold, and longer than a loaded machine needs for the commits that are not held. */
const HELD_AFTER_MS = 2500;
const FOUND_TIMEOUT_MS = 30_000;
const RULING = { operator: 'the failure lab', reason: 'rolled back by hand to show what happens' } as const;

export const heuristic: Scenario = {
  name: 'heuristic',
  title: 'somebody rolls back a prepared branch by hand although the transaction is committed; an operator ends it',
  run: async (lab) => {
    const { narration } = lab;
    narration.action(`hold one commit at ${HELD_BANK} for ${HOLD_MS} ms, so that its branch stays prepared`);
    await lab.arm(HELD_BANK, `participant.commit.before-commit=delay:${HOLD_MS}`);
    const { bank, gid } = await heldBranch(lab, { bank: HELD_BANK, heldAfterMs: HELD_AFTER_MS });
    const transactionId = gid.split(':')[2] ?? '';
    const { decision } = await show(lab, transactionId);
    if (decision !== 'commit') throw new LabError(`${gid} should wait for its commit; its decision is ${decision}.`);
    narration.observation(`${bank} holds ${gid}, and its transaction is decided: commit`);

    narration.action(`ROLLBACK PREPARED '${gid}' in the database of ${bank}, as somebody with psql could`);
    await lab.databases.rollBackByHand(bank, gid);
    narration.expectation('the participant finds out when its commit arrives, and says so; nothing is papered over');
    await waitForHazard(lab, transactionId);
    const lost = lab.load.markLost(transactionId, bank);
    if (!lost) throw new LabError(`No transfer of the load is known as ${transactionId}.`);
    const { status, endedAt } = await show(lab, transactionId);
    narration.observation(
      `the transaction is ${status} and stays open (endedAt ${endedAt}); in-doubt lists the hazard`,
    );
    await expectMetric(lab, 'concordat_hazards_open', 1);
    narration.observation('/metrics: concordat_hazards_open 1, and concordat_alerts_total has risen');

    narration.action('rule that the transaction is aborted after all');
    const refused = await resolve(lab, transactionId, 'abort');
    if (refused.status !== 409)
      throw new LabError(`It should be refused, and was answered ${describeAnswer(refused)}.`);
    narration.observation(`refused: ${describeAnswer(refused)}`);
    narration.action('rule that it is known, and no longer waited for (forget)');
    const { status: answered, body } = await resolve(lab, transactionId, 'forget');
    if (answered !== 200) throw new LabError(`forget was answered ${describeAnswer({ status: answered, body })}.`);
    const ended = await show(lab, transactionId);
    if (ended.outcome !== 'mixed' || ended.endedAt === 'null') throw new LabError('The transaction should have ended.');
    narration.observation(`it has ended as ${ended.outcome}; its rulings: ${ended.rulings}`);
    await expectMetric(lab, 'concordat_hazards_open', 0);
    narration.observation(`${lost.amount} are missing or too many, at ${bank} only: the checks below know that half`);
    await lab.waitForCommits(20);
  },
};

interface Shown {
  readonly status: string;
  readonly decision: string;
  readonly outcome: string;
  readonly endedAt: string;
  readonly rulings: string;
}

async function show(lab: ScenarioLab, transactionId: string): Promise<Shown> {
  const answer = await request('GET', `${lab.url(await lab.leader())}/v1/transactions/${transactionId}`);
  if (answer.status !== 200) throw new LabError(`GET of ${transactionId} was answered ${describeAnswer(answer)}.`);
  const { status, decision, outcome, endedAt, rulings } = answer.body;
  const [state, decided, end, at] = [status, decision, outcome, endedAt].map(String) as [
    string,
    string,
    string,
    string,
  ];
  return { status: state, decision: decided, outcome: end, endedAt: at, rulings: JSON.stringify(rulings) };
}

async function resolve(lab: ScenarioLab, transactionId: string, action: 'abort' | 'forget') {
  const url = `${lab.url(await lab.leader())}/v1/transactions/${transactionId}/resolve`;
  return await request('POST', url, { action, ...RULING });
}

async function waitForHazard(lab: ScenarioLab, transactionId: string): Promise<void> {
  const listed = async (): Promise<boolean> => {
    const { body } = await request('GET', `${lab.url(await lab.leader())}/v1/in-doubt`);
    const items = Array.isArray(body['items']) ? (body['items'] as Readonly<Record<string, unknown>>[]) : [];
    return items.some((item) => item['transactionId'] === transactionId && item['state'] === 'heuristic-rollback');
  };
  if (await waitUntil(listed, { timeoutMs: FOUND_TIMEOUT_MS })) return;
  throw new LabError(`GET /v1/in-doubt did not list the hazard of ${transactionId}.`);
}

/** The leader shows this value, and has raised an alert. */
async function expectMetric(lab: ScenarioLab, name: string, value: number): Promise<void> {
  let text = '';
  const right = async (): Promise<boolean> => {
    text = await (await fetch(`${lab.url(await lab.leader())}/metrics`)).text();
    const alerts = Number(/^concordat_alerts_total (\d+)$/m.exec(text)?.[1] ?? 0);
    return alerts > 0 && new RegExp(`^${name} ${value}$`, 'm').test(text);
  };
  if (await waitUntil(right, { timeoutMs: FOUND_TIMEOUT_MS })) return;
  throw new LabError(`${name} should be ${value}, and an alert counted; /metrics says: ${text.slice(0, 200)}`);
}
