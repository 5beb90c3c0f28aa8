import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:tls';
import type { AddressInfo } from 'node:net';
import type { LocalSecurity } from '../../local-system/security/local-security.js';
import type { ScenarioLab } from '../scenario-lab.js';
import type { Attempt } from './attempts.js';
import { answerTo, callAs, forgedTokens, type Call, type Caller } from './callers.js';
import type { Target } from './target.js';

/** A call for which only operators have the right. */
const MEMBERS = '/v1/cluster/members';
const UNAUTHENTICATED = /^401 UNAUTHENTICATED /;
const FORBIDDEN = /^403 FORBIDDEN /;
const NOT_FOUND = /^404 TRANSACTION_NOT_FOUND /;
const NOT_VERIFIED = /^\d{3} MEMBER_NOT_VERIFIED /;
const MINUTE_MS = 60_000;

/** Credentials that are none, at a coordinator. */
export async function forgedCredentials(url: string, security: LocalSecurity): Promise<Attempt[]> {
  const { certificates, credentials } = security;
  const operator = { name: 'intruder', roles: ['operator'] } as const;
  const yesterday = new Date(Date.now() - 24 * 60 * MINUTE_MS);
  const attempt = (what: string, caller: Caller): Attempt => ({
    what: `an operator's call with ${what}`,
    run: () => answerTo(security, caller, `${url}/v1/in-doubt`),
    expected: UNAUTHENTICATED,
  });
  const expired = await credentials.jwt({ subject: 'intruder', roles: ['operator'], seconds: -60 });
  return [
    attempt('nothing', {}),
    ...Object.entries(forgedTokens(security)).map(([what, token]) => attempt(what, { token })),
    attempt('a JWT that has ended', { token: expired }),
    attempt('a certificate of another authority', certificates.issue(operator, { isForged: true })),
    attempt('a certificate of another cluster', certificates.issue(operator, { clusterName: 'blue' })),
    attempt('a certificate that has ended', certificates.issue(operator, { notAfter: yesterday })),
    {
      what: 'the same in plain text',
      run: async () => {
        const answer = await fetch(`${url.replace('https:', 'http:')}/v1/in-doubt`);
        return `${answer.status}`;
      },
      expected: /^no answer: /,
    },
  ];
}

/** What a stolen credential of a client, or a bank, must not reach. */
export function forbiddenCalls(
  url: string,
  { transactionId, prepared }: Target,
  security: LocalSecurity,
  client: Caller,
  foreignKey: string,
): Attempt[] {
  const at = (path: string): string => `${url}${path}`;
  const attempt = (what: string, expected: RegExp, path: string, call?: Call, caller = client): Attempt => ({
    what,
    expected,
    run: () => answerTo(security, caller, at(path), call),
  });
  const transaction = `/v1/transactions/${transactionId}`;
  const vote = { participant: 'bank-b', branchId: prepared.branchId, vote: 'yes' };
  const own = { participant: 'bank-c', branchId: randomUUID(), vote: 'yes' };
  const bankC = papersOfBankC(security);
  return [
    attempt('reads the transfer of another client', NOT_FOUND, transaction),
    attempt('commits it', NOT_FOUND, `${transaction}/commit`, post({})),
    attempt('aborts it', NOT_FOUND, `${transaction}/abort`, post({})),
    attempt('adds work to it', NOT_FOUND, `${transaction}/branches`, post(work())),
    attempt('votes in it for bank-b', FORBIDDEN, `${transaction}/branches`, post(vote)),
    attempt('rules that it aborts', FORBIDDEN, `${transaction}/resolve`, post({ action: 'abort', reason: 'me' })),
    attempt('reads what is in doubt', FORBIDDEN, '/v1/in-doubt'),
    attempt('adds a member', FORBIDDEN, MEMBERS, post(memberAt('127.0.0.1:1', '127.0.0.1:2'))),
    attempt('removes a member', FORBIDDEN, `${MEMBERS}/1`, { method: 'DELETE' }),
    attempt('gives the leadership away', FORBIDDEN, '/v1/cluster/leader', post({ nodeId: 1 })),
    attempt('arms a crash', FORBIDDEN, '/debug/failpoints', { method: 'PUT', body: { arm: '' } }),
    attempt('reads the metrics', FORBIDDEN, '/metrics'),
    attempt('says that another node has passed its call on', FORBIDDEN, '/v1/in-doubt', {
      headers: { 'x-concordat-forwarded-by': '1', 'x-concordat-forwarded-certificate': bankC.raw },
    }),
    attempt('as bank-c, by its certificate: commits the transfer', FORBIDDEN, `${transaction}/commit`, post({}), bankC),
    attempt('as bank-c, by its certificate: votes for bank-b', FORBIDDEN, `${transaction}/branches`, post(vote), bankC),
    attempt(
      'as bank-c, by its certificate: joins it by its id',
      NOT_FOUND,
      `${transaction}/branches`,
      post(own),
      bankC,
    ),
    {
      what: 'begins with the idempotency key of another client',
      expected: /^a transaction of its own$/,
      run: () => beginWithKey(url, security, client, foreignKey),
    },
  ];
}

