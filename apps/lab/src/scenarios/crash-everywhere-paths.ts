import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { SystemClock, SystemRandom, UuidV7Generator } from '@concordat/foundation';
import { LabError } from '../lab-error.js';
import { BANKS, type Link } from '../local-system/ports.js';
import { LAB_PARTICIPANT } from '../local-system/security/local-security.js';
import type { Sender } from '../local-system/security/signing-keys.js';
import { waitUntil } from '../local-system/wait.js';
import { describeAnswer, request, type Answer } from '../rest.js';
import {
  ballotAfterAbort,
  repeatedPrepare,
  strangeBallot,
  strangeRuling,
  unknownOld,
  type WireMessage,
} from './crash-everywhere-messages.js';
import type { KafkaTap } from './kafka-tap.js';
import { rule } from './operator.js';
import type { ScenarioLab } from './scenario-lab.js';
import { addressOf, type Wire } from './wire.js';

/** The paths' own transactions are aborted after this when a crash leaves them behind. */
const TIMEOUT_MS = 10_000;
/** Longer than the sweeper leaves a prepared branch alone. */
const LONG_TIMEOUT_MS = 20_000;
const REQUEST_TIMEOUT_MS = 3_000;

export interface PathContext {
  readonly lab: ScenarioLab;
  /** undefined on direct streams alone, where the lab cannot send messages of its own */
  readonly tap: KafkaTap | undefined;
  /** the process that must die */
  readonly victim: string;
  /** a committed transaction in three phases, once there is one */
  readonly threePhase: () => string | undefined;
  /** reserves a bank that is not a victim until the end of the work */
  readonly withQuietBank: <Value>(work: (bank: string) => Promise<Value>) => Promise<Value>;
}

/** Leads a process to a crash point. May fail halfway, because of the crash. */
export type Provocation = (context: PathContext) => Promise<void>;

export interface Path {
  /** undefined: the traffic alone reaches the point */
  readonly provoke?: Provocation;
  /** interval of the calls until the process has died; default 1,000 ms */
  readonly everyMs?: number;
  /** only a process with an empty memory reaches it: it is restarted first */
  readonly toFresh?: boolean;
}

const clock = new SystemClock();
const ids = new UuidV7Generator(() => clock.now(), new SystemRandom());

/**
 * Crash points that the traffic does not reach, or not soon. The first matching pattern counts; all others are reached
 * by transfers, or by the effects of other crashes.
 */
const PATHS: readonly (readonly [RegExp, Path])[] = [
  [/^coordinator\.resolve\./, { provoke: ruleToAbort }],
  [
    /^coordinator\.ruling\./,
    { provoke: (context) => context.withQuietBank((bank) => ruleAgainst(context, bank)), everyMs: 4_000 },
  ],
  [/^coordinator\.participant\./, { provoke: announceSomethingNew }],
  [/^coordinator\.announce\./, { provoke: announceSomethingNew }],
  [/^coordinator\.inquiry\./, { provoke: inquireAboutNothing }],
  [/^coordinator\.unknown-old\./, { provoke: inquireAboutSomethingOld }],
  [/^coordinator\.branches-decided\./, { provoke: repeatDecisionOfBranches }],
  [/^participant\.ruling\./, { provoke: (context) => ruleAgainst(context, context.victim), everyMs: 6_000 }],
  [/^(coordinator|participant)\.undecided\./, { provoke: inquireAboutUndecided }],
  [/^participant\.unknown-old\./, { provoke: ({ tap, victim }) => order(tap, unknownOld(randomUUID(), victim)) }],
  [/^participant\.inquiry\./, { provoke: leaveOrphan, everyMs: 15_000 }],
  [
    /^participant\.acceptor-(lock|refusal)\./,
    { provoke: ({ tap, victim }) => order(tap, strangeBallot(ids.next(), victim)) },
  ],
  [
    /^participant\.acceptor-release\./,
    { provoke: ({ tap, victim }) => order(tap, ballotAfterAbort(ids.next(), victim)) },
  ],
  [/^participant\.acceptor-look-up\./, { provoke: prepareAgain }],
  [/^participant\.ledger-look-up\./, { provoke: delegateSomethingOld, toFresh: true }],
  [
    /^participant\.acceptor-decision\./,
    { provoke: ({ tap, victim }) => order(tap, strangeRuling(ids.next(), victim)) },
  ],
];

