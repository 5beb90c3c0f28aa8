import { nodeOwner } from '../local-system/security/certificates.js';
import { TOKEN_ROLES } from '../local-system/security/credentials.js';
import type { LocalSecurity } from '../local-system/security/local-security.js';
import type { MessageKey, Sender } from '../local-system/security/signing-keys.js';
import { BANKS } from '../local-system/ports.js';
import { tryAll, type Attempt } from './intruder/attempts.js';
import { answerTo, untilEachAnswers, type Caller } from './intruder/callers.js';
import { countedNow } from './intruder/counted.js';
import { sayByRetired } from './intruder/forged-messages.js';
import { callAsNode, sayHello } from './intruder/forged-streams.js';
import { KafkaTap } from './kafka-tap.js';
import { replaceContextKey } from './rotation/context-key.js';
import { Probes } from './rotation/probes.js';
import { readAgain, servedSerial, services, shownBy, untilTrue } from './rotation/processes.js';
import type { Scenario } from './scenario.js';
import { nodeIdOf, type ScenarioLab } from './scenario-lab.js';

/** Aborts of the load that are no failure: the account has too little money. */
const BUSINESS_REASONS: ReadonlySet<string> = new Set(['INSUFFICIENT_FUNDS']);
const OBSERVER = { name: 'watcher', roles: ['observer'] } as const;
/** Commits after which every message that an old key has signed is read. */
const LATER_COMMITS = 60;

/** What was retired, to be tried at the end. */
interface Retired {
  readonly token: string;
  readonly jwt: string;
  readonly client: Caller;
  readonly node: Caller;
  readonly bank: Caller;
}

/** What each step of the rotation needs. */
interface Rotation {
  readonly lab: ScenarioLab;
  readonly security: LocalSecurity;
  readonly probes: Probes;
  readonly urls: readonly string[];
}

export const rotateCertificates: Scenario = {
  name: 'rotate-certificates',
  title:
    'authority, certificates, tokens, signing keys and the key of contexts are replaced under load: nothing fails, the old ones are refused',
  needsSecurity: true,
  run: async (lab) => {
    const security = lab.context.security!;
    const urls = lab.coordinators().map(({ name }) => lab.url(name));
    const letters = deadLettersIn(await countedNow(lab));
    const firstOfLoad = lab.load.transfers.length;
    const retired = await presentSecrets(lab, security);
    const probes = new Probes(security, urls, {
      token: { token: retired.token },
      jwt: { token: retired.jwt },
      certificate: retired.client,
    });
    lab.narration.action('beside the load, clients with a token, a JWT and a certificate ask all the while, each once');
    probes.start();
    const oldKeys = new Map(sendersOf().map((sender) => [sender, security.signingKeys.signingKey(sender)]));
    try {
      const rotation = { lab, security, probes, urls };
      await replaceAuthority(rotation);
      await replaceTokens(rotation, retired.token);
      await replaceJwtKeys(rotation);
      if (lab.state().link !== 'direct') await replaceSigningKeys(lab, security);
      await replaceContextKey(lab, security);
      await lab.waitForCommits(LATER_COMMITS);
    } finally {
      await probes.stop();
    }
    lab.check('no client was refused meanwhile', probes.failures, `${probes.answered} answers, each right`);
    lab.check(
      'no transfer has failed',
      failuresIn(lab, firstOfLoad),
      `${lab.load.transfers.length - firstOfLoad} transfers`,
    );
    const after = deadLettersIn(await countedNow(lab));
    lab.check('no message became a dead letter', after === letters ? [] : [`${after - letters} of them`], 'none');
    await tryRetired(lab, security, urls, retired, oldKeys);
  },
};

async function presentSecrets(lab: ScenarioLab, security: LocalSecurity): Promise<Retired> {
  const { certificates, credentials } = security;
  const [first] = lab.coordinators();
  return {
    token: credentials.token('lab'),
    jwt: await credentials.jwt({ subject: 'watcher', roles: ['observer'] }),
    client: certificates.issue(OBSERVER),
    node: shownBy(certificates.paths(nodeOwner(nodeIdOf(first!.name)))),
    bank: shownBy(security.certificatesOf('bank-a')),
  };
}

/** Everybody trusts the new authority, then shows certificates of it, then nobody trusts the old one. */
async function replaceAuthority({ lab, security, probes, urls }: Rotation): Promise<void> {
  const { narration } = lab;
  const { certificates } = security;
  narration.action('a new authority: everybody trusts it beside the old one');
  certificates.addAuthority();
  await readAgain(lab);
  const client = certificates.issue(OBSERVER);
  await untilEachAnswers(security, urls, client, 200);
  narration.observation('a certificate of the new authority is taken everywhere');

  narration.action('new certificates for the nodes, one after the other');
  for (const record of lab.coordinators()) {
    const ports = [record.ports['http']!, record.ports['raft']!];
    const before = await Promise.all(ports.map(servedSerial));
    certificates.replace(nodeOwner(nodeIdOf(record.name)));
    await readAgain(lab, [record]);
    await untilTrue(`${record.name} shows its new certificate`, async () => {
      const now = await Promise.all(ports.map(servedSerial));
      return now.every((serial, place) => serial !== before[place]);
    });
    await lab.waitForCommits(10);
    narration.observation(`${record.name} shows its new certificate at REST and to the other nodes`);
  }
  narration.action('new certificates for the services, and for the client that asks by its certificate');
  for (const record of services(lab).filter(({ role }) => role === 'participant')) {
    certificates.replace(security.ownerOf(record.name as (typeof BANKS)[number]));
    await readAgain(lab, [record]);
  }
  probes.callers.certificate = client;
  await lab.waitForCommits(20);

  narration.action('nobody trusts the old authority any more');
  certificates.dropOldAuthorities();
  security.ensure(); // of those that do not run now, such as the shop
  await readAgain(lab);
  await lab.waitForCommits(20);
}

