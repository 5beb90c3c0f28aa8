import { LabError } from '../lab-error.js';
import { openShop } from '../local-system/shop.js';
import { waitUntil } from '../local-system/wait.js';
import { tryAll } from './intruder/attempts.js';
import { callAs, untilEachAnswers, type Caller } from './intruder/callers.js';
import { countedNow, grownIn, missingIn, type Counted } from './intruder/counted.js';
import { forgedContexts } from './intruder/forged-contexts.js';
import { forgeMessages } from './intruder/forged-messages.js';
import { forbiddenCalls, foreignMembers, forgedCredentials } from './intruder/forged-requests.js';
import { forgedHellos, forgedNodes } from './intruder/forged-streams.js';
import { openTarget, type Target } from './intruder/target.js';
import { KafkaTap } from './kafka-tap.js';
import { expectMembers } from './membership.js';
import type { Scenario } from './scenario.js';
import { nodeIdOf, type ScenarioLab } from './scenario-lab.js';
import { Wire } from './wire.js';

const REVOKED_WITHIN_MS = 10_000;
const COUNTED_TIMEOUT_MS = 20_000;

/** What the attempts below must at least have left in metrics and audits. */
interface Expected {
  readonly metrics: Readonly<Record<string, number>>;
  readonly audit: Readonly<Record<string, number>>;
}

export const intruder: Scenario = {
  name: 'intruder',
  title:
    'somebody forges, steals and replays at every door of a secured system: nothing has an effect, all is counted and audited',
  needsSecurity: true,
  run: async (lab) => {
    const before = await countedNow(lab);
    lab.narration.action('a transfer waits: bank-a has prepared, and bank-b, which is paused, has not voted');
    const target = await openTarget(lab);
    let told = 'nothing';
    const expected: Expected[] = [];
    try {
      expected.push(await atTheDoors(lab, target));
      expected.push(await withStolenToken(lab, target));
      if (lab.state().link !== 'direct') expected.push(await inTheTopics(lab, target));
      const isMoved = (await target.isWaiting()) ? [] : ['it was moved'];
      lab.check('the transfer still waits, as before', isMoved, 'bank-a has prepared, bank-b has not voted');
    } finally {
      told = await target.release();
    }
    lab.check('and ends as its client wants', told === 'committed' ? [] : [`it is ${told}`], 'committed');
    expected.push(await betweenServices(lab));
    await expectMembers(lab, [1, 2, 3]);
    await checkCounted(lab, before, expected);
    await lab.waitForCommits(40);
    lab.narration.observation('transfers go on');
  },
};

/** REST, direct streams and the links of the nodes, without a right to anything. */
async function atTheDoors(lab: ScenarioLab, target: Target): Promise<Expected> {
  const security = securityOf(lab);
  const leader = await lab.leader();
  const { ports } = lab.process(leader);
  const credentials = await forgedCredentials(lab.url(leader), security);
  await tryAll(lab, 'at REST, somebody without a credential', credentials);
  await tryAll(
    lab,
    'at REST, somebody with the stolen token of an operator',
    foreignMembers(lab, lab.url(leader), security),
  );
  const nodes = forgedNodes(ports['raft']!, nodeIdOf(leader), lab.state().clusterName, security);
  await tryAll(lab, 'at the port for nodes, a node that is none', nodes);
  const isDirect = lab.state().link !== 'kafka';
  const hellos = isDirect ? forgedHellos(ports['direct']!, Wire.of(lab.state()), target, security) : [];
  if (isDirect) await tryAll(lab, 'at the port for direct streams, a participant that is none', hellos);
  return {
    metrics: {
      // those in plain text reach nobody who could ask for a credential
      concordat_http_refused_credentials_total: credentials.length - 1,
      concordat_raft_refused_calls_total: nodes.length,
      ...(isDirect && { concordat_tls_refused_connections_total: hellos.length }),
    },
    audit: {
      'refused-credential': credentials.length - 1,
      'refused-node': nodes.length,
      ...(isDirect && { 'refused-stream': hellos.length - 1 }),
    },
  };
}