/** Other ways on other links; undefined: the point cannot be passed there. These come before `PATHS`. */
const PATHS_BY_LINK: Readonly<Record<Link, readonly (readonly [RegExp, Path | undefined])[]>> = {
  kafka: [],
  both: [
    // the load goes over the streams, which have no offsets
    [/^participant\.offsets\./, { provoke: ({ tap, victim }) => order(tap, unknownOld(randomUUID(), victim)) }],
  ],
  direct: [
    [/^participant\.offsets\./, undefined],
    // without coordinators the branches cannot reach each other
    [/^participant\.(branches-decided|decision\.(before|after)-send|ballot-answer\.(received|handled))/, undefined],
    // only a message of the lab's own leads there
    [/^coordinator\.(branches-decided|participant)\./, undefined],
    [/^participant\.(acceptor-(lock|refusal|release|look-up|decision)|ledger-look-up)\./, undefined],
    [/^coordinator\.announce\./, { provoke: announceByRestart, everyMs: 10_000 }],
    [/^coordinator\.inquiry\./, { provoke: leaveOrphanAtQuietBank, everyMs: 15_000 }],
    [/^(coordinator|participant)\.unknown-old\./, { provoke: leaveOldOrphan, everyMs: 15_000 }],
    [/^(coordinator|participant)\.undecided\./, { provoke: leaveUndecided, everyMs: 15_000 }],
  ],
};

/** How a process comes to a crash point; undefined: not at all on this link. */
export function pathTo(point: string, link: Link): Path | undefined {
  const ofLink = PATHS_BY_LINK[link].find(([pattern]) => pattern.test(point));
  if (ofLink) return ofLink[1];
  return PATHS.find(([pattern]) => pattern.test(point))?.[1] ?? {};
}

/** A bank that stops and starts announces both. */
async function announceByRestart({ lab, withQuietBank }: PathContext): Promise<void> {
  await withQuietBank(async (bank) => {
    await lab.stop(bank);
    await lab.revive(bank);
  });
}

async function leaveOrphanAtQuietBank({ lab, withQuietBank }: PathContext): Promise<void> {
  await withQuietBank((bank) => prepareEmptyBranch(lab, bank, ids.next(), randomUUID()));
}

/** The sweeper finds a branch whose id has no time: it may be older than any retention. */
async function leaveOldOrphan({ lab, victim }: PathContext): Promise<void> {
  await prepareEmptyBranch(lab, bankOr(victim), randomUUID(), randomUUID());
}

/** The sweeper finds a prepared branch of an undecided three-phase transaction. */
async function leaveUndecided({ lab, victim }: PathContext): Promise<void> {
  const participant = bankOr(victim);
  const transactionId = await begin(lab, '3pc', LONG_TIMEOUT_MS);
  const branchId = randomUUID();
  await prepareEmptyBranch(lab, participant, transactionId, branchId);
  await enlist(lab, transactionId, { participant, branchId, vote: 'yes' });
}

/** The victim if it is a bank, otherwise any bank. */
function bankOr(victim: string): string {
  return BANKS.find((bank) => bank === victim) ?? BANKS[0];
}

/** An operator aborts an interactive transaction. */
async function ruleToAbort({ lab }: PathContext): Promise<void> {
  const id = await begin(lab);
  await rule(lab, id, { action: 'abort', reason: 'to come by a crash point' });
}

/**
 * A branch that was prepared by hand and enlisted is ruled against the decision while its bank is stopped and cannot
 * carry out either. The branch moves no money: it only writes its ledger row.
 */
async function ruleAgainst({ lab }: PathContext, bank: string): Promise<void> {
  const transactionId = await begin(lab);
  const branchId = randomUUID();
  await prepareEmptyBranch(lab, bank, transactionId, branchId);
  const url = `${lab.url(await lab.leader())}/v1/transactions/${transactionId}`;
  await enlist(lab, transactionId, { participant: bank, branchId, vote: 'yes' });
  lab.pause(bank);
  try {
    const committed = await request('POST', `${url}/commit?wait=decided`, undefined, {}, REQUEST_TIMEOUT_MS);
    if (committed.status !== 200) throw unexpected('the commit', committed);
    const ruling = {
      action: 'abort',
      branchId,
      force: true,
      operator: 'the failure lab',
      reason: 'to come by a crash point',
    };
    await request('POST', `${url}/resolve`, ruling, {}, REQUEST_TIMEOUT_MS);
  } finally {
    lab.wake(bank);
  }
}

