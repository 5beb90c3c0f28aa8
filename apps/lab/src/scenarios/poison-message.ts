import { randomUUID } from 'node:crypto';
import { LabError } from '../lab-error.js';
import { BANKS } from '../local-system/ports.js';
import { isRunning } from '../local-system/process-table.js';
import type { Sender } from '../local-system/security/signing-keys.js';
import { waitUntil } from '../local-system/wait.js';
import { KafkaTap, positionKey, type Positions, type TappedMessage } from './kafka-tap.js';
import { hugePoisons, poisons, type Poison } from './poison.js';
import type { Scenario } from './scenario.js';
import type { ScenarioLab } from './scenario-lab.js';

const ROUNDS = 20;
/** A loaded machine may elect another leader in between. */
const REPLY_ATTEMPTS = 5;
const ARRIVAL_TIMEOUT_MS = 30_000;

/** A topic that gets bad messages, from somebody who may write there. */
interface Target {
  readonly topic: string;
  readonly participant: string;
  readonly sender: Sender;
}

function bankTargets({ wire }: KafkaTap): Target[] {
  return BANKS.flatMap((participant) => [
    { topic: wire.prepare(participant), participant, sender: 'coordinator' as const },
    { topic: wire.decide(participant), participant, sender: 'coordinator' as const },
  ]);
}

function replyTarget({ wire }: KafkaTap): Target {
  return { topic: wire.replies, participant: 'bank-a', sender: 'participant:bank-a' };
}

export const poisonMessage: Scenario = {
  name: 'poison-message',
  title: 'garbage in every topic under load: each message ends in the dead-letter topic once, and nothing stops',
  links: ['kafka', 'both'],
  run: (lab) => KafkaTap.use(lab, (tap) => poison(lab, tap)),
};

/** A message that was sent, and its expected result. */
export interface Expected {
  readonly sent: TappedMessage;
  readonly poison: Poison;
  /** the leader changed in between, and a new leader reads no older replies */
  readonly mayBeSkipped?: boolean;
}

async function poison(lab: ScenarioLab, tap: KafkaTap): Promise<void> {
  const { narration } = lab;
  const processes = lab.state().processes;
  const before = await tap.ends([tap.wire.deadLetters]);
  const committedBefore = lab.load.committed;
  const kinds = [...poisons(tap.wire, 'bank-a'), ...hugePoisons(tap.wire, 'bank-a')].map(judgedBy(tap));
  narration.action(
    `put ${kinds.length} kinds of bad messages into the topics of all banks, ${ROUNDS} times over, the last two once:`,
  );
  for (const { what, reason } of kinds) narration.say(`          ${what}: ${reason ?? 'ignored'}`);
  narration.expectation(`what cannot be read ends in ${tap.wire.deadLetters} once, with its key and the reason`);
  const toBanks = [...(await sendTo(tap, bankTargets(tap), ROUNDS)), ...(await sendHuge(tap, bankTargets(tap)))];
  const arrivedFirst = await expectLetters(tap, before, toBanks);
  narration.observation(`${arrivedFirst} dead letters for ${toBanks.length} messages`);
  await offsetsMoveOn(lab, tap, toBanks);
  const expected = [...toBanks, ...(await poisonReplies(lab, tap))];
  const tookMs = await lab.waitForCommits(40);
  narration.observation(
    `${lab.load.committed - committedBefore} transfers committed meanwhile, the last 40 within ${tookMs} ms`,
  );
  const letters = await tap.read([tap.wire.deadLetters], before, await tap.ends([tap.wire.deadLetters]));
  const good = `${letters.length}: ${countByReason(letters)}`;
  lab.check('each unreadable message is one dead letter', letterProblems(expected, letters), good);
  const dead = processes.filter((one) => !isRunning(one)).map(({ name, pid }) => `${name} (process ${pid}) has died`);
  lab.check('no process has died', dead, `${processes.length} still run`);
}

/**
 * Only the leader reads the replies, so an exact count needs one leader all the time. The huge messages are sent
 * separately: on a busy machine they delay a leader long enough to be replaced.
 */
async function poisonReplies(lab: ScenarioLab, tap: KafkaTap): Promise<Expected[]> {
  const all: Expected[] = [];
  for (let attempt = 1; attempt <= REPLY_ATTEMPTS; attempt++) {
    const { sent, exact } = await tryReplies(lab, tap, () => sendTo(tap, [replyTarget(tap)], ROUNDS));
    all.push(...sent);
    if (!exact) continue;
    const huge = await tryReplies(lab, tap, () => sendHuge(tap, [replyTarget(tap)]));
    return [...all, ...huge.sent];
  }
  throw new LabError(`The leader changed in each of ${REPLY_ATTEMPTS} attempts, without a fault.`);
}

async function tryReplies(
  lab: ScenarioLab,
  tap: KafkaTap,
  send: () => Promise<Expected[]>,
): Promise<{ sent: Expected[]; exact: boolean }> {
  const { narration } = lab;
  const before = await tap.ends([tap.wire.deadLetters]);
  const leader = await lab.leader();
  const { term } = await lab.cluster(leader);
  const sent = await send();
  narration.action(
    `${sent.length} of them into ${tap.wire.replies}, which ${leader} reads, the leader of term ${term}`,
  );
  const sameLeader = async (): Promise<boolean> => (await lab.cluster(await lab.leader())).term === term;
  const arrived = await expectLetters(tap, before, sent, sameLeader);
  const exact = await sameLeader();
  narration.observation(
    exact
      ? `${arrived} dead letters for ${sent.length} messages`
      : 'another leader was elected meanwhile, which reads no replies older than itself: of these it may skip some',
  );
  return { sent: exact ? sent : sent.map((one) => ({ ...one, mayBeSkipped: true })), exact };
}

