import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { LabError } from '../../lab-error.js';
import type { LocalSecurity } from '../../local-system/security/local-security.js';
import { SIGNATURE_HEADER, signatureOf, signaturesOfPair } from '../../local-system/security/record-signature.js';
import { createSigningKey, type MessageKey, type Sender } from '../../local-system/security/signing-keys.js';
import { waitUntil } from '../../local-system/wait.js';
import { positionKey, type KafkaTap, type TappedMessage } from '../kafka-tap.js';
import type { ScenarioLab } from '../scenario-lab.js';
import { PAUSE_MS, report } from './attempts.js';
import { branchOf, type Target } from './target.js';

/** A message that an intruder puts into a topic. */
interface Forgery {
  readonly what: string;
  readonly topic: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
  /** the reason of its dead letter; undefined: its reader takes it, and knows it already */
  readonly reason: string | undefined;
}

type Genuine = Pick<Forgery, 'topic' | 'key' | 'value' | 'headers'>;
type Fields = Readonly<Record<string, unknown>>;

const LETTERS_TIMEOUT_MS = 30_000;
/** A loaded machine may elect another leader in between, and only the leader reads the replies. */
const MAXIMUM_ROUNDS = 5;
/** Announcements count for five minutes, and not before they were signed. */
const SIX_MINUTES_MS = 360_000;
const PUBLISHED = 'takes it as a repetition or a question, and moves nothing';

/** Everything that can be forged, replayed or changed in the topics. Returns what was sent. */
export async function forgeMessages(lab: ScenarioLab, tap: KafkaTap, target: Target): Promise<readonly Forgery[]> {
  const security = lab.context.security!;
  const forgeries = [
    ...unsigned(tap, target),
    ...withWrongKeys(tap, target, security),
    ...ofBankC(tap, target, security),
    ...(await replayed(lab, tap, security)),
    ...(await outOfBatch(lab, tap, security)),
  ];
  await sendAll(lab, tap, 'forged and repeated messages', forgeries);
  return forgeries;
}

/** A message by each of these keys, which were trusted once. */
export async function sayByRetired(
  lab: ScenarioLab,
  tap: KafkaTap,
  keys: Iterable<readonly [sender: Sender, key: MessageKey]>,
): Promise<void> {
  const { wire } = tap;
  const forgeries = [...keys].map(([sender, key]): Forgery => {
    const [, bank] = sender.split(':');
    const [topic, value] =
      bank === undefined ? [wire.prepare('bank-a'), work('bank-a')] : [wire.replies, leaving(bank)];
    const record = { topic, key: Buffer.from('bank-a'), value: wire.encode(value) };
    const headers = signedBy(key, { ...record, sender, cluster: wire.cluster });
    return { ...record, what: `by the old key of ${sender}`, headers, reason: 'UNKNOWN_KEY' };
  });
  await sendAll(lab, tap, 'messages by retired keys', forgeries);
}

async function sendAll(lab: ScenarioLab, tap: KafkaTap, what: string, forgeries: readonly Forgery[]): Promise<void> {
  lab.narration.action(`${forgeries.length} ${what}, of somebody who may write to the topics:`);
  const answers = await answersTo(lab, tap, forgeries);
  const problems = forgeries.flatMap((forgery, place) => {
    const expected = forgery.reason === undefined ? PUBLISHED : `dead letter ${forgery.reason}`;
    return report(lab, forgery.what, answers[place]!, new RegExp(`^${expected}$`));
  });
  lab.check(`${what}: each is refused for its reason, or known already`, problems, `${forgeries.length} messages`);
}

/** Sends all, and waits until each has its dead letter. Again when the leader has changed, as an intruder would. */
async function answersTo(lab: ScenarioLab, tap: KafkaTap, forgeries: readonly Forgery[]): Promise<string[]> {
  const expected = forgeries.filter(({ reason }) => reason !== undefined).length;
  for (let round = 1; round <= MAXIMUM_ROUNDS; round++) {
    const letters = [tap.wire.deadLetters];
    const before = await tap.ends(letters);
    const { term } = await lab.cluster(await lab.leader());
    const sent: TappedMessage[] = [];
    for (const forgery of forgeries) {
      sent.push(...(await tap.send(forgery.topic, [forgery])));
      await delay(PAUSE_MS);
    }
    const arrived = async (): Promise<boolean> => {
      const ends = await tap.ends(letters);
      const count = [...ends].reduce((sum, [key, end]) => sum + end - (before.get(key) ?? 0), 0);
      return count >= expected;
    };
    const complete = await waitUntil(arrived, { timeoutMs: LETTERS_TIMEOUT_MS });
    if (!complete && (await lab.cluster(await lab.leader())).term !== term) continue;
    const found = await tap.read(letters, before, await tap.ends(letters));
    return sent.map((message) => answerIn(found, message));
  }
  throw new LabError(`The leader changed in each of ${MAXIMUM_ROUNDS} rounds, without a fault.`);
}

