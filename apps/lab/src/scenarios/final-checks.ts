import { waitUntil } from '../local-system/wait.js';
import { request } from '../rest.js';
import type { ScenarioLab } from './scenario-lab.js';
import { sideBySide } from './side-by-side.js';
import {
  agreementProblems,
  answerCheck,
  checkOf,
  expectedAnswer,
  moneyChecks,
  type Balances,
  type Check,
  type NodeAnswer,
  type Transfer,
} from './truth.js';

const SETTLE_TIMEOUT_MS = 60_000;
const SETTLE_POLL_MS = 250;
const FINAL_OUTCOMES: ReadonlySet<string> = new Set(['committed', 'aborted', 'mixed']);

/** The truth at the end, read from the databases and from every node. The load has ended and all parts run. */
export async function finalChecks(lab: ScenarioLab, opening: Balances): Promise<Check[]> {
  const transfers: readonly Transfer[] = lab.load.transfers;
  const settled = await settleChecks(lab);
  const agreement = await agreementCheck(lab, transfers);
  const closing = await lab.databases.balances();
  return [answerCheck(transfers), ...settled, ...moneyChecks(opening, closing, transfers), agreement];
}

/** After the faults, nothing stays prepared and nothing in doubt (AC5). */
async function settleChecks(lab: ScenarioLab): Promise<Check[]> {
  let prepared: string[] = [];
  let inDoubt: string[] = [];
  const start = Date.now();
  await waitUntil(
    async () => {
      prepared = (await lab.databases.preparedAnywhere()).map(({ bank, gid }) => `${bank} ${gid}`);
      inDoubt = await inDoubtItems(lab);
      return prepared.length + inDoubt.length === 0;
    },
    { timeoutMs: SETTLE_TIMEOUT_MS, pollMs: SETTLE_POLL_MS },
  );
  const good = `empty after ${Date.now() - start} ms`;
  return [checkOf('pg_prepared_xacts empty', prepared, good), checkOf('in-doubt list empty', inDoubt, good)];
}

/** What the leader lists as in doubt, of these participants or of all, as JSON; or why it did not say. */
export async function inDoubtItems(lab: ScenarioLab, participants?: readonly string[]): Promise<string[]> {
  try {
    const name = await lab.leader();
    const { status, body } = await request('GET', `${lab.url(name)}/v1/in-doubt`);
    if (status !== 200 || !Array.isArray(body['items'])) return [`GET /v1/in-doubt answered ${status}`];
    const items = body['items'] as { readonly participant: string }[];
    const wanted = items.filter(({ participant }) => participants?.includes(participant) ?? true);
    return wanted.map((item) => JSON.stringify(item));
  } catch (error) {
    return [`GET /v1/in-doubt was not answered: ${String(error)}`];
  }
}

/** Every outcome that a client got is true, and every node agrees (C1). */
export async function agreementCheck(lab: ScenarioLab, transfers: readonly Transfer[]): Promise<Check> {
  const nodes = lab.coordinators().map(({ name }) => ({ name, url: lab.url(name) }));
  const known = transfers.filter(({ id, told }) => id !== undefined && told !== undefined);
  const problems: string[] = [];
  await sideBySide(known, async (transfer) => {
    const answers: NodeAnswer[] = [];
    for (const { name, url } of nodes) answers.push({ node: name, outcome: await outcomeAt(url, transfer) });
    problems.push(...agreementProblems(transfer, answers));
  });
  const unnamed = transfers.filter(({ id }) => id === undefined).map(({ key }) => `${key}: no answer named its id`);
  return checkOf(
    'all nodes agree with what clients were told',
    [...problems, ...unnamed],
    `${known.length} transactions on ${nodes.length} nodes`,
  );
}

async function outcomeAt(url: string, transfer: Transfer): Promise<string> {
  try {
    // stale: what this node itself has applied, not the leader's answer
    let outcome = 'nothing';
    await waitUntil(
      async () => {
        const { status, body } = await request('GET', `${url}/v1/transactions/${transfer.id}?consistency=stale`);
        outcome = status === 200 ? String(body['outcome']) : `status ${status}`;
        return outcome === expectedAnswer(transfer) || FINAL_OUTCOMES.has(outcome);
      },
      { timeoutMs: 5000 },
    );
    return outcome;
  } catch (error) {
    return `no answer (${String(error)})`;
  }
}
