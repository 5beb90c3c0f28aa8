import { NEIGHBOUR_NAME, startNeighbour } from '../local-system/neighbour.js';
import { BANKS } from '../local-system/ports.js';
import { waitUntil } from '../local-system/wait.js';
import { ask } from '../rest.js';
import { finalChecks } from './final-checks.js';
import { KafkaTap, type Positions, type TappedMessage } from './kafka-tap.js';
import { Load } from './load.js';
import type { Scenario } from './scenario.js';
import { ScenarioLab } from './scenario-lab.js';
import type { Balances } from './truth.js';
import { Wire } from './wire.js';

const COMMITS = 40;
const ANSWERS_TIMEOUT_MS = 60_000;
const LETTERS_TIMEOUT_MS = 30_000;
/** Maximum number of messages per topic that are copied to the other cluster. */
const COPIED = 100;

export const twoClusters: Scenario = {
  name: 'two-clusters',
  title:
    'a second cluster on the same machine, database server and broker, if there is one, both under load and kills: neither gets messages of the other',
  run: async (lab) => {
    // on direct streams alone there is nothing to read, and nothing to copy
    if (lab.state().link === 'direct') return await withNeighbour(lab, (other) => underKills(lab, other));
    await KafkaTap.use(lab, async (tap) => {
      try {
        await withNeighbour(lab, (other) => onOneBroker(lab, other, tap));
      } finally {
        await tap.deleteTopics(Wire.of({ ...lab.state(), clusterName: NEIGHBOUR_NAME }).topics(BANKS));
      }
    });
  },
};

/** Lends a second cluster, under load; its checks come at the end. */
async function withNeighbour(lab: ScenarioLab, work: (other: ScenarioLab) => Promise<void>): Promise<void> {
  const { narration } = lab;
  narration.action(`start the cluster "${NEIGHBOUR_NAME}": three coordinators and three banks of the same names,`);
  narration.say('          their databases all on the server of bank-a');
  const neighbour = await startNeighbour(lab.context, lab.state());
  try {
    const load = new Load(() => other.coordinators().map(({ name }) => other.url(name)));
    const other: ScenarioLab = new ScenarioLab(neighbour.context, neighbour.file, narration, load);
    const opening = await other.databases.balances();
    other.load.start();
    await work(other);
    await end(lab, other, opening);
  } finally {
    await neighbour.end();
  }
}

async function onOneBroker(lab: ScenarioLab, other: ScenarioLab, tap: KafkaTap): Promise<void> {
  lab.narration.observation('their topics are on the same broker');
  const letters = [tap.wire.deadLetters, Wire.of(other.state()).deadLetters];
  const lettersBefore = await tap.ends(letters);
  const topicsBefore = await tap.ends(topicsOf(Wire.of(other.state())));
  await underKills(lab, other);
  await checkLetters(lab, tap, lettersBefore, 'before anything was copied');
  await copyAcross(lab, other, tap, topicsBefore);
  await both(lab, other);
}

async function underKills(lab: ScenarioLab, other: ScenarioLab): Promise<void> {
  const { narration } = lab;
  await both(lab, other);
  narration.action('kill -9 both leaders, each between the votes and the decision');
  await Promise.all([killLeader(lab), killLeader(other)]);
  await both(lab, other);
  narration.action('kill -9 bank-b of both, each behind a PREPARE');
  await Promise.all([killBank(lab), killBank(other)]);
  await both(lab, other);
  narration.action('kill -9 all coordinators of one, then of the other');
  for (const one of [lab, other]) {
    await Promise.all(one.coordinators().map(({ name }) => one.kill(name)));
    await (one === lab ? other : lab).waitForCommits(COMMITS);
    await Promise.all(one.coordinators().map(({ name }) => one.restart(name)));
  }
  await both(lab, other);
}

const topicsOf = (wire: Wire): string[] => [
  ...BANKS.flatMap((bank) => [wire.prepare(bank), wire.decide(bank)]),
  wire.replies,
];

async function both(lab: ScenarioLab, other: ScenarioLab): Promise<void> {
  await Promise.all([lab, other].map((one) => one.waitForCommits(COMMITS)));
  lab.narration.observation(`${COMMITS} further transfers committed in both`);
}

