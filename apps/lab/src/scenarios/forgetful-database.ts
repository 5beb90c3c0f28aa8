import { LabError } from '../lab-error.js';
import { Standby } from '../local-system/standby.js';
import { waitUntil } from '../local-system/wait.js';
import { request } from '../rest.js';
import { expectAlertAnd, expectNothingOpen, metricOf, ruleOn, show, waitForInDoubt } from './operator.js';
import type { Scenario } from './scenario.js';
import type { ScenarioLab } from './scenario-lab.js';
import { changeAt, type Transfer } from './truth.js';
import { transactionOf } from './wire.js';

/** Its database fails over to a standby that has neither its prepare nor its vote. */
const FORGETFUL = 'bank-a';
const SERVER = 'postgres-a';
/** It carries out the commit, and dies. */
const KEEPER = 'bank-b';
/** It has accepted the commit, does not know the decision, and opens a ballot. */
const ASKER = 'bank-c';
const BANKS = [FORGETFUL, KEEPER, ASKER] as const;

const ACCOUNT = 'acc-97';
const AMOUNT = 8;
const HOLD_MS = 300_000;
/** Keeps banks from opening a ballot now. */
const LONG_TERMINATION_MS = 600_000;
const REST_TIMEOUT_MS = 60_000;
const STEP_TIMEOUT_MS = 30_000;
/** the termination timeout with its jitter, a few ballots, and a loaded machine */
const BALLOT_TIMEOUT_MS = 60_000;
/** how long the asker is watched while only the forgetful one answers */
const WATCH_MS = 3_000;
const CHANGES = 'concordat_participant_database_changes_total{what="found"}';
const AMNESIA = 'concordat_participant_alerts_total{code="ACCEPTOR_AMNESIA"}';

export const forgetfulDatabase: Scenario = {
  name: 'forgetful-database',
  title: 'a commit in three phases is decided, and one database fails over to a standby that has never received it',
  // without Kafka the banks cannot reach each other when no coordinator lives
  links: ['kafka', 'both'],
  run: async (lab) => {
    const { narration } = lab;
    await rest(lab);
    narration.action(`stop ${SERVER}, copy its files, and let the copy follow it: an asynchronous standby`);
    await lab.stop(SERVER);
    const standby = await Standby.copy(lab.context, lab.state(), 'a');
    try {
      await lab.restart(SERVER);
      await standby.follow();
      await beSlow(lab, FORGETFUL, ASKER);
      narration.action('disconnect the standby; it gets nothing more');
      await standby.cutOff();
      const { transactionId, transfer } = await decideUnacknowledged(lab);
      await carriedOutAt(lab, transactionId);
      await failOver(lab, standby, transactionId);
      await askTheForgetful(lab, transactionId);
      await askAll(lab, transactionId);
      await showAndRepair(lab, transactionId, transfer);
    } finally {
      await standby.end();
      await Promise.all(BANKS.map((bank) => lab.stop(bank))); // their failpoints and settings end with them
    }
    narration.action('start the banks again, with their usual limits; the load goes on, over all of them');
    await Promise.all(BANKS.map((bank) => lab.restart(bank)));
    lab.load.start();
    await lab.waitForCommits(40);
  },
};

/** Nothing is open, so that the database can lose only one transaction. */
async function rest(lab: ScenarioLab): Promise<void> {
  lab.narration.action('stop the load: only one transaction will be lost');
  await lab.load.stop(REST_TIMEOUT_MS);
  await expectNothingOpen(lab);
}

/** Lets banks wait longer than this scenario before they decide without a coordinator. */
async function beSlow(lab: ScenarioLab, ...banks: readonly string[]): Promise<void> {
  lab.narration.action(`start ${banks.join(' and ')} with a long termination timeout, so that ${KEEPER} is the first`);
  const environment = { CONCORDAT_TERMINATION_TIMEOUT_MS: String(LONG_TERMINATION_MS) };
  for (const bank of banks) {
    await lab.stop(bank);
    await lab.restart(bank, environment);
  }
}

interface Decided {
  readonly transactionId: string;
  /** resolves when its client has a definite answer */
  readonly transfer: Promise<Transfer>;
}