function answerIn(letters: readonly TappedMessage[], { topic, partition, offset }: TappedMessage): string {
  const origin = `${positionKey(topic, partition)}/${offset}`;
  const letter = letters.find(({ headers }) => {
    const place = positionKey(
      headers['concordat-original-topic'] ?? '',
      Number(headers['concordat-original-partition']),
    );
    return `${place}/${headers['concordat-original-offset']}` === origin;
  });
  return letter ? `dead letter ${letter.headers['concordat-reason']}` : PUBLISHED;
}

function unsigned({ wire }: KafkaTap, { transactionId, prepared, missing }: Target): Forgery[] {
  const a = { transactionId, branchId: prepared.branchId, participant: 'bank-a' };
  const b = { transactionId, branchId: missing.branchId, participant: 'bank-b' };
  const record = (what: string, topic: string, fields: Fields): Forgery => ({
    what: `without a signature: ${what}`,
    topic,
    key: Buffer.from(transactionId),
    value: wire.encode(fields),
    headers: {},
    reason: 'UNSIGNED',
  });
  return [
    record('the vote yes of bank-b', wire.replies, { ...b, type: 'vote', vote: 'yes', results: [] }),
    record('bank-a has committed', wire.replies, { ...a, type: 'done', end: 'committed' }),
    record('bank-a leaves', wire.replies, leaving('bank-a')),
    record('the decision to commit, to bank-a', wire.decide('bank-a'), decision(a, 'commit')),
    record('the ruling of an operator to abort, to bank-a', wire.decide('bank-a'), {
      ...a,
      type: 'ruling',
      ruling: 'abort',
      attempt: 0,
    }),
    record('work for bank-a: a million for the intruder', wire.prepare('bank-a'), work('bank-a')),
    record('a ballot of the coordinators, to bank-a', wire.decide('bank-a'), ballot(a)),
  ];
}

function withWrongKeys({ wire }: KafkaTap, { transactionId, missing }: Target, security: LocalSecurity): Forgery[] {
  const { signing: ownKey } = createSigningKey(['participant:bank-b']);
  const { kid } = security.signingKeys.signingKey('participant:bank-b');
  const message = {
    transactionId,
    branchId: missing.branchId,
    participant: 'bank-b',
    type: 'vote',
    vote: 'yes',
    results: [],
  };
  const record = { topic: wire.replies, key: Buffer.from(transactionId), value: wire.encode(message) };
  const signed = (key: MessageKey, cluster = wire.cluster): Readonly<Record<string, string>> =>
    signedBy(key, { ...record, sender: 'participant:bank-b', cluster });
  const forgery = (what: string, headers: Readonly<Record<string, string>>, reason: string): Forgery => ({
    ...record,
    what: `the vote yes of bank-b ${what}`,
    headers,
    reason,
  });
  return [
    forgery('by a key that nobody trusts', signed(ownKey), 'UNKNOWN_KEY'),
    forgery('by that key, under the name of the right one', signed({ ...ownKey, kid }), 'INVALID_SIGNATURE'),
    forgery(
      'by the right key, for another cluster',
      signed(security.signingKeys.signingKey('participant:bank-b'), 'blue'),
      'INVALID_SIGNATURE',
    ),
    forgery('with a header of another form', { [SIGNATURE_HEADER]: 'trust me' }, 'INVALID_SIGNATURE'),
  ];
}