/** The stolen token of a client may do what the client may, until it is withdrawn. */
async function withStolenToken(lab: ScenarioLab, target: Target): Promise<Expected> {
  const { narration } = lab;
  const security = securityOf(lab);
  const token = security.credentials.createToken('stolen', ['client']);
  const caller: Caller = { token };
  const urls = lab.coordinators().map(({ name }) => lab.url(name));
  await untilEachAnswers(security, urls, caller, 200);
  const [first] = lab.load.transfers;
  const calls = forbiddenCalls(lab.url(await lab.leader()), target, security, caller, first!.key);
  await tryAll(lab, 'at REST, somebody with the stolen token of a client', calls);
  const { body } = await callAs(security, caller, `${urls[0]!}/v1/transactions?limit=100`);
  const foreign = (body['items'] as readonly { readonly owner?: string }[]).filter(
    ({ owner }) => owner !== 'token:stolen',
  );
  const problems = foreign.length > 0 ? [`${foreign.length} of others are listed`] : [];
  lab.check('the list of transactions shows the stolen token only its own', problems, 'none of others');
  narration.action('withdraw the stolen token: remove its line from the file');
  security.credentials.withdraw(token);
  const start = Date.now();
  await untilEachAnswers(security, urls, caller, 401, REVOKED_WITHIN_MS);
  narration.observation(`no coordinator takes it any more after ${Date.now() - start} ms`);
  const forbidden = calls.filter(({ expected }) => expected.test('403 FORBIDDEN .')).length;
  return { metrics: {}, audit: { 'refused-call': forbidden } };
}

async function inTheTopics(lab: ScenarioLab, target: Target): Promise<Expected> {
  let expected: Expected = { metrics: {}, audit: {} };
  await KafkaTap.use(lab, async (tap) => {
    const forgeries = await forgeMessages(lab, tap, target);
    const refused = forgeries.filter(({ reason }) => reason !== undefined);
    const atCoordinators = refused.filter(({ topic }) => topic === tap.wire.replies).length;
    expected = {
      metrics: {
        concordat_dead_letters_total: atCoordinators,
        concordat_participant_dead_letters_total: refused.length - atCoordinators,
      },
      audit: { 'refused-message': atCoordinators },
    };
  });
  return expected;
}

/** Contexts of calls, at a service of the shop. */
async function betweenServices(lab: ScenarioLab): Promise<Expected> {
  lab.narration.action('start the shop, whose services call each other in a transaction');
  const close = await openShop(lab.context, lab.file);
  try {
    const ended = lab.load.transfers.find(({ told }) => told !== undefined)?.id ?? '';
    const attempts = forgedContexts(lab.url('inventory'), ended, securityOf(lab).contextKeys.signing);
    await tryAll(lab, 'at the service inventory of the shop, a caller that is none', attempts);
    const counted = attempts.filter(({ expected }) => /INVALID_CONTEXT|CONTEXT_EXPIRED/.test(expected.source)).length;
    const { metrics } = await countedNow(lab);
    const count = metrics.get('concordat_participant_refused_contexts_total') ?? 0;
    const problems = count >= counted ? [] : [`${count} instead of at least ${counted}`];
    lab.check('refused contexts are counted', problems, `concordat_participant_refused_contexts_total ${count}`);
  } finally {
    await close();
  }
  return { metrics: {}, audit: {} };
}

/** All refusals are counted, and those at coordinators audited; what is written later than the answer is waited for. */
async function checkCounted(lab: ScenarioLab, before: Counted, expected: readonly Expected[]): Promise<void> {
  let after = before;
  const missing = { metrics: [] as string[], audit: [] as string[] };
  const isComplete = async (): Promise<boolean> => {
    after = await countedNow(lab);
    for (const what of ['metrics', 'audit'] as const) {
      missing[what] = expected.flatMap((wanted) => missingIn(what, before, after, wanted[what]));
    }
    return missing.metrics.length + missing.audit.length === 0;
  };
  await waitUntil(isComplete, { timeoutMs: COUNTED_TIMEOUT_MS });
  lab.check('everything that was refused is counted', missing.metrics, grownIn('metrics', before, after));
  lab.check(
    'everything that coordinators have refused is in their audits',
    missing.audit,
    grownIn('audit', before, after),
  );
}

function securityOf({ context: { security } }: ScenarioLab) {
  if (security) return security;
  throw new LabError('The scenario needs a secured system: start it with "npm start -- --secure".');
}