/** All three have accepted the commit, the leader has logged it, no bank has got it, and no coordinator is alive. */
async function decideUnacknowledged(lab: ScenarioLab): Promise<Decided> {
  const { narration, databases } = lab;
  const leader = await lab.leader();
  narration.action(
    `a transfer over three banks in three phases; kill -9 ${leader}, the leader, when the commit is in its log and ` +
      'before it sends anything, and at once the other two',
  );
  await lab.arm(leader, 'coordinator.decide.after-append=kill');
  // the keeper sends its decision to nobody, and dies after carrying it out
  const silently = [`participant.decision.before-send=delay:${HOLD_MS}`, 'participant.commit.after-commit=kill'];
  await lab.arm(KEEPER, silently.join(','));
  const at = (bank: string): Transfer['from'] => ({ bank, account: ACCOUNT });
  const wanted = { from: at(FORGETFUL), to: at(KEEPER), also: at(ASKER), amount: AMOUNT, protocol: '3pc' } as const;
  const transfer = lab.load.one(wanted);
  transfer.catch(() => undefined); // awaited at the end; an earlier fault is reported first
  await lab.waitForDeath(leader);
  const others = lab.coordinators().filter(({ name }) => name !== leader);
  await Promise.all(others.map(({ name }) => lab.kill(name)));
  const ids = new Set((await databases.preparedAnywhere()).map(({ gid }) => transactionOf(gid)));
  const [transactionId = ''] = ids;
  if (ids.size !== 1) throw new LabError(`One transaction should be prepared, and there are ${ids.size}.`);
  await until(`all banks have accepted the commit of ${transactionId}`, STEP_TIMEOUT_MS, async () => {
    const entries = await Promise.all(BANKS.map((bank) => databases.acceptor(bank, transactionId)));
    return entries.every((entry) => entry?.vote === 'yes' && entry.accepted === 'commit' && entry.decision === null);
  });
  narration.observation(`${transactionId} is decided: all three have accepted the commit; no coordinator lives`);
  return { transactionId, transfer };
}

/** The keeper finds the decision by a ballot, commits, and dies before it sends it. */
async function carriedOutAt(lab: ScenarioLab, transactionId: string): Promise<void> {
  lab.narration.expectation(`${KEEPER} asks the others, commits, and dies before it tells them`);
  await until(
    `${KEEPER} has committed`,
    BALLOT_TIMEOUT_MS,
    async () => (await outcomeAt(lab, KEEPER, transactionId)) === 'committed',
  );
  await lab.waitForDeath(KEEPER);
  for (const bank of [FORGETFUL, ASKER]) {
    const outcome = await outcomeAt(lab, bank, transactionId);
    if (outcome !== 'prepared') throw new LabError(`${bank} should not know the decision; there it is ${outcome}.`);
  }
  lab.narration.observation(`it is committed at ${KEEPER}, and prepared at ${FORGETFUL} and ${ASKER}`);
}

/** The state of a branch in its bank's database. */
async function outcomeAt(lab: ScenarioLab, bank: string, transactionId: string): Promise<string> {
  const [entry] = await lab.databases.ledger(bank, transactionId);
  if (entry) return entry.outcome;
  const gids = await lab.databases.prepared(bank);
  return gids.some((gid) => transactionOf(gid) === transactionId) ? 'prepared' : 'unknown';
}

async function failOver(lab: ScenarioLab, standby: Standby, transactionId: string): Promise<void> {
  const { narration, databases } = lab;
  const before = await databases.timeline(FORGETFUL);
  narration.action(`kill -9 ${SERVER}, promote its standby, and put that in its place`);
  await lab.kill(SERVER);
  await standby.takePlace();
  await lab.restart(SERVER);
  const [outcome, vote, after] = await Promise.all([
    outcomeAt(lab, FORGETFUL, transactionId),
    databases.acceptor(FORGETFUL, transactionId),
    databases.timeline(FORGETFUL),
  ]);
  if (outcome !== 'unknown' || vote !== undefined || after <= before)
    throw new LabError(`The standby should know nothing, on a new timeline; it is ${outcome}, timeline ${after}.`);
  narration.observation(`${SERVER} is on timeline ${after}, was on ${before}, and has neither prepare nor vote`);
  await until(`${FORGETFUL} has noticed`, STEP_TIMEOUT_MS, async () => (await metricOf(lab, FORGETFUL, CHANGES)) === 1);
  const { body } = await request('GET', `${lab.url(FORGETFUL)}/readyz`);
  narration.observation(
    `DATABASE_CHANGED at ${FORGETFUL}: database_changes_total 1, abstainsBefore ${String(body['abstainsBefore'])}`,
  );
}