/** Of a bank that was taken over: it has its own key, and knows the ids of the transaction. */
function ofBankC({ wire }: KafkaTap, { transactionId, prepared, missing }: Target, security: LocalSecurity): Forgery[] {
  const key = security.signingKeys.signingKey('participant:bank-c');
  const a = { transactionId, branchId: prepared.branchId, participant: 'bank-a' };
  const b = { transactionId, branchId: missing.branchId, participant: 'bank-b' };
  const vote = { ...b, type: 'vote', vote: 'yes', results: [] };
  const record = (
    what: string,
    topic: string,
    fields: Fields,
    { sender = 'participant:bank-c', reason = 'NOT_ALLOWED_TO_SAY' }: { sender?: string; reason?: string | null } = {},
  ): Forgery => {
    const unsignedRecord = { topic, key: Buffer.from(transactionId), value: wire.encode(fields) };
    return {
      ...unsignedRecord,
      what: `with the stolen key of bank-c: ${what}`,
      headers: signedBy(key, { ...unsignedRecord, sender, cluster: wire.cluster }),
      reason: reason ?? undefined,
    };
  };
  return [
    record('the vote yes of bank-b', wire.replies, vote),
    record('the same, in the name of bank-b', wire.replies, vote, { sender: 'participant:bank-b' }),
    record('the decision to commit, in the name of a coordinator', wire.decide('bank-a'), decision(a, 'commit'), {
      sender: 'coordinator',
    }),
    record('work for bank-a: a million for the intruder', wire.prepare('bank-a'), work('bank-a')),
    record('a ballot of bank-b, to bank-a', wire.decide('bank-a'), {
      ...ballot(a),
      proposer: { branchId: missing.branchId, participant: 'bank-b' },
    }),
    record('bank-a leaves', wire.replies, leaving('bank-a')),
    record('the decision to commit, as a participant that has heard it', wire.decide('bank-a'), decision(a, 'commit'), {
      reason: null,
    }),
  ];
}

/** What was said once, again: as it was, and with something changed. */
async function replayed(lab: ScenarioLab, tap: KafkaTap, security: LocalSecurity): Promise<Forgery[]> {
  const { wire } = tap;
  const { vote, order } = await ofThePast(lab, tap, security);
  const header = vote.headers[SIGNATURE_HEADER]!;
  const [version, kid, sender, signedAt, signature] = header.split(';');
  const later = [version, kid, sender, Number(signedAt) + 1, signature].join(';');
  const again = (what: string, change: Partial<Forgery>, record = vote): Forgery => ({
    topic: record.topic,
    key: record.key,
    value: record.value,
    headers: record.headers,
    reason: 'INVALID_SIGNATURE',
    ...change,
    what: `a vote of the past, ${what}`,
  });
  const announcement = { topic: wire.replies, key: Buffer.from('bank-a'), value: wire.encode(leaving('bank-a')) };
  const old = { sender: 'participant:bank-a', cluster: wire.cluster, signedAt: Date.now() - SIX_MINUTES_MS };
  const early = { ...old, signedAt: Date.now() + SIX_MINUTES_MS };
  return [
    again('word for word', { reason: undefined }),
    again('with further headers', { headers: { ...vote.headers, priority: 'high' }, reason: undefined }),
    again('with another time in its signature', { headers: { ...vote.headers, [SIGNATURE_HEADER]: later } }),
    again('without its signature', { headers: {}, reason: 'UNSIGNED' }),
    again('under another key', { key: Buffer.from(randomUUID()) }),
    again('with another content', { value: Buffer.from(String(vote.value).replace('"yes"', '"no"')) }),
    again('on the topic of decisions', { topic: wire.decide('bank-a') }),
    { ...again('', { reason: undefined }, order), what: 'a decision of the past to bank-a, word for word' },
    { ...again('', { topic: wire.decide('bank-c') }, order), what: 'the same to bank-c' },
    {
      ...announcement,
      what: 'an announcement of bank-a that is six minutes old: bank-a leaves',
      headers: signedBy(security.signingKeys.signingKey('participant:bank-a'), { ...announcement, ...old }),
      reason: 'TOO_OLD',
    },
    {
      ...announcement,
      what: 'an announcement of bank-a that is signed for in six minutes: bank-a leaves',
      headers: signedBy(security.signingKeys.signingKey('participant:bank-a'), { ...announcement, ...early }),
      reason: 'FROM_THE_FUTURE',
    },
  ];
}

