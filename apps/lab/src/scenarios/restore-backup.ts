import { renameSync, rmSync } from 'node:fs';
import { LabError } from '../lab-error.js';
import type { PartName } from '../local-system/ports.js';
import { copyTree } from '../local-system/standby.js';
import { waitUntil } from '../local-system/wait.js';
import { request } from '../rest.js';
import { agreementCheck } from './final-checks.js';
import { expectAlertAnd, metric, ruleOn, waitForEnd, waitForInDoubt } from './operator.js';
import type { Scenario } from './scenario.js';
import { nodeIdOf, type ScenarioLab } from './scenario-lab.js';
import type { AccountName, Transfer } from './truth.js';
import { transactionOf } from './wire.js';

/** The bank whose database is restored, its server, and the bank at the other end of its transfers. */
const BANK = 'bank-b';
const SERVER = 'postgres-b';
const OTHER_BANK = 'bank-a';
const COMMITTED_ACCOUNT = 'acc-98';
const ABORTED_ACCOUNT = 'acc-99';
const AMOUNT = 7;
const MORE_THAN_THERE_IS = 1_000_000_000;
const LOST_TRANSFERS = 3;
const HOLD_MS = 300_000;
const STEP_TIMEOUT_MS = 30_000;
const DRAIN_TIMEOUT_MS = 60_000;
const SHORT_RETENTION_MS = 1_000;
/** The leader applies the retention once a minute. */
const FORGET_TIMEOUT_MS = 180_000;

export const restoreBackup: Scenario = {
  name: 'restore-backup',
  title: 'a database is restored from a backup that brings back branches which were decided and ended meanwhile',
  run: async (lab) => {
    const { narration } = lab;
    const brought = await prepareTwoBranches(lab);
    const backup = await backUp(lab);
    try {
      await endThem(lab, brought);
      const lost = await commitAfterBackup(lab);
      await restore(lab, backup, brought);
      for (const transfer of lost) transfer.restoredAway = transfer.from.bank === BANK ? 'from' : 'to';
      narration.observation(
        `the ${LOST_TRANSFERS} transfers that ${BANK} had committed after the backup are lost, as with any database ` +
          `that is restored: ${OTHER_BANK} keeps its halves. The checks know exactly these ${LOST_TRANSFERS} halves`,
      );
      await answeredFromLog(lab, brought);
      await forget(lab);
      await restore(lab, backup, brought);
      await endedByRuling(lab, brought);
    } finally {
      rmSync(backup, { recursive: true, force: true });
    }
    narration.action(`let the load use ${BANK} again`);
    await lab.load.spare();
    await lab.waitForCommits(40);
  },
};

/** A transfer whose branch at the bank is in the backup, and its decision. */
interface Brought {
  readonly transfer: Transfer;
  readonly transactionId: string;
  readonly gid: string;
  readonly decision: 'commit' | 'abort';
}

/** Leaves two open branches at the bank: one that will be committed and one that will be rolled back. */
async function prepareTwoBranches(lab: ScenarioLab): Promise<Brought[]> {
  const { narration, databases, load } = lab;
  narration.action(`exclude ${BANK} from the load, so that the losses of its restore are known; the others go on`);
  await load.spare(BANK);
  await expectPrepared(lab, 0);
  narration.action(
    `one transfer to ${BANK}, whose commit is held there; then another one that ${OTHER_BANK} refuses, and kill -9 ` +
      `${BANK} before it rolls back`,
  );
  const points = [`participant.commit.before-commit=delay:${HOLD_MS}`, 'participant.abort.before-rollback=kill'];
  await lab.arm(BANK, points.join(','));
  const committed = await load.one(transferOf(COMMITTED_ACCOUNT, AMOUNT));
  const [first = ''] = await expectPrepared(lab, 1);
  const release = await databases.holdAccount({ bank: OTHER_BANK, account: ABORTED_ACCOUNT });
  const aborting = load.one(transferOf(ABORTED_ACCOUNT, MORE_THAN_THERE_IS));
  aborting.catch(() => undefined); // handled below
  let gids: string[];
  try {
    gids = await expectPrepared(lab, 2);
  } finally {
    await release();
  }
  const aborted = await aborting;
  await lab.waitForDeath(BANK);
  const told = `${committed.told} and ${aborted.told}`;
  if (told !== 'committed and aborted') throw new LabError(`The two clients were told ${told}.`);
  narration.observation(`both clients have their answers (${told}), and ${BANK} is dead with both branches prepared`);
  const second = gids.find((gid) => gid !== first) ?? '';
  return [
    { transfer: committed, transactionId: transactionOf(first), gid: first, decision: 'commit' },
    { transfer: aborted, transactionId: transactionOf(second), gid: second, decision: 'abort' },
  ];
}

function transferOf(account: string, amount: number): { from: AccountName; to: AccountName; amount: number } {
  return { from: { bank: OTHER_BANK, account }, to: { bank: BANK, account }, amount };
}