async function replaceTokens({ lab, security, probes, urls }: Rotation, oldToken: string): Promise<void> {
  const { narration } = lab;
  const { credentials } = security;
  narration.action(
    'a new API token for the load: its hash goes into the file, then the load uses it, then the old one goes',
  );
  const token = credentials.createToken('lab', TOKEN_ROLES.lab);
  await readAgain(lab, lab.coordinators());
  await untilEachAnswers(security, urls, { token }, 200);
  credentials.useToken('lab', token);
  probes.callers.token = { token };
  await lab.waitForCommits(20);
  credentials.withdraw(oldToken);
  await readAgain(lab, lab.coordinators());
  await untilEachAnswers(security, urls, { token: oldToken }, 401);
  narration.observation('the old token is refused everywhere');
}

async function replaceJwtKeys({ lab, security, probes, urls }: Rotation): Promise<void> {
  const { narration } = lab;
  const { credentials } = security;
  narration.action('a new key for JWTs: it is published beside the old one, then signs, then the old one is withdrawn');
  credentials.addJwtKey();
  await readAgain(lab, lab.coordinators());
  const token = await credentials.jwt({ subject: 'watcher', roles: ['observer'] });
  await untilEachAnswers(security, urls, { token }, 200);
  probes.callers.jwt = { token };
  await lab.waitForCommits(20);
  credentials.dropOldJwtKeys();
  await readAgain(lab, lab.coordinators());
  narration.observation('JWTs of the new key are taken everywhere');
}

async function replaceSigningKeys(lab: ScenarioLab, { signingKeys }: LocalSecurity): Promise<void> {
  const { narration } = lab;
  narration.action('new keys for messages over Kafka: all are trusted first, then each signs with its own');
  const keys = new Map(sendersOf().map((sender) => [sender, signingKeys.trustNewKey(sender)]));
  await readAgain(lab);
  for (const [sender, key] of keys) {
    signingKeys.signWith(sender, key);
    await readAgain(lab, ownersOf(lab, sender));
  }
  await lab.waitForCommits(LATER_COMMITS);
  narration.action('and when what the old ones have signed is read, nobody trusts them any more');
  for (const sender of keys.keys()) signingKeys.dropOldKeys(sender);
  await readAgain(lab);
  await lab.waitForCommits(20);
}

/** What was retired, shown once more. */
async function tryRetired(
  lab: ScenarioLab,
  security: LocalSecurity,
  urls: readonly string[],
  retired: Retired,
  oldKeys: ReadonlyMap<Sender, MessageKey>,
): Promise<void> {
  const refused = /^401 UNAUTHENTICATED /;
  const at = (what: string, caller: Caller): Attempt[] =>
    urls.map((url) => ({
      what: `${what}, at ${new URL(url).host}`,
      expected: refused,
      run: () => answerTo(security, caller, `${url}/v1/transactions`),
    }));
  const [first, second] = lab.coordinators();
  const { clusterName, link } = lab.state();
  const claim = { cluster: clusterName, from: nodeIdOf(first!.name), to: nodeIdOf(second!.name) };
  await tryAll(lab, 'somebody who has kept what is retired', [
    ...at('the old token', { token: retired.token }),
    ...at('a JWT by the old key', { token: retired.jwt }),
    ...at('a client certificate of the old authority', retired.client),
    {
      what: `a stream of ${first!.name} with its old certificate, to ${second!.name}`,
      expected: /^the connection is closed/,
      run: () => callAsNode(second!.ports['raft']!, retired.node, claim),
    },
    ...(link === 'kafka'
      ? []
      : [
          {
            what: 'a direct stream of bank-a with its old certificate',
            expected: /^the connection is closed/,
            run: () => sayHello(first!.ports['direct']!, retired.bank, clusterName, 'bank-a'),
          },
        ]),
  ]);
  if (link === 'direct') return;
  await KafkaTap.use(lab, async (tap) => {
    await sayByRetired(lab, tap, oldKeys);
  });
}

function sendersOf(): Sender[] {
  return ['coordinator', ...BANKS.map((bank) => `participant:${bank}` as const)];
}

function ownersOf(lab: ScenarioLab, sender: Sender) {
  if (sender === 'coordinator') return lab.coordinators();
  const [, name] = sender.split(':');
  return [lab.process(name ?? '')];
}

/** Transfers of the load that no client would expect to fail. */
function failuresIn(lab: ScenarioLab, from: number): string[] {
  return lab.load.transfers
    .slice(from)
    .filter(({ told, abortReason = '' }) => told === 'aborted' && !BUSINESS_REASONS.has(abortReason))
    .map(({ key, abortReason }) => `${key}: ${abortReason}`);
}

function deadLettersIn({ metrics }: Awaited<ReturnType<typeof countedNow>>): number {
  const names = ['concordat_dead_letters_total', 'concordat_participant_dead_letters_total'];
  return names.reduce((sum, name) => sum + (metrics.get(name) ?? 0), 0);
}