/** Only these two are alive: what the forgetful one has lost must not count as an abort. */
async function askTheForgetful(lab: ScenarioLab, transactionId: string): Promise<void> {
  const { narration } = lab;
  narration.action(`kill -9 ${ASKER} and start it with the usual timeout: it opens a ballot while ${KEEPER} is dead`);
  await lab.kill(ASKER);
  await lab.restart(ASKER);
  narration.expectation(
    `${FORGETFUL} says that it has no vote, and abstains; ${ASKER} reports it, and decides nothing`,
  );
  const hasReported = async (): Promise<boolean> => (await metricOf(lab, ASKER, AMNESIA)) > 0;
  const hasEnded = async (): Promise<boolean> => (await outcomeAt(lab, ASKER, transactionId)) !== 'prepared';
  const isAnswered = async (): Promise<boolean> => (await hasReported()) || (await hasEnded());
  await until(`${ASKER} has reported, or ended its branch`, BALLOT_TIMEOUT_MS, isAnswered);
  const endedEarly = await waitUntil(hasEnded, { timeoutMs: WATCH_MS });
  const problems = endedEarly
    ? [`committed at ${KEEPER}, and ${await outcomeAt(lab, ASKER, transactionId)} at ${ASKER} on its word`]
    : [];
  lab.check('a database that has forgotten decides nothing', problems, `${ASKER} waits for a majority`);
  if (endedEarly) throw new LabError(`${ASKER} has ended its branch on the word of a database that has forgotten.`);
  narration.observation(`ACCEPTOR_AMNESIA at ${ASKER}, of ${FORGETFUL}; its branch is still prepared`);
}

async function askAll(lab: ScenarioLab, transactionId: string): Promise<void> {
  const { narration } = lab;
  narration.action(`start ${KEEPER} again; still no coordinator lives`);
  await lab.restart(KEEPER);
  const start = Date.now();
  await until(
    `${ASKER} has ended`,
    BALLOT_TIMEOUT_MS,
    async () => (await outcomeAt(lab, ASKER, transactionId)) !== 'prepared',
  );
  const problems: string[] = [];
  for (const bank of [KEEPER, ASKER]) {
    const outcome = await outcomeAt(lab, bank, transactionId);
    if (outcome !== 'committed') problems.push(`${bank}: ${outcome}`);
  }
  lab.check('an accepted commit wins over a database that has forgotten', problems, `${KEEPER} and ${ASKER} committed`);
  narration.observation(`the commit wins at ${ASKER}, ${Date.now() - start} ms after ${KEEPER} was ready`);
}

/** What an operator sees and does (docs/operations.md, "A database that fails over or is restored"). */
async function showAndRepair(lab: ScenarioLab, transactionId: string, transfer: Promise<Transfer>): Promise<void> {
  const { narration, databases } = lab;
  narration.action('start all coordinators again');
  await Promise.all(lab.coordinators().map(({ name }) => lab.restart(name)));
  narration.expectation(`${FORGETFUL} has nothing to commit, and says so; nothing is hidden`);
  const { branchId } = await waitForInDoubt(lab, transactionId, 'heuristic-rollback');
  await expectAlertAnd(lab, 'concordat_hazards_open', 1);
  const { told } = await transfer;
  const { status, decision, outcome } = await show(lab, transactionId);
  const seen = `its client was told ${told}; decision ${decision}, status ${status}`;
  lab.check(
    'the loss is shown',
    told === 'committed' && outcome === 'mixed' ? [] : [`${seen}, outcome ${outcome}`],
    seen,
  );
  narration.observation(`in-doubt lists branch ${branchId} of ${FORGETFUL} as heuristic-rollback; ${seen}`);

  const lost = lab.load.markLost(transactionId, FORGETFUL);
  if (!lost) throw new LabError(`No transfer of the load is known as ${transactionId}.`);
  const [other] = await databases.ledger(KEEPER, transactionId);
  narration.action(`the ledger of ${KEEPER} says ${other?.outcome}: repair the account at ${FORGETFUL} by hand`);
  if (other?.outcome !== 'committed') throw new LabError(`${KEEPER} should have it committed.`);
  await databases.addByHand(lost.from, changeAt(lost, 'from'));
  lost.isRepaired = true;
  narration.action('rule to give it up (forget)');
  const reason = `${FORGETFUL} failed over and lost it; repaired by hand as the ledger of ${KEEPER} says`;
  await ruleOn(lab, transactionId, { action: 'forget', reason });
  const ended = await show(lab, transactionId);
  if (ended.outcome !== 'mixed' || ended.endedAt === 'null') throw new LabError('The transaction should have ended.');
  await expectAlertAnd(lab, 'concordat_hazards_open', 0);
  narration.observation(`it has ended as ${ended.outcome}, with its ruling on record; the money is right again`);
}

async function until(what: string, timeoutMs: number, isSo: () => Promise<boolean>): Promise<void> {
  if (await waitUntil(isSo, { timeoutMs, pollMs: 50 })) return;
  throw new LabError(`Within ${timeoutMs / 1000} s it should have come to this: ${what}.`);
}