let announced = 0;

async function announceSomethingNew({ tap }: PathContext): Promise<void> {
  await reply(tap, {
    type: 'announce',
    participant: LAB_PARTICIPANT,
    operations: [`operation-${Date.now()}-${announced++}`],
  });
}

/** A branch of a transaction that never existed inquires, and gets an abort. */
async function inquireAboutNothing({ tap, lab }: PathContext): Promise<void> {
  await inquire(tap, lab, ids.next());
}

/** An id without a time may be older than any retention. */
async function inquireAboutSomethingOld({ tap, lab }: PathContext): Promise<void> {
  await inquire(tap, lab, randomUUID());
}

/** A branch of an undecided three-phase transaction inquires: it must leave the decision to the leader. */
async function inquireAboutUndecided({ tap, lab, victim }: PathContext): Promise<void> {
  const participant = bankOr(victim);
  const transactionId = await begin(lab, '3pc');
  const branchId = randomUUID();
  await enlist(lab, transactionId, { participant, branchId, vote: 'read-only' });
  await inquire(tap, lab, transactionId, { branchId, participant });
}

async function inquire(
  tap: KafkaTap | undefined,
  lab: ScenarioLab,
  transactionId: string,
  branch: ShownBranch = { branchId: randomUUID(), participant: BANKS[0] },
): Promise<void> {
  const gid = gidOf(lab, transactionId, branch.branchId);
  await reply(tap, { type: 'inquiry', transactionId, ...branch, gid });
}

/** A prepared branch of a transaction that never existed: the sweeper finds it, and the answer rolls it back. */
async function leaveOrphan({ lab, victim }: PathContext): Promise<void> {
  await prepareEmptyBranch(lab, victim, ids.next(), randomUUID());
}

/** A branch that committed long ago gets a delegated commit: a process that forgot it answers from the ledger. */
async function delegateSomethingOld({ lab, tap, victim }: PathContext): Promise<void> {
  const old = lab.load.transfers.find(
    ({ id, told, from }) => id !== undefined && told === 'committed' && from.bank === victim,
  );
  if (!old?.id) throw new LabError(`No transfer from ${victim} has committed.`);
  const shown = await request('GET', `${lab.url(await lab.leader())}/v1/transactions/${old.id}`);
  const branches = Array.isArray(shown.body['branches']) ? (shown.body['branches'] as ShownBranch[]) : [];
  const branch = branches.find(({ participant }) => participant === victim);
  if (!branch) throw unexpected(`GET of ${old.id}`, shown);
  await send(tap, 'coordinator', (wire) => wire.prepare(victim), {
    type: 'commit-one-phase',
    transactionId: old.id,
    branchId: branch.branchId,
    participant: victim,
    operations: [], // as for a branch that its service has prepared
    deadline: Date.now(),
    attempt: 1,
  });
}

/** A branch reports again what the branches of an old transaction decided. */
async function repeatDecisionOfBranches({ lab, tap, threePhase }: PathContext): Promise<void> {
  const transactionId = threePhase();
  if (transactionId === undefined) throw new LabError('No transaction in three phases has committed.');
  const shown = await request('GET', `${lab.url(await lab.leader())}/v1/transactions/${transactionId}`);
  const [branch] = Array.isArray(shown.body['branches']) ? (shown.body['branches'] as ShownBranch[]) : [];
  if (!branch) throw unexpected(`GET of ${transactionId}`, shown);
  const { branchId, participant } = branch;
  await reply(tap, {
    type: 'branches-decided',
    transactionId,
    branchId,
    participant,
    decision: 'commit',
  });
}

interface ShownBranch {
  readonly branchId: string;
  readonly participant: string;
}

async function begin(
  lab: ScenarioLab,
  protocol: '2pc' | '3pc' = '2pc',
  timeoutMs: number = TIMEOUT_MS,
): Promise<string> {
  const url = `${lab.url(await lab.leader())}/v1/transactions`;
  const begun = await request('POST', url, { protocol, timeoutMs }, {}, REQUEST_TIMEOUT_MS);
  const { id } = begun.body;
  if (typeof id !== 'string') throw unexpected('the begin', begun);
  return id;
}