/** Copies the data of the stopped server. Returns the path of the copy. */
async function backUp(lab: ScenarioLab): Promise<string> {
  const { narration } = lab;
  narration.action(`stop ${SERVER} and copy its data directory: the backup`);
  await lab.stop(SERVER);
  const backup = `${dataDirOf(lab, SERVER)}.backup`;
  rmSync(backup, { recursive: true, force: true });
  copyTree(dataDirOf(lab, SERVER), backup);
  await lab.restart(SERVER);
  return backup;
}

function dataDirOf(lab: ScenarioLab, server: PartName): string {
  const { dataDir } = lab.process(server);
  if (dataDir === undefined) throw new LabError(`${server} has no data directory of its own.`);
  return dataDir;
}

/** The bank returns and gets both decisions. */
async function endThem(lab: ScenarioLab, brought: readonly Brought[]): Promise<void> {
  const { narration } = lab;
  await lab.restart(BANK);
  narration.expectation(`${BANK} inquires about both branches, gets their decisions and ends them`);
  for (const { transactionId } of brought) await waitForEnd(lab, transactionId);
  await expectPrepared(lab, 0);
  narration.observation('both transactions have ended everywhere; only the backup still holds their branches');
}

/** What a restore loses for good. */
async function commitAfterBackup(lab: ScenarioLab): Promise<Awaited<ReturnType<ScenarioLab['load']['one']>>[]> {
  lab.narration.action(`${LOST_TRANSFERS} further transfers to ${BANK}, which the backup does not hold`);
  const transfers = [];
  for (let count = 0; count < LOST_TRANSFERS; count++) {
    const transfer = await lab.load.one(transferOf(`acc-${count}`, AMOUNT));
    if (transfer.told !== 'committed') throw new LabError(`Transfer ${transfer.id} should have been committed.`);
    await waitForEnd(lab, transfer.id ?? '');
    transfers.push(transfer);
  }
  return transfers;
}

/** Replaces the database by the backup, while the bank and its server are down. */
async function restore(lab: ScenarioLab, backup: string, brought: readonly Brought[]): Promise<void> {
  const { narration } = lab;
  narration.action(`stop ${BANK} and ${SERVER}, put the backup in the place of its data, start ${SERVER}`);
  await lab.stop(BANK);
  await lab.stop(SERVER);
  const dataDir = dataDirOf(lab, SERVER);
  rmSync(dataDir, { recursive: true });
  copyTree(backup, `${dataDir}.restored`);
  renameSync(`${dataDir}.restored`, dataDir);
  await lab.restart(SERVER);
  const prepared = await lab.databases.prepared(BANK);
  const missing = brought.filter(({ gid }) => !prepared.includes(gid)).map(({ gid }) => gid);
  if (missing.length > 0 || prepared.length !== brought.length) {
    throw new LabError(`The backup should bring back the two branches; prepared is ${prepared.join(', ')}.`);
  }
  narration.observation(`both branches are prepared again: ${prepared.join(', ')}`);
}

/** The transactions are recent: the coordinators know them, and the sweeper inquires. */
async function answeredFromLog(lab: ScenarioLab, brought: readonly Brought[]): Promise<void> {
  const { narration } = lab;
  narration.expectation(`${BANK} asks; the coordinators still know the decisions of both; nobody has to do anything`);
  await lab.restart(BANK);
  const start = Date.now();
  await expectPrepared(lab, 0);
  narration.observation(`both branches have ended again, ${Date.now() - start} ms after ${BANK} was ready`);
  await checkLedger(lab, 'brought back and known: each branch has ended as decided', brought);
  const unknown = await metric(lab, 'concordat_unknown_old_branches');
  if (unknown !== 0) throw new LabError(`No branch should be unknown, and ${unknown} are.`);
}

async function checkLedger(lab: ScenarioLab, name: string, brought: readonly Brought[]): Promise<void> {
  let problems: string[] = [];
  const right = async (): Promise<boolean> => (problems = await ledgerProblems(lab, brought)).length === 0;
  await waitUntil(right, { timeoutMs: STEP_TIMEOUT_MS }); // the tombstone is written after the rollback
  lab.check(name, problems, 'one committed, one rolled back, as their clients were told');
}

async function ledgerProblems(lab: ScenarioLab, brought: readonly Brought[]): Promise<string[]> {
  const problems: string[] = [];
  for (const { transactionId, decision } of brought) {
    const outcomes = (await lab.databases.ledger(BANK, transactionId)).map(({ outcome }) => outcome).join();
    const expected = decision === 'commit' ? 'committed' : 'aborted';
    if (outcomes !== expected) problems.push(`${transactionId}: the ledger of ${BANK} says "${outcomes}"`);
  }
  return problems;
}