/** Of messages that were signed together: one by itself, and what the signature of the others must not cover. */
async function outOfBatch(lab: ScenarioLab, tap: KafkaTap, security: LocalSecurity): Promise<Forgery[]> {
  const { wire } = tap;
  const { vote } = await ofThePast(lab, tap, security);
  const announcement = { topic: wire.replies, key: Buffer.from('bank-a'), value: wire.encode(leaving('bank-a')) };
  const old = { sender: 'participant:bank-a', cluster: wire.cluster, signedAt: Date.now() - SIX_MINUTES_MS };
  const [ofVote, ofAnnouncement] = signaturesOfPair(
    [
      { ...vote, ...old },
      { ...announcement, ...old },
    ],
    security.signingKeys.signingKey('participant:bank-a'),
  );
  const fields = ofVote.split(';');
  const changed = (place: number, text: string): string => fields.toSpliced(place, 1, text).join(';');
  const again = (what: string, header: string, change: Partial<Forgery> = {}): Forgery => ({
    ...vote,
    reason: 'INVALID_SIGNATURE',
    ...change,
    headers: { [SIGNATURE_HEADER]: header },
    what: `a vote of the past that was signed together with another message, ${what}`,
  });
  return [
    again('alone', ofVote, { reason: undefined }),
    again('with the place of the other', ofAnnouncement),
    again('with another content', ofVote, { value: Buffer.from(String(vote.value).replace('"yes"', '"no"')) }),
    again('with another number of messages', changed(4, '3')),
    again('with another place', changed(6, '1')),
    again('without the way to what is signed', changed(7, '')),
    again('with a way of zeros', changed(7, Buffer.alloc(32).toString('base64url'))),
    again('as if it were signed alone', ['1', ...fields.slice(1, 4), fields[5]].join(';')),
    { ...again('', ofVote), topic: wire.decide('bank-c'), what: 'the same on the topic of decisions to bank-c' },
    {
      ...again('', ofAnnouncement),
      ...announcement,
      what: 'the other message: an announcement that is six minutes old',
      reason: 'TOO_OLD',
    },
  ];
}

/** What the bank and the coordinators have said of a transfer that was committed, over whichever road. */
async function ofThePast(
  lab: ScenarioLab,
  { wire }: KafkaTap,
  { signingKeys }: LocalSecurity,
): Promise<{ readonly vote: Genuine; readonly order: Genuine }> {
  const id = lab.load.transfers.findLast(({ told, from }) => told === 'committed' && from.bank === 'bank-a')?.id;
  if (id === undefined) throw new LabError('No transfer from bank-a was committed, although the load runs.');
  const address = { transactionId: id, branchId: await branchOf(lab, id, 'bank-a'), participant: 'bank-a' };
  const signed = (sender: Sender, topic: string, fields: Fields): Genuine => {
    const record = { topic, key: Buffer.from(id), value: wire.encode(fields) };
    return {
      ...record,
      headers: signedBy(signingKeys.signingKey(sender), { ...record, sender, cluster: wire.cluster }),
    };
  };
  const vote = { ...address, type: 'vote', vote: 'yes', results: [] };
  return {
    vote: signed('participant:bank-a', wire.replies, vote),
    order: signed('coordinator', wire.decide('bank-a'), decision(address, 'commit')),
  };
}

type SignedParts = Parameters<typeof signatureOf>[0];

function signedBy(
  key: MessageKey,
  parts: Omit<SignedParts, 'signedAt'> & Partial<Pick<SignedParts, 'signedAt'>>,
): Readonly<Record<string, string>> {
  return { [SIGNATURE_HEADER]: signatureOf({ signedAt: Date.now(), ...parts }, key) };
}

const decision = (address: Fields, value: 'commit' | 'abort'): Fields => ({
  ...address,
  type: 'decision',
  decision: value,
  attempt: 0,
});

const leaving = (participant: string): Fields => ({ type: 'announce', participant, operations: [], leaving: true });

const ballot = (address: Fields): Fields => ({
  ...address,
  type: 'ballot-request',
  request: { type: 'promise', ballot: { round: 9, proposer: 1 } },
  acceptors: [{ branchId: address['branchId'], participant: address['participant'] }],
});

const work = (participant: string): Fields => ({
  type: 'commit-one-phase',
  transactionId: randomUUID(),
  branchId: randomUUID(),
  participant,
  operations: [{ operation: 'credit', payload: { account: 'acc-1', amount: 1_000_000 }, keys: ['acc-1'] }],
  deadline: Date.now() + 60_000,
  attempt: 0,
});
