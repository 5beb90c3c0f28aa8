import { randomInt } from 'node:crypto';
import { LabError } from '../lab-error.js';
import { BANKS } from '../local-system/ports.js';
import { waitUntil } from '../local-system/wait.js';
import { request, type Answer } from '../rest.js';
import { behindProxies, streamsStand } from './behind-proxies.js';
import { KafkaTap, positionKey, type Positions, type TappedMessage } from './kafka-tap.js';
import { waitForEnd } from './operator.js';
import type { Scenario } from './scenario.js';
import type { ScenarioLab } from './scenario-lab.js';
import { sideBySide } from './side-by-side.js';

const DUPLICATES = 20_000;
const BATCH = 250;
/** Maximum number of older messages per topic that are sent again: those of transactions that ended long ago. */
const OLDER = 500;
const STRETCH_COMMITS = 100;
const MORE_THAN_THERE_IS = 1_000_000_000;
const REFUSED = 5;
const WITHIN_ONE_BANK = 10;
const BACKLOG_TIMEOUT_MS = 120_000;
/** The storm must contain each of these. */
const WANTED = [
  'prepare',
  'commit-one-phase',
  'decision commit',
  'decision abort',
  'vote yes',
  'vote no',
  'done committed',
  'done aborted',
  'inquiry',
  'announce',
] as const;

export const duplicateStorm: Scenario = {
  name: 'duplicate-storm',
  title: `${DUPLICATES.toLocaleString('en')} messages come again, in another order and long after: nothing happens twice`,
  // the storm is recorded from the topics
  links: ['kafka', 'both'],
  run: (lab) =>
    KafkaTap.use(lab, async (tap) => {
      const topics = [...BANKS.flatMap((bank) => topicsOf(tap, bank)), tap.wire.replies];
      const from = await tap.ends(topics);
      await recorded(lab);
      const to = await tap.ends(topics);
      const messages = await tap.read(topics, from, to);
      narrateKinds(lab, messages, topics.length);
      const older = await olderOnes(lab, await tap.read(topics, backBy(from, OLDER), from));
      lab.narration.observation(`${older.length} older messages are taken along, of transactions that are long over`);
      await storm(lab, tap, [...messages, ...older]);
    }),
};

function topicsOf({ wire }: KafkaTap, bank: string): string[] {
  return [wire.prepare(bank), wire.decide(bank)];
}

/** The topics must have every kind of message: beside Kafka, the streams are cut meanwhile. */
async function recorded(lab: ScenarioLab): Promise<void> {
  if (lab.state().link !== 'both') return stretchOfEveryKind(lab);
  await behindProxies(lab, async (proxies) => {
    lab.narration.action('cut every stream, so that every message goes over Kafka');
    for (const proxy of proxies) proxy.cut();
    await stretchOfEveryKind(lab);
    for (const proxy of proxies) proxy.pass();
    await streamsStand(lab);
  });
}

/** A part of the load that sends every type of message. */
async function stretchOfEveryKind(lab: ScenarioLab): Promise<void> {
  const { narration, load } = lab;
  narration.action(
    `record a stretch of the load, with ${REFUSED} refused transfers, ${WITHIN_ONE_BANK} within one bank`,
  );
  for (let count = 0; count < WITHIN_ONE_BANK; count++) {
    const bank = BANKS[count % BANKS.length]!;
    await load.one({ from: { bank, account: 'acc-0' }, to: { bank, account: 'acc-1' }, amount: 1 });
  }
  const [from, to] = [
    { bank: 'bank-a', account: 'acc-0' },
    { bank: 'bank-b', account: 'acc-0' },
  ];
  for (let count = 0; count < REFUSED; count++) await load.one({ from, to, amount: MORE_THAN_THERE_IS });
  narration.action('and with a kill -9 of bank-b behind a PREPARE, so that inquiries are among the messages');
  await lab.arm('bank-b', 'participant.prepare.after-prepare=kill');
  await lab.waitForDeath('bank-b');
  await lab.restart('bank-b');
  await lab.waitForCommits(STRETCH_COMMITS);
}

/** Parses a message as far as the storm needs; another scenario may have left one that is invalid. */
export function kindOf({ value }: Pick<TappedMessage, 'value'>): { kind: string; transactionId: string | undefined } {
  const fields = fieldsOf(value);
  const more = [fields['decision'], fields['vote'], fields['end']].filter((one) => typeof one === 'string');
  const { transactionId } = fields;
  return {
    kind: [fields['type'], ...more].join(' '),
    transactionId: typeof transactionId === 'string' ? transactionId : undefined,
  };
}

function fieldsOf(value: Buffer | null): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(String(value));
    if (typeof parsed === 'object' && parsed !== null) return parsed as Record<string, unknown>;
  } catch {
    // no JSON
  }
  return { type: 'unreadable' };
}