/** Enlists a branch that a service has prepared, or that only read. */
async function enlist(
  lab: ScenarioLab,
  transactionId: string,
  branch: ShownBranch & { readonly vote: 'yes' | 'read-only' },
): Promise<void> {
  const url = `${lab.url(await lab.leader())}/v1/transactions/${transactionId}/branches`;
  const enlisted = await request('POST', url, branch, await credentialOf(lab, branch.participant), REQUEST_TIMEOUT_MS);
  if (enlisted.status !== 201) throw unexpected('the enlistment', enlisted);
}

/** With authentication a vote is the word of its participant: nobody else may bring it. */
async function credentialOf({ context }: ScenarioLab, participant: string): Promise<Record<string, string>> {
  const roles = [`participant:${participant}`];
  const token = await context.security?.credentials.jwt({ subject: participant, roles });
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

/** A branch as a service would prepare it, without any work. */
async function prepareEmptyBranch(
  lab: ScenarioLab,
  bank: string,
  transactionId: string,
  branchId: string,
): Promise<void> {
  const client = new pg.Client({ connectionString: lab.process(bank).databaseUrl, connectionTimeoutMillis: 3_000 });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query('BEGIN');
    const row =
      "INSERT INTO concordat_branch (branch_id, transaction_id, outcome, result) VALUES ($1, $2, 'committed', '[]')";
    await client.query(row, [branchId, transactionId]);
    await client.query(`PREPARE TRANSACTION ${pg.escapeLiteral(gidOf(lab, transactionId, branchId))}`);
  } finally {
    await client.end();
  }
}

function gidOf(lab: ScenarioLab, transactionId: string, branchId: string): string {
  return `concordat:${lab.state().clusterName}:${transactionId}:${branchId}`;
}

/** The leader repeats the prepare of a branch that never existed. */
async function prepareAgain({ lab, tap, victim }: PathContext): Promise<void> {
  const { term } = await lab.cluster(await lab.leader());
  await order(tap, repeatedPrepare(ids.next(), victim, term));
}

/** Sends coordinators' messages to a participant. */
async function order(tap: KafkaTap | undefined, messages: readonly WireMessage[]): Promise<void> {
  for (const message of messages) {
    const participant = String(message['participant']);
    const isWork = message['type'] === 'prepare';
    await send(tap, 'coordinator', (wire) => (isWork ? wire.prepare(participant) : wire.decide(participant)), message);
  }
}

/** Sends a participant's message to the coordinators. */
async function reply(tap: KafkaTap | undefined, message: WireMessage): Promise<void> {
  await send(tap, `participant:${String(message['participant'])}`, ({ replies }) => replies, message);
}

async function send(
  tap: KafkaTap | undefined,
  sender: Sender,
  topicOf: (wire: Wire) => string,
  message: WireMessage,
): Promise<void> {
  if (!tap) throw new LabError('The lab can send messages over Kafka only.');
  const key = Buffer.from(String(message['transactionId'] ?? message['participant']));
  const topic = topicOf(tap.wire);
  await tap.send(topic, tap.signed(sender, topic, [{ key, value: tap.wire.encode(message) }]));
}

function unexpected(what: string, answer: Answer): LabError {
  return new LabError(`${what} was answered ${describeAnswer(answer)}.`);
}

interface InDoubtItem {
  readonly transactionId: string;
  readonly branchId: string;
  readonly state: string;
}

/**
 * Ends by ruling what the paths leave to an operator: unknown old branches, and branches ruled against their decision.
 * Everything else ends by itself. An old branch that is prepared is aborted: forgotten, it would be found again.
 */
export async function forgetLeftovers(lab: ScenarioLab): Promise<void> {
  const step = async (): Promise<boolean> => {
    const { body } = await request('GET', `${lab.url(await lab.leader())}/v1/in-doubt`);
    const items = Array.isArray(body['items']) ? (body['items'] as InDoubtItem[]) : [];
    const ours = items.filter(({ state }) => state === 'unknown-old' || state.startsWith('heuristic'));
    const prepared = new Set((await lab.databases.preparedAnywhere()).map(({ gid }) => addressOf(gid).branchId));
    for (const { transactionId, branchId } of ours) {
      const action = prepared.has(branchId) ? 'abort' : 'forget';
      await rule(lab, transactionId, { action, branchId, reason: 'made to come by a crash point' });
    }
    return ours.length === 0;
  };
  await waitUntil(step, { timeoutMs: 30_000, pollMs: 500 });
}
