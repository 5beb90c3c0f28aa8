import { LabError } from '../lab-error.js';
import { waitUntil } from '../local-system/wait.js';
import type { Scenario } from './scenario.js';
import type { ScenarioLab } from './scenario-lab.js';
import type { Transfer } from './truth.js';
import { transactionOf } from './wire.js';

const BRANCHES = 3;
const HOLD_MS = 120_000;
const PREPARED_TIMEOUT_MS = 15_000;
/** the banks' termination timeout with its jitter, a few ballots, and a loaded machine */
const TERMINATION_TIMEOUT_MS = 60_000;
/** how long the branches in two phases are watched after the others have ended */
const WATCH_MS = 3_000;
const REST_TIMEOUT_MS = 60_000;

export const threePhase: Scenario = {
  name: 'three-phase',
  title: 'kill -9 of all coordinators: transactions in three phases end without them, one in two phases waits',
  // without Kafka the banks cannot reach each other when no coordinator lives
  links: ['kafka', 'both'],
  run: async (lab) => {
    const { narration } = lab;
    narration.action('let the load rest, so that only three transactions over three banks are open');
    await lab.load.stop(REST_TIMEOUT_MS);
    const leader = await lab.leader();

    narration.action('one in two phases: all branches vote yes, and the leader is held before it logs the decision');
    const two = await open(lab, leader, `coordinator.decide.before-append=delay:${HOLD_MS}`, 'acc-0', '2pc');
    narration.action('one in three phases, held before its ballot is logged: nobody has proposed to commit it');
    const early = await open(lab, leader, `coordinator.pre-commit.before-append=delay:${HOLD_MS}`, 'acc-1', '3pc');
    narration.action('another in three phases, whose branches are told to pre-commit');
    narration.action(`kill -9 ${leader}, the leader, when the second branch has accepted, and at once the other two`);
    const late = await open(lab, leader, 'coordinator.ballot-answer.received=kill@2', 'acc-2', '3pc', async () => {
      await lab.waitForDeath(leader);
      const others = lab.coordinators().filter(({ name }) => name !== leader);
      await Promise.all(others.map(({ name }) => lab.kill(name)));
    });
    const { length } = await lab.databases.preparedAnywhere();
    narration.observation(`no coordinator lives; ${length} branches are prepared`);

    narration.expectation('the branches in three phases decide among themselves, over Kafka; those in two wait');
    const start = Date.now();
    await waitForEnd(lab, late.transactionId, 'committed');
    narration.observation(`the pre-committed one is committed in all banks after ${Date.now() - start} ms`);
    await waitForEnd(lab, early.transactionId, 'aborted');
    narration.observation(
      `the other is aborted in all banks after ${Date.now() - start} ms: nobody had accepted a commit`,
    );
    const released = await waitUntil(async () => (await preparedOf(lab, two.transactionId)).length < BRANCHES, {
      timeoutMs: WATCH_MS,
    });
    if (released) throw new LabError(`A branch of ${two.transactionId}, in two phases, ended without a coordinator.`);
    narration.observation('the one in two phases is still prepared in all banks, and holds its locks: it blocks');

    narration.action('start all coordinators again');
    await Promise.all(lab.coordinators().map(({ name }) => lab.restart(name)));
    narration.expectation('the one in two phases ends now; of the others the log records what their branches decided');
    const told = await answerOf(two.transfer);
    await expectAnswer('the pre-committed one', late.transfer, 'committed');
    await expectAnswer('the other one in three phases', early.transfer, 'aborted');
    narration.observation(`the clients were told: ${told} (two phases), committed, aborted; the load goes on`);
    lab.load.start();
    await lab.waitForCommits(20);
  },
};

interface OpenTransaction {
  readonly transactionId: string;
  /** resolves when its client has a definite answer */
  readonly transfer: Promise<Transfer>;
}

/** Begins a transfer over all banks, and returns when all its branches are prepared and the failpoint holds it. */
async function open(
  lab: ScenarioLab,
  leader: string,
  failpoint: string,
  account: string,
  protocol: '2pc' | '3pc',
  whenBegun: () => Promise<void> = () => Promise.resolve(),
): Promise<OpenTransaction> {
  const before = new Set((await lab.databases.preparedAnywhere()).map(({ gid }) => transactionOf(gid)));
  await lab.arm(leader, failpoint);
  const at = (bank: string): Transfer['from'] => ({ bank, account });
  const transfer = lab.load.one({ from: at('bank-a'), to: at('bank-b'), also: at('bank-c'), amount: 2, protocol });
  transfer.catch(() => undefined); // awaited at the end; an earlier fault is reported first
  await whenBegun();
  let transactionId: string | undefined;
  const isPrepared = async (): Promise<boolean> => {
    const anywhere = await lab.databases.preparedAnywhere();
    const own = anywhere.map(({ gid }) => transactionOf(gid)).filter((id) => !before.has(id));
    transactionId = own[0];
    return own.length === BRANCHES && new Set(own).size === 1;
  };
  if (!(await waitUntil(isPrepared, { timeoutMs: PREPARED_TIMEOUT_MS, pollMs: 20 })) || transactionId === undefined)
    throw new LabError(`The branches of the transaction to be held at ${failpoint} were not prepared in time.`);
  return { transactionId, transfer };
}

async function preparedOf(lab: ScenarioLab, transactionId: string): Promise<string[]> {
  const anywhere = await lab.databases.preparedAnywhere();
  return anywhere.filter(({ gid }) => transactionOf(gid) === transactionId).map(({ gid }) => gid);
}

/** Waits until the ledgers of all banks have this outcome, and none has the branch prepared any more. */
async function waitForEnd(lab: ScenarioLab, transactionId: string, outcome: 'committed' | 'aborted'): Promise<void> {
  let seen: string[] = [];
  const hasEnded = async (): Promise<boolean> => {
    if ((await preparedOf(lab, transactionId)).length > 0) return false;
    const entries = [...(await lab.databases.wholeLedger()).values()];
    seen = entries.filter((entry) => entry.transactionId === transactionId).map((entry) => entry.outcome);
    return seen.length === BRANCHES;
  };
  const ended = await waitUntil(hasEnded, { timeoutMs: TERMINATION_TIMEOUT_MS, pollMs: 100 });
  if (ended && seen.every((one) => one === outcome)) return;
  throw new LabError(`The branches of ${transactionId} should be ${outcome}; their ledgers say: ${seen.join(', ')}.`);
}

async function answerOf(transfer: Promise<Transfer>): Promise<'committed' | 'aborted'> {
  const { told, key } = await transfer;
  if (told === undefined) throw new LabError(`The client of ${key} has no answer.`);
  return told;
}

async function expectAnswer(
  what: string,
  transfer: Promise<Transfer>,
  outcome: 'committed' | 'aborted',
): Promise<void> {
  const told = await answerOf(transfer);
  if (told !== outcome) throw new LabError(`The client of ${what} should have been told ${outcome}, not ${told}.`);
}