async function killLeader(lab: ScenarioLab): Promise<void> {
  const leader = await lab.leader();
  await lab.arm(leader, 'coordinator.decide.before-append=kill');
  await lab.waitForDeath(leader);
  await lab.leader(leader);
  await lab.restart(leader);
}

async function killBank(lab: ScenarioLab): Promise<void> {
  await lab.arm('bank-b', 'participant.prepare.after-prepare=kill');
  await lab.waitForDeath('bank-b');
  await lab.restart('bank-b');
}

/** New dead letters of both clusters since `before`. */
async function newLetters(tap: KafkaTap, before: Positions): Promise<TappedMessage[]> {
  const topics = [...new Set([...before.keys()].map((key) => key.slice(0, key.lastIndexOf('/'))))];
  return await tap.read(topics, before, await tap.ends(topics));
}

async function checkLetters(lab: ScenarioLab, tap: KafkaTap, before: Positions, when: string): Promise<void> {
  const letters = await newLetters(tap, before);
  const problems = letters.map(({ topic, headers }) => `${topic}: ${headers['concordat-reason']}`);
  lab.check(`no dead letter in either cluster, ${when}`, problems, 'none');
}

/** Copies messages of one cluster into the topics of the other, as a mirror without renaming would. */
async function copyAcross(lab: ScenarioLab, other: ScenarioLab, tap: KafkaTap, from: Positions): Promise<void> {
  const { narration } = lab;
  const [own, foreign] = [tap.wire, Wire.of(other.state())];
  const before = await tap.ends([own.deadLetters]);
  const pairs = BANKS.flatMap((bank) => [
    [foreign.prepare(bank), own.prepare(bank)],
    [foreign.decide(bank), own.decide(bank)],
  ]).concat([[foreign.replies, own.replies]]);
  let toBanks = 0;
  for (const [source, target] of pairs) {
    const ofSource = new Map([...from].filter(([key]) => key.startsWith(`${source}/`)));
    const copied = (await tap.read([source!], ofSource, await tap.ends([source!]))).slice(-COPIED);
    if (copied.length > 0) await tap.send(target!, copied);
    if (target !== own.replies) toBanks += copied.length;
  }
  narration.action(
    `copy ${toBanks} messages of "${foreign.cluster}" into the banks' topics here, and others into ${own.replies}`,
  );
  let letters: TappedMessage[] = [];
  const arrived = async (): Promise<boolean> => {
    letters = await newLetters(tap, before);
    return lettersOfBanks(letters, own).length >= toBanks;
  };
  await waitUntil(arrived, { timeoutMs: LETTERS_TIMEOUT_MS });
  const count = lettersOfBanks(letters, own).length;
  lab.check(
    'every copied message is a dead letter',
    count === toBanks ? [] : [`${count} of ${toBanks}`],
    `${count} of them`,
  );
  // the cluster is signed, too, and a signature is checked first
  const expected = lab.context.security ? 'INVALID_SIGNATURE' : 'OTHER_CLUSTER';
  const wrong = letters.filter(({ headers }) => headers['concordat-reason'] !== expected);
  const reasons = wrong.map(({ topic, headers }) => `${topic}: ${headers['concordat-reason']}`);
  lab.check(`each as ${expected}`, reasons, `${letters.length} dead letters`);
}

const lettersOfBanks = (letters: readonly TappedMessage[], { replies }: Wire): TappedMessage[] =>
  letters.filter(({ headers }) => headers['concordat-original-topic'] !== replies);

/** The neighbour's checks; those of the running system come after every scenario. */
async function end(lab: ScenarioLab, other: ScenarioLab, opening: Balances): Promise<void> {
  await other.load.stop(ANSWERS_TIMEOUT_MS);
  for (const { name, holds, detail } of await finalChecks(other, opening)) {
    lab.check(`${NEIGHBOUR_NAME}: ${name}`, holds ? [] : [detail], detail);
  }
  const alerts = await Promise.all(BANKS.map((bank) => alertsOf(other, bank)));
  lab.check(`${NEIGHBOUR_NAME}: no participant raised an alert`, alerts.flat(), 'none');
}

async function alertsOf(lab: ScenarioLab, bank: string): Promise<string[]> {
  const { text } = await ask(`${lab.url(bank)}/metrics`);
  const lines = text.split('\n').filter((line) => line.startsWith('concordat_participant_alerts_total{'));
  return lines.filter((line) => !line.endsWith(' 0')).map((line) => `${bank}: ${line}`);
}