function narrateKinds(lab: ScenarioLab, messages: readonly TappedMessage[], topicCount: number): void {
  const counts = new Map<string, number>();
  for (const { kind } of messages.map(kindOf)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  const text = [...counts].map(([kind, count]) => `${count} ${kind}`).join(', ');
  lab.narration.observation(`${messages.length} messages in ${topicCount} topics: ${text}`);
  const missing = WANTED.filter((kind) => !counts.has(kind)).map((kind) => `no ${kind}`);
  lab.check('every kind of message is in the storm', missing, `${WANTED.length} kinds`);
}

function backBy(positions: Positions, count: number): Positions {
  return new Map([...positions].map(([key, end]) => [key, Math.max(0, end - count)]));
}

/** Only of transactions that this group knows: after a loss of data a group counts its terms anew. */
async function olderOnes(lab: ScenarioLab, messages: readonly TappedMessage[]): Promise<TappedMessage[]> {
  const ids = new Set(messages.flatMap((message) => kindOf(message).transactionId ?? []));
  const known = new Set<string>();
  for (const [id, view] of await viewsOf(lab, ids)) if (view.status === 200) known.add(id);
  return messages.filter((message) => known.has(kindOf(message).transactionId ?? ''));
}

async function storm(lab: ScenarioLab, tap: KafkaTap, messages: readonly TappedMessage[]): Promise<void> {
  const { narration, databases, load } = lab;
  narration.action('wait until all those transactions have ended, and note what coordinators and ledgers say of each');
  const ids = new Set(messages.flatMap((message) => kindOf(message).transactionId ?? []));
  const views = await endedViews(lab, ids);
  const ledger = await databases.wholeLedger();
  const committedBefore = load.committed;
  const half = DUPLICATES / 2;
  narration.action(`send ${half} of these messages again, shuffled, while the load runs`);
  await sendShuffled(tap, messages, half);
  await waitForBacklog(tap);
  narration.action('kill -9 all three banks: what they remembered is gone, and the ledgers must answer');
  await Promise.all(BANKS.map((bank) => lab.kill(bank)));
  await Promise.all(BANKS.map((bank) => lab.restart(bank)));
  narration.action(`send ${half} more, shuffled anew`);
  await sendShuffled(tap, messages, half);
  await waitForBacklog(tap);
  await lab.waitForCommits(40);
  narration.observation(`${load.committed - committedBefore} transfers committed meanwhile`);
  narration.action('compare each of those transactions with what was said of it before the storm');
  const after = await endedViews(lab, ids);
  const changed = [...views].filter(([id, view]) => after.get(id) !== view).map(([id]) => `${id}: ${after.get(id)}`);
  lab.check('no transaction has changed', changed, `${views.size} transactions, to the last field`);
  const problems = ledgerProblems(ids, ledger, await databases.wholeLedger());
  lab.check('no ledger row has changed or come', problems, `${countRows(ids, ledger)} rows, to the microsecond`);
}

type Ledger = ReadonlyMap<
  string,
  { readonly transactionId: string; readonly outcome: string; readonly updatedAt: string }
>;

function countRows(ids: ReadonlySet<string>, ledger: Ledger): number {
  return [...ledger.values()].filter(({ transactionId }) => ids.has(transactionId)).length;
}

/** Rows of these transactions that have changed; a late tombstone is no effect, a late commit is. */
export function ledgerProblems(ids: ReadonlySet<string>, before: Ledger, after: Ledger): string[] {
  const gone = [...before.keys()].filter((branchId) => !after.has(branchId)).map((branchId) => `${branchId} is gone`);
  const changed = [...after].flatMap(([branchId, { transactionId, outcome, updatedAt }]) => {
    const known = before.get(branchId);
    if (!ids.has(transactionId)) return [];
    if (known === undefined)
      return outcome === 'aborted' ? [] : [`${branchId} of ${transactionId} was ${outcome} late`];
    const same = known.outcome === outcome && known.updatedAt === updatedAt;
    return same ? [] : [`${branchId}: ${known.outcome} at ${known.updatedAt}, now ${outcome} at ${updatedAt}`];
  });
  return [...gone, ...changed];
}

async function viewsOf(lab: ScenarioLab, ids: ReadonlySet<string>): Promise<Map<string, Answer>> {
  const url = lab.url(await lab.leader());
  const views = new Map<string, Answer>();
  await sideBySide(ids, async (id) => {
    views.set(id, await request('GET', `${url}/v1/transactions/${id}`));
  });
  return views;
}

/** The same as text, when all of them have ended. */
async function endedViews(lab: ScenarioLab, ids: ReadonlySet<string>): Promise<Map<string, string>> {
  let views = await viewsOf(lab, ids);
  const open = [...views].filter(([, { body }]) => body['endedAt'] === null).map(([id]) => id);
  for (const id of open) await waitForEnd(lab, id);
  if (open.length > 0) views = await viewsOf(lab, ids);
  return new Map([...views].map(([id, { status, body }]) => [id, `${status} ${JSON.stringify(body)}`]));
}

/** Sends this many messages, drawn with repetition, to their original partitions. */
async function sendShuffled(tap: KafkaTap, messages: readonly TappedMessage[], count: number): Promise<void> {
  const byPlace = new Map<string, TappedMessage[]>();
  for (let sent = 0; sent < count; sent++) {
    const message = messages[randomInt(messages.length)]!;
    const key = positionKey(message.topic, message.partition);
    const batch = byPlace.get(key) ?? [];
    batch.push(message);
    byPlace.set(key, batch);
    if (batch.length < BATCH) continue;
    byPlace.delete(key);
    await tap.send(message.topic, batch, message.partition);
  }
  for (const batch of byPlace.values()) await tap.send(batch[0]!.topic, batch, batch[0]!.partition);
}

/** Waits until the banks have read everything that was in their topics at the call. */
async function waitForBacklog(tap: KafkaTap): Promise<void> {
  const backlogs = new Map(
    await Promise.all(BANKS.map(async (bank) => [bank, await tap.ends(topicsOf(tap, bank))] as const)),
  );
  for (const [bank, ends] of backlogs) {
    const read = async (): Promise<boolean> => {
      const committed = await tap.committed(tap.wire.groupOf(bank), topicsOf(tap, bank));
      return [...ends].every(([key, end]) => end === 0 || (committed.get(key) ?? 0) >= end);
    };
    if (await waitUntil(read, { timeoutMs: BACKLOG_TIMEOUT_MS })) continue;
    throw new LabError(`${bank} had not read all messages after ${BACKLOG_TIMEOUT_MS / 1000} s.`);
  }
}