/** The stolen token of an operator may change the group, but not connect it to just anything. */
export function foreignMembers(lab: ScenarioLab, url: string, security: LocalSecurity): Attempt[] {
  const caller = { token: security.credentials.token('operator') };
  const [first, second] = ['postgres-a', 'postgres-b'].map((name) => lab.process(name).ports['postgres']!);
  const add = (what: string, raft: number, http: number): Attempt => ({
    what,
    run: () => answerTo(security, caller, `${url}${MEMBERS}`, post(memberAt(`127.0.0.1:${raft}`, `127.0.0.1:${http}`))),
    expected: NOT_VERIFIED,
  });
  const bankC = papersOfBankC(security);
  return [
    add('the addresses of two databases', first!, second!),
    {
      what: 'an own server with the stolen certificate of bank-c',
      expected: NOT_VERIFIED,
      run: async () => {
        const server = createServer({ cert: bankC.cert, key: bankC.key, ALPNProtocols: ['h2', 'http/1.1'] });
        const port = await listen(server);
        const other = createServer({ cert: bankC.cert, key: bankC.key, ALPNProtocols: ['h2', 'http/1.1'] });
        try {
          return await add('', port, await listen(other)).run();
        } finally {
          server.close();
          other.close();
        }
      },
    },
    {
      ...add('the addresses of a node that is a member, as a further one', portOf(lab, 'raft'), portOf(lab, 'http')),
      expected: /^409 MEMBER_CONFLICT /,
    },
  ];
}

function portOf(lab: ScenarioLab, kind: 'raft' | 'http'): number {
  return lab.process('coordinator-1').ports[kind]!;
}

async function listen(server: Server): Promise<number> {
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

function post(body: object): Call {
  return { method: 'POST', body };
}

const memberAt = (raftUrl: string, http: string): object => ({
  nodeId: 9,
  raftUrl,
  httpUrl: `https://${http}`,
  role: 'learner',
});

const work = (): object => ({
  participant: 'bank-a',
  operation: 'credit',
  payload: { account: 'acc-1', amount: 1_000_000 },
});

/** Another client's key is no key of this one: it gets a new transaction, which it takes back. */
async function beginWithKey(url: string, security: LocalSecurity, caller: Caller, key: string): Promise<string> {
  const begun = await callAs(security, caller, `${url}/v1/transactions`, {
    ...post({}),
    headers: { 'idempotency-key': key },
  });
  const { id, owner } = begun.body;
  await callAs(security, caller, `${url}/v1/transactions/${String(id)}/abort`, post({}));
  return begun.status === 201 && owner === 'token:stolen'
    ? 'a transaction of its own'
    : `${begun.status}, of ${String(owner)}`;
}

function papersOfBankC(security: LocalSecurity): Required<Omit<Caller, 'token'>> & { readonly raw: string } {
  const { certificate, key } = security.certificatesOf('bank-c');
  const cert = readFileSync(certificate);
  return { cert, key: readFileSync(key), raw: cert.toString().replaceAll(/-----[^-]+-----|\s/g, '') };
}
