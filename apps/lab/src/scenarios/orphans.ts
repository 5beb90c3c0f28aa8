import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { SystemRandom, UuidV7Generator } from '@concordat/foundation';
import { LabError } from '../lab-error.js';
import { BANKS } from '../local-system/ports.js';
import { waitUntil } from '../local-system/wait.js';
import type { PreparedBranchIds } from './databases.js';
import { agreementCheck } from './final-checks.js';
import { expectAlertAnd, expectNothingOpen, metric, ruleOn, waitForInDoubt } from './operator.js';
import type { Scenario } from './scenario.js';
import type { ScenarioLab } from './scenario-lab.js';
import type { Transfer } from './truth.js';
import { addressOf, isGid, transactionOf } from './wire.js';

const BANK = 'bank-b';
const ORPHANS = 5;
/** Transfers in progress when the group loses its data. */
const CUT_OFF = 3;
const AMOUNT = 7;
const HOLD_MS = 300_000;
const STEP_TIMEOUT_MS = 30_000;
const ids = new UuidV7Generator(() => Date.now(), new SystemRandom());
const DRAIN_TIMEOUT_MS = 60_000;

export const orphans: Scenario = {
  name: 'orphans',
  title:
    'prepared branches that no coordinator knows: young ones are rolled back, those of a lost group are kept, those of others untouched',
  run: async (lab) => {
    const foreign = await prepareForeign(lab);
    try {
      await orphansUnderLoad(lab);
      await groupLosesItsData(lab);
      await checkForeign(lab, foreign);
    } finally {
      await removeForeign(lab, foreign);
    }
    await lab.waitForCommits(20);
  },
};

/** Gids that are not of this cluster, by what is foreign about them. */
export function foreignGids(cluster: string): ReadonlyMap<string, string> {
  const id = (): string => ids.next();
  return new Map([
    ['of another cluster', `concordat:${cluster}-2:${id()}:${id()}`],
    ['of another cluster whose name begins like a UUID', `concordat:${id()}:${id()}:${id()}`],
    ['of another tool', `other:${randomUUID()}`],
    ['of a tool with a similar prefix', `concordat-${cluster}:${id()}:${id()}`],
    ['ours, but no UUIDs in it', `concordat:${cluster}:transaction-4711:branch-1`],
    ['ours, with a part too many', `concordat:${cluster}:${id()}:${id()}:1`],
    ['ours, with a part too few', `concordat:${cluster}:${id()}`],
    ['ours, in capital letters', `concordat:${cluster}:${id().toUpperCase()}:${id()}`],
  ]);
}

async function prepareForeign(lab: ScenarioLab): Promise<ReadonlyMap<string, string>> {
  const foreign = foreignGids(lab.state().clusterName);
  lab.narration.action(`prepare ${foreign.size} transactions at ${BANK} under gids that are not this cluster's:`);
  let place = 0;
  for (const [what, gid] of foreign) {
    await lab.databases.prepareByHand(BANK, gid, `lab-foreign-${++place}`);
    lab.narration.say(`          ${gid} (${what})`);
  }
  return foreign;
}

async function orphansUnderLoad(lab: ScenarioLab): Promise<void> {
  const { narration, databases } = lab;
  const orphaned = Array.from({ length: ORPHANS }, () => ({ transactionId: ids.next(), branchId: ids.next() }));
  narration.action(`prepare ${ORPHANS} branches at ${BANK} as the SDK would, of transactions that nobody has begun`);
  const gidOf = ({ transactionId, branchId }: PreparedBranchIds): string =>
    `concordat:${lab.state().clusterName}:${transactionId}:${branchId}`;
  for (const [index, branch] of orphaned.entries()) {
    await databases.prepareByHand(BANK, gidOf(branch), `lab-orphan-${index}`, branch);
  }
  narration.expectation(
    `${BANK} finds them and asks; the leader confirms that it leads, knows nothing of them, and answers abort`,
  );
  const start = Date.now();
  await expectGone(lab, orphaned.map(gidOf));
  narration.observation(`all ${ORPHANS} are rolled back after ${Date.now() - start} ms, under load`);
  let problems: string[] = [];
  const entombed = async (): Promise<boolean> => (problems = await missingTombstones(lab, orphaned)).length === 0;
  await waitUntil(entombed, { timeoutMs: STEP_TIMEOUT_MS }); // it is written after the rollback
  const listed = await metric(lab, 'concordat_unknown_old_branches');
  if (listed !== 0) problems.push(`${listed} are listed as unknown-old`);
  lab.check('orphans are presumed aborted', problems, `${ORPHANS} rolled back, each with its tombstone in the ledger`);
}

/** Branches whose ledger rows are not exactly one tombstone. */
async function missingTombstones(lab: ScenarioLab, branches: readonly PreparedBranchIds[]): Promise<string[]> {
  const problems: string[] = [];
  for (const { transactionId, branchId } of branches) {
    const rows = await lab.databases.ledger(BANK, transactionId);
    const right = rows.length === 1 && rows[0]?.branchId === branchId && rows[0].outcome === 'aborted';
    if (!right) problems.push(`the ledger says ${JSON.stringify(rows)} of ${branchId}`);
  }
  return problems;
}

/** Waits until none of the gids is prepared any more. */
async function expectGone(lab: ScenarioLab, gids: readonly string[]): Promise<void> {
  let left: string[] = [];
  const gone = async (): Promise<boolean> => {
    const prepared = new Set((await lab.databases.preparedAnywhere()).map(({ gid }) => gid));
    left = gids.filter((gid) => prepared.has(gid));
    return left.length === 0;
  };
  if (await waitUntil(gone, { timeoutMs: STEP_TIMEOUT_MS })) return;
  throw new LabError(`Still prepared after ${STEP_TIMEOUT_MS / 1000} s: ${left.join(', ')}.`);
}