const lettersOf = (sent: readonly Expected[]): number => sent.filter((one) => one.poison.reason !== undefined).length;

async function sendTo(tap: KafkaTap, targets: readonly Target[], rounds: number): Promise<Expected[]> {
  const expected: Expected[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const target of targets)
      expected.push(...(await sendBatch(tap, target, poisons(tap.wire, target.participant))));
  }
  return expected;
}

/** One request for each: a request has its own limit at the broker. */
async function sendHuge(tap: KafkaTap, targets: readonly Target[]): Promise<Expected[]> {
  const expected: Expected[] = [];
  for (const target of targets) {
    for (const one of hugePoisons(tap.wire, target.participant))
      expected.push(...(await sendBatch(tap, target, [one])));
  }
  return expected;
}

/** With signatures also what is valid, and not for its sender to say there. */
function judgedBy({ isSecure }: KafkaTap): (one: Poison) => Poison {
  return (one) => (isSecure && one.reason === undefined ? { ...one, reason: 'NOT_ALLOWED_TO_SAY' } : one);
}

async function sendBatch(tap: KafkaTap, { topic, sender }: Target, batch: readonly Poison[]): Promise<Expected[]> {
  const messages = batch.map(({ value }, place) => ({
    key: place % 5 === 4 ? null : Buffer.from(`poison-${randomUUID()}`),
    value,
  }));
  const sent = await tap.send(topic, tap.signed(sender, topic, messages));
  return batch.map(judgedBy(tap)).map((one, place) => ({ poison: one, sent: sent[place]! }));
}

/** Waits until this many letters have arrived, or the other condition fails. Returns their number. */
async function expectLetters(
  tap: KafkaTap,
  before: Positions,
  sent: readonly Expected[],
  goesOn: () => Promise<boolean> = () => Promise.resolve(true),
): Promise<number> {
  let more = 0;
  const arrived = async (): Promise<boolean> => {
    more = 0;
    for (const [key, end] of await tap.ends([tap.wire.deadLetters])) more += end - (before.get(key) ?? 0);
    return more >= lettersOf(sent) || !(await goesOn());
  };
  await waitUntil(arrived, { timeoutMs: ARRIVAL_TIMEOUT_MS });
  return more;
}

/** Problems of the dead letters: each expected one must exist once, with reason, key and value, and no other. */
export function letterProblems(expected: readonly Expected[], letters: readonly TappedMessage[]): string[] {
  const byOrigin = new Map<string, TappedMessage[]>();
  for (const letter of letters) {
    const { headers } = letter;
    const partition = Number(headers['concordat-original-partition']);
    const place = positionKey(headers['concordat-original-topic'] ?? '', partition);
    const origin = `${place}/${headers['concordat-original-offset']}`;
    byOrigin.set(origin, [...(byOrigin.get(origin) ?? []), letter]);
  }
  const problems = expected.flatMap(({ sent, poison: { what, reason }, mayBeSkipped }) => {
    const origin = `${positionKey(sent.topic, sent.partition)}/${sent.offset}`;
    const found = byOrigin.get(origin) ?? [];
    byOrigin.delete(origin);
    if (mayBeSkipped === true && found.length === 0) return [];
    const wanted = reason === undefined ? 0 : 1;
    if (found.length !== wanted) return [`${origin} (${what}): ${found.length} dead letters instead of ${wanted}`];
    return found.flatMap((letter) => differences(letter, sent, reason).map((text) => `${origin} (${what}): ${text}`));
  });
  const others = [...byOrigin.keys()].map((origin) => `${origin}: a dead letter that was not expected`);
  return [...problems, ...others];
}

function differences(letter: TappedMessage, sent: TappedMessage, reason: string | undefined): string[] {
  const said = letter.headers['concordat-reason'];
  const problems = said === reason ? [] : [`a dead letter with ${said} instead of ${reason}`];
  if (!sameBytes(letter.key, sent.key)) problems.push('its key is another one');
  if (!sameBytes(letter.value, sent.value)) problems.push('its value is another one');
  return problems;
}

function sameBytes(one: Buffer | null, other: Buffer | null): boolean {
  return one === null || other === null ? one === other : one.equals(other);
}

function countByReason(letters: readonly TappedMessage[]): string {
  const counts = new Map<string, number>();
  for (const { headers } of letters) {
    const reason = headers['concordat-reason'] ?? 'no reason';
    counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  return [...counts].map(([reason, count]) => `${count} ${reason}`).join(', ');
}

/** The banks' groups have committed offsets after the last bad message. */
async function offsetsMoveOn(lab: ScenarioLab, tap: KafkaTap, expected: readonly Expected[]): Promise<void> {
  const last = new Map<string, number>();
  for (const { sent } of expected) last.set(positionKey(sent.topic, sent.partition), sent.offset);
  for (const bank of BANKS) {
    const topics = [tap.wire.prepare(bank), tap.wire.decide(bank)];
    const behind = async (): Promise<boolean> => {
      const committed = await tap.committed(tap.wire.groupOf(bank), topics);
      return topics.every(
        (topic) => (committed.get(positionKey(topic, 0)) ?? 0) > (last.get(positionKey(topic, 0)) ?? 0),
      );
    };
    if (!(await waitUntil(behind, { timeoutMs: ARRIVAL_TIMEOUT_MS }))) {
      throw new LabError(`The offsets of ${bank} did not move on behind the bad messages.`);
    }
  }
  lab.narration.observation('the offsets of all banks have moved on behind the last of them');
}