/** Makes all coordinators forget every transaction so far, as after the retention. */
async function forget(lab: ScenarioLab): Promise<void> {
  const { narration, load } = lab;
  narration.action('end the load for now, and compare all answers so far with every node, before they are forgotten');
  await load.stop(DRAIN_TIMEOUT_MS);
  await expectPreparedAnywhere(lab, 0);
  const { name, ...result } = await agreementCheck(lab, load.transfers);
  lab.findings.push({ name: `before they are forgotten, ${name}`, ...result });
  const leader = await lab.leader();
  const node = lab.coordinators().find((candidate) => candidate.name !== leader)!.name;
  narration.action(
    `start ${node} with CONCORDAT_RETENTION_MS=${SHORT_RETENTION_MS} and make it the leader: the 24 hours of the ` +
      'retention are over as soon as it looks, within a minute',
  );
  await lab.stop(node);
  await lab.restart(node, { CONCORDAT_RETENTION_MS: String(SHORT_RETENTION_MS) });
  try {
    await lab.changeGroup('POST', 'leader', { nodeId: nodeIdOf(node) });
    const start = Date.now();
    if (!(await waitUntil(() => allForgotten(lab), { timeoutMs: FORGET_TIMEOUT_MS, pollMs: 500 }))) {
      throw new LabError(`The coordinators still knew transactions after ${FORGET_TIMEOUT_MS / 1000} s.`);
    }
    for (const transfer of load.transfers) transfer.forgotten = 'expired';
    narration.observation(`all transactions so far are forgotten (410) after ${Date.now() - start} ms`);
  } finally {
    narration.action(`end ${node}, to have the usual retention again`);
    await lab.stop(node);
    await lab.restart(node);
  }
  narration.action(`start the load again, still without ${BANK}`);
  load.start();
  await lab.waitForCommits(20);
}

/** Checks the youngest, because the oldest are dropped first. */
async function allForgotten(lab: ScenarioLab): Promise<boolean> {
  const youngest = [...lab.load.transfers].sort((one, two) => String(two.id).localeCompare(String(one.id)));
  const url = lab.url(await lab.leader());
  for (const { id } of youngest) {
    if ((await request('GET', `${url}/v1/transactions/${id}`)).status !== 410) return false;
  }
  return true;
}

/** The transactions are older than the retention: an operator must find out and rule. */
async function endedByRuling(lab: ScenarioLab, brought: readonly Brought[]): Promise<void> {
  const { narration, databases } = lab;
  narration.expectation('their decisions are no longer known: no presumption, but an alert and an entry in the list');
  await lab.restart(BANK);
  const listed = [];
  for (const { transactionId } of brought) listed.push(await waitForInDoubt(lab, transactionId, 'unknown-old'));
  await expectAlertAnd(lab, 'concordat_unknown_old_branches', brought.length);
  narration.observation(
    `GET /v1/in-doubt lists both as unknown-old; concordat_unknown_old_branches ${brought.length}, and ` +
      `concordat_alerts_total ${await metric(lab, 'concordat_alerts_total')}`,
  );
  await expectPrepared(lab, brought.length);
  narration.action(`look up in the ledger of ${OTHER_BANK} how they ended, and rule the same`);
  for (const [index, { transactionId }] of brought.entries()) {
    const [entry] = await databases.ledger(OTHER_BANK, transactionId);
    if (!entry) throw new LabError(`The ledger of ${OTHER_BANK} knows nothing of ${transactionId}.`);
    const action = entry.outcome === 'committed' ? 'commit' : 'abort';
    const { branchId } = listed[index]!;
    const reason = `the ledger of ${OTHER_BANK} says ${entry.outcome}`;
    await ruleOn(lab, transactionId, { action, branchId, reason });
    narration.observation(
      `POST /v1/transactions/${transactionId}/resolve {"action":"${action}","branchId":"${branchId}",` +
        `"reason":"${reason}"}: 200`,
    );
  }
  await expectPrepared(lab, 0);
  await expectAlertAnd(lab, 'concordat_unknown_old_branches', 0);
  await checkLedger(lab, 'brought back and forgotten: each branch has ended as ruled', brought);
  narration.observation('both branches have ended as their clients were told long ago; the list is empty');
}

/** Waits until this many of Concordat's branches are prepared at the bank. */
async function expectPrepared(lab: ScenarioLab, count: number): Promise<string[]> {
  let gids: string[] = [];
  const right = async (): Promise<boolean> => (gids = await lab.databases.prepared(BANK)).length === count;
  if (await waitUntil(right, { timeoutMs: STEP_TIMEOUT_MS, pollMs: 50 })) return gids;
  throw new LabError(`${count} branches should be prepared at ${BANK}, and there are ${gids.length}.`);
}

async function expectPreparedAnywhere(lab: ScenarioLab, count: number): Promise<void> {
  const right = async (): Promise<boolean> => (await lab.databases.preparedAnywhere()).length === count;
  if (!(await waitUntil(right, { timeoutMs: STEP_TIMEOUT_MS }))) throw new LabError('Branches stayed prepared.');
}