/** All three coordinators lose their data while branches are prepared and undecided. */
async function groupLosesItsData(lab: ScenarioLab): Promise<void> {
  const { narration, load } = lab;
  narration.action('end the load for now, and compare all answers so far with every node: no decision is pending');
  await load.stop(DRAIN_TIMEOUT_MS);
  await expectNothingOpen(lab);
  const { name, ...result } = await agreementCheck(lab, load.transfers);
  lab.findings.push({ name: `before the group loses its data, ${name}`, ...result });
  const before = [...load.transfers];
  const leader = await lab.leader();
  narration.action(
    `${CUT_OFF} transfers whose decisions are held at ${leader}, so that all their branches stay prepared`,
  );
  const hold = `coordinator.decide.before-append=delay:${HOLD_MS}`;
  await lab.arm(leader, Array.from({ length: CUT_OFF }, () => hold).join(','));
  const cutOff = Array.from({ length: CUT_OFF }, (_, index) => load.one(transferAt(index)));
  for (const one of cutOff) one.catch(() => undefined); // handled below
  const gids = await preparedBranches(lab, 2 * CUT_OFF);
  narration.observation(`${gids.length} branches are prepared, nothing is decided, no client has its answer`);

  const names = lab.coordinators().map((one) => one.name);
  narration.action(`kill -9 of ${names.join(', ')}; remove their data directories; start them: a new, empty group`);
  await Promise.all(names.map((one) => lab.kill(one)));
  for (const one of names) rmSync(lab.process(one).dataDir ?? '', { recursive: true });
  for (const transfer of before) transfer.forgotten = 'expired'; // older than the new group
  await Promise.all(names.map((one) => lab.restart(one)));
  narration.action(
    'start the banks again: they refuse work of a lower term than they have seen, and the new group counts anew',
  );
  for (const bank of BANKS) await lab.stop(bank);
  await Promise.all(BANKS.map((bank) => lab.restart(bank)));
  await leftToOperator(lab, gids);
  const answers = await Promise.all(cutOff);
  checkRepeated(lab, answers, gids);
  narration.action('start the load again');
  load.start();
  await lab.waitForCommits(40);
}

/** The new group knows its birth, and presumes nothing about older transactions: half of one might be committed. */
async function leftToOperator(lab: ScenarioLab, gids: readonly string[]): Promise<void> {
  const { narration } = lab;
  narration.expectation('the banks ask about all branches of the old group, which stay prepared and are listed');
  const ids = [...new Set(gids.map(transactionOf))];
  for (const id of ids) await waitForInDoubt(lab, id, 'unknown-old');
  await expectAlertAnd(lab, 'concordat_unknown_old_branches', gids.length);
  const prepared = new Set((await lab.databases.preparedAnywhere()).map(({ gid }) => gid));
  const gone = gids.filter((gid) => !prepared.has(gid)).map((gid) => `${gid} is gone`);
  lab.check(
    'nothing is presumed about what is older than the group',
    gone,
    `all ${gids.length} are prepared and listed`,
  );
  narration.action('rule to abort each of them, since nothing of it was decided');
  for (const gid of gids) {
    const { transactionId, branchId } = addressOf(gid);
    await ruleOn(lab, transactionId, { action: 'abort', branchId, reason: 'it was not decided' });
  }
  await expectGone(lab, gids);
  narration.observation(`all ${gids.length} branches of the old group are rolled back`);
}

function transferAt(index: number): Pick<Transfer, 'from' | 'to' | 'amount'> {
  const account = `acc-${index}`;
  const from = BANKS[index % BANKS.length]!;
  const to = BANKS[(index + 1) % BANKS.length]!;
  return { from: { bank: from, account }, to: { bank: to, account }, amount: AMOUNT };
}

/** Clients repeat with their keys, and each gets a transaction of the new group: one effect for each key. */
function checkRepeated(lab: ScenarioLab, answers: readonly Transfer[], gids: readonly string[]): void {
  const problems = answers.flatMap(({ key, id, told }) => {
    const old = gids.some((gid) => transactionOf(gid) === id);
    return old || told === undefined ? [`${key}: ${told}, transaction ${id}`] : [];
  });
  const said = answers.map(({ told }) => told).join(', ');
  lab.check('cut off clients repeat at the new group', problems, `${said}, as new transactions`);
}

async function preparedBranches(lab: ScenarioLab, count: number): Promise<string[]> {
  let gids: string[] = [];
  const all = async (): Promise<boolean> => {
    gids = (await lab.databases.preparedAnywhere()).map(({ gid }) => gid).filter(isGid);
    return gids.length === count;
  };
  if (await waitUntil(all, { timeoutMs: STEP_TIMEOUT_MS, pollMs: 50 })) return gids;
  throw new LabError(`${count} branches should be prepared, and there are ${gids.length}.`);
}

async function checkForeign(lab: ScenarioLab, foreign: ReadonlyMap<string, string>): Promise<void> {
  const prepared = new Set(await lab.databases.preparedByAnybody(BANK));
  const missing = [...foreign].filter(([, gid]) => !prepared.has(gid)).map(([what, gid]) => `${gid} (${what}) is gone`);
  lab.check('foreign gids are untouched', missing, `all ${foreign.size} are still prepared at ${BANK}`);
}

/** By hand, as their owners would. */
async function removeForeign(lab: ScenarioLab, foreign: ReadonlyMap<string, string>): Promise<void> {
  lab.narration.action(`roll the ${foreign.size} foreign transactions back by hand`);
  for (const gid of foreign.values()) await lab.databases.removePrepared(BANK, gid);
}
