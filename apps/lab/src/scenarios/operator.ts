import { LabError } from '../lab-error.js';
import { waitUntil } from '../local-system/wait.js';
import { ask, describeAnswer, request, type Answer } from '../rest.js';
import type { ScenarioLab } from './scenario-lab.js';
import { isGid } from './wire.js';

const SEEN_TIMEOUT_MS = 30_000;

export interface ShownTransaction {
  readonly status: string;
  readonly decision: string;
  readonly outcome: string;
  readonly endedAt: string;
  readonly rulings: string;
}

/** An entry of `GET /v1/in-doubt`. */
export interface InDoubtEntry {
  readonly transactionId: string;
  readonly branchId: string;
  readonly participant: string;
  readonly state: string;
}

export type Ruling = {
  readonly action: 'commit' | 'abort' | 'forget';
  readonly branchId?: string;
  readonly reason: string;
};

const OPERATOR = 'the failure lab';

/** The leader's view of a transaction. @throws LabError when it is unknown */
export async function show(lab: ScenarioLab, transactionId: string): Promise<ShownTransaction> {
  const answer = await request('GET', `${lab.url(await lab.leader())}/v1/transactions/${transactionId}`);
  if (answer.status !== 200) throw new LabError(`GET of ${transactionId} was answered ${describeAnswer(answer)}.`);
  const { status, decision, outcome, endedAt, rulings } = answer.body;
  return {
    status: String(status),
    decision: String(decision),
    outcome: String(outcome),
    endedAt: String(endedAt),
    rulings: JSON.stringify(rulings),
  };
}

/** Waits until a transaction has ended at all branches. */
export async function waitForEnd(lab: ScenarioLab, transactionId: string): Promise<ShownTransaction> {
  let shown = await show(lab, transactionId);
  const ended = async (): Promise<boolean> => {
    shown = await show(lab, transactionId);
    return shown.endedAt !== 'null';
  };
  if (await waitUntil(ended, { timeoutMs: SEEN_TIMEOUT_MS })) return shown;
  throw new LabError(`${transactionId} did not end within ${SEEN_TIMEOUT_MS / 1000} s; it is ${shown.status}.`);
}

export async function rule(lab: ScenarioLab, transactionId: string, ruling: Ruling): Promise<Answer> {
  const url = `${lab.url(await lab.leader())}/v1/transactions/${transactionId}/resolve`;
  return await request('POST', url, { operator: OPERATOR, ...ruling });
}

/** A ruling that must be accepted. */
export async function ruleOn(lab: ScenarioLab, transactionId: string, ruling: Ruling): Promise<void> {
  const answer = await rule(lab, transactionId, ruling);
  if (answer.status !== 200) throw new LabError(`The ruling was answered ${describeAnswer(answer)}.`);
}

/** Waits until no transaction is open and no branch prepared; the load has ended. */
export async function expectNothingOpen(lab: ScenarioLab): Promise<void> {
  const closed = async (): Promise<boolean> =>
    (await lab.databases.preparedAnywhere()).every(({ gid }) => !isGid(gid)) &&
    (await metric(lab, 'concordat_transactions_open')) === 0;
  if (await waitUntil(closed, { timeoutMs: SEEN_TIMEOUT_MS })) return;
  throw new LabError('Transactions stayed open although the load had ended.');
}

/** Waits until `GET /v1/in-doubt` lists a branch of the transaction in this state. */
export async function waitForInDoubt(lab: ScenarioLab, transactionId: string, state: string): Promise<InDoubtEntry> {
  let found: InDoubtEntry | undefined;
  const listed = async (): Promise<boolean> => {
    const { body } = await request('GET', `${lab.url(await lab.leader())}/v1/in-doubt`);
    const items = Array.isArray(body['items']) ? (body['items'] as InDoubtEntry[]) : [];
    found = items.find((item) => item.transactionId === transactionId && item.state === state);
    return found !== undefined;
  };
  await waitUntil(listed, { timeoutMs: SEEN_TIMEOUT_MS });
  if (found) return found;
  throw new LabError(`GET /v1/in-doubt did not list ${transactionId} as ${state}.`);
}

/** A value of the leader's `/metrics`; 0 where it is missing. */
export async function metric(lab: ScenarioLab, name: string): Promise<number> {
  return await metricOf(lab, await lab.leader(), name);
}

/** The same for any service; the name with its labels, if it has any. */
export async function metricOf(lab: ScenarioLab, service: string, name: string): Promise<number> {
  const lines = (await ask(`${lab.url(service)}/metrics`)).text.split('\n');
  const line = lines.find((candidate) => candidate.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
}

/** The leader shows this value, and has raised an alert. */
export async function expectAlertAnd(lab: ScenarioLab, name: string, value: number): Promise<void> {
  let seen = [0, 0];
  const right = async (): Promise<boolean> => {
    seen = [await metric(lab, name), await metric(lab, 'concordat_alerts_total')];
    return seen[0] === value && (seen[1] ?? 0) > 0;
  };
  if (await waitUntil(right, { timeoutMs: SEEN_TIMEOUT_MS })) return;
  throw new LabError(`${name} should be ${value}, and an alert counted; they are ${seen.join(' and ')}.`);
}
