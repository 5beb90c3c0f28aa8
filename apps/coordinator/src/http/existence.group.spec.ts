import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CALL_RULES } from '../auth/call-rules.js';
import { Secured, type Bearer } from './testing/secured.js';
import { ask, TestGroup, type GroupNode } from './testing/test-group.js';

const TRANSACTIONS = '/v1/transactions';
const NEVER_BEGUN = (id: string): string => id.replace(/.{6}$/, '000000');
/** Those who may not read what alice has begun, in every role that there is beside those that read everything. */
const STRANGERS: readonly Bearer[] = ['bob', 'bank', 'shop', 'prometheus', 'node'];
const PARTICIPANTS: Readonly<Partial<Record<Bearer, string>>> = { bank: 'bank-a', shop: 'shop' };

type Method = 'GET' | 'HEAD' | 'POST';

const newInvitation = (): string => randomBytes(16).toString('base64url');

let secured: Secured;
let group: TestGroup;
let leader: GroupNode;
let follower: GroupNode;
beforeAll(async () => {
  secured = await Secured.create();
  group = await TestGroup.start(3, { ...secured.environment, CONCORDAT_INVITATIONS: 'require' });
  leader = await group.leader();
  [follower] = (await group.followers()) as [GroupNode];
  for (const participant of ['bank-a', 'bank-b', 'shop']) {
    leader.manager.onReply({ type: 'announce', participant, operations: ['debit'] });
  }
  await group.until(() => leader.log.state.participant('shop') !== undefined);
});
afterAll(async () => {
  await group.stop();
  secured.remove();
});

function as(bearer: Bearer, method: 'GET' | 'POST', url: string, payload?: object, headers: object = {}) {
  return ask(leader, method, url, payload, { ...secured.header(bearer), ...headers });
}

const showing = (invitation: string | undefined): Record<string, string> =>
  invitation === undefined ? {} : { 'concordat-invitation': invitation };
const vote = (participant: string) => ({ participant, branchId: randomUUID(), vote: 'yes' });

async function begun(invitation?: string): Promise<string> {
  const { body } = await as('alice', 'POST', TRANSACTIONS, { timeoutMs: 600_000 }, showing(invitation));
  return body['id'] as string;
}

/** Transactions of alice in which none of the strangers takes part, by what has become of them. */
async function transactions(): Promise<Readonly<Record<string, string>>> {
  const [active, committed, aborted, closed] = [
    await begun(newInvitation()),
    await begun(),
    await begun(),
    await begun(),
  ];
  for (const id of [active, closed]) {
    const work = { participant: 'bank-b', operation: 'debit', payload: {} };
    expect((await as('alice', 'POST', `${TRANSACTIONS}/${id}/branches`, work)).status).toBe(201);
  }
  expect((await as('alice', 'POST', `${TRANSACTIONS}/${committed}/commit?wait=ended`)).status).toBe(200);
  expect((await as('alice', 'POST', `${TRANSACTIONS}/${aborted}/abort?wait=ended`)).status).toBe(200);
  expect((await as('alice', 'POST', `${TRANSACTIONS}/${closed}/commit?waitMs=0`)).status).toBe(202);
  return { active, committed, aborted, closed };
}

interface Question {
  readonly what: string;
  readonly method: Method;
  readonly path: string;
  readonly payload?: object;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What can be sent with a call; of some there are several kinds. */
function bodiesOf(call: string, own: string | undefined): readonly (object | undefined)[] {
  const participant = own ?? 'bank-a';
  const branch = vote(participant);
  const held = { participant, branchId: randomUUID(), instance: `${participant}-1` };
  const work = { participant, operation: 'debit', payload: {} };
  switch (call) {
    case 'POST /v1/transactions/:id/branches':
      return [branch, { ...branch, vote: 'read-only' }, held, work, { ...work, operation: 'unknown' }, {}];
    case 'POST /v1/transactions/:id/commit':
      return [undefined, { branches: [held] }];
    case 'POST /v1/transactions/:id/abort':
      return [undefined, { branches: [held] }];
    case 'POST /v1/transactions/:id/resolve':
      return [{ action: 'abort', reason: 'a test' }];
    default:
      return [undefined];
  }
}

/** Every call whose path has the id of a transaction, in all its kinds. */
function questionsOf(bearer: Bearer): Question[] {
  const calls = Object.keys(CALL_RULES).filter((call) => call.includes('/transactions/:id'));
  expect(calls.length).toBeGreaterThanOrEqual(6);
  return calls.flatMap((call) => {
    const [method, path] = call.split(' ') as [Method, string];
    const ways: readonly Question['headers'][] =
      method === 'GET'
        ? [{}]
        : [{}, { 'idempotency-key': randomUUID() }, showing(newInvitation()), { 'concordat-invitation': 'short' }];
    const questions = bodiesOf(call, PARTICIPANTS[bearer]).flatMap((payload) =>
      ways.map((headers) => ({
        what: `${call} ${JSON.stringify({ payload, headers })}`,
        method,
        path,
        headers,
        ...(payload && { payload }),
      })),
    );
    if (method !== 'GET') return questions;
    return [
      ...questions,
      ...questions.map((question) => ({ ...question, what: `HEAD ${path}`, method: 'HEAD' as const })),
    ];
  });
}

/** All of an answer that its sender sees, without the time and without the id that it has sent. */
async function answered(node: GroupNode, bearer: Bearer, { method, path, payload, headers }: Question, id: string) {
  const answer = await node.app.inject({
    method,
    url: path.replace(':id', id),
    headers: { ...secured.header(bearer), ...headers },
    ...(payload && { payload }),
  });
  const { date: _date, ...shown } = answer.headers;
  return { status: answer.statusCode, headers: shown, body: answer.body.replaceAll(id, 'ID') };
}

describe('whether a transaction exists', () => {
  it.each(STRANGERS)('is told by no answer to %s, who may not read it', async (bearer) => {
    const existing = await transactions();
    const codes = new Set<string>();
    for (const [state, id] of Object.entries(existing)) {
      for (const node of [leader, follower]) {
        const compared = questionsOf(bearer).map(async (question) => {
          const [known, unknown] = await Promise.all(
            [id, NEVER_BEGUN(id)].map((one) => answered(node, bearer, question, one)),
          );
          expect({ state, what: question.what, ...known }).toEqual({ state, what: question.what, ...unknown });
          codes.add(`${known!.status} ${/"code":"(\w+)"/.exec(known!.body)?.[1] ?? ''}`);
        });
        await Promise.all(compared);
      }
      // and nothing has become of it by all that
      expect((await as('alice', 'GET', `${TRANSACTIONS}/${id}`)).body['status']).toBe(
        state === 'closed' ? 'preparing' : state,
      );
    }
    const mayAsk = !['prometheus', 'node'].includes(bearer);
    expect(codes.has('404 TRANSACTION_NOT_FOUND')).toBe(mayAsk);
    expect([...codes].filter((code) => code.startsWith('2'))).toEqual([]);
  });

  it('is told by no answer to who shows no credential', async () => {
    const { active } = await transactions();
    for (const question of questionsOf('bob')) {
      const ask = (id: string) =>
        leader.app.inject({
          method: question.method,
          url: question.path.replace(':id', id),
          headers: question.headers ?? {},
        });
      const [known, unknown] = await Promise.all([ask(active!), ask(NEVER_BEGUN(active!))]);
      expect(known.statusCode).toBe(401);
      expect(known.body.replaceAll(active!, 'ID')).toBe(unknown.body.replaceAll(NEVER_BEGUN(active!), 'ID'));
    }
  });
});

describe('a participant that is invited', () => {
  it('joins by the secret that its caller has handed on, and sees the transaction from then on', async () => {
    const invitation = newInvitation();
    const id = await begun(invitation);
    const url = `${TRANSACTIONS}/${id}`;
    const branch = vote('bank-a');
    for (const wrong of [undefined, newInvitation(), id.replaceAll('-', '')]) {
      const refused = await as('bank', 'POST', `${url}/branches`, branch, showing(wrong));
      expect([refused.status, refused.body['code']]).toEqual([404, 'TRANSACTION_NOT_FOUND']);
    }
    const shown = { ...secured.header('bank'), ...showing(invitation) };
    expect((await ask(follower, 'POST', `${url}/branches`, branch, shown)).status).toBe(201); // which passes it on
    expect((await as('bank', 'POST', `${url}/branches`, branch)).status).toBe(200); // it has joined
    const seen = await as('bank', 'GET', url);
    expect(seen.body).toMatchObject({ id });
    // an invitation is for who joins: the shop reads nothing by it, and it is in no answer
    expect((await as('shop', 'GET', url, undefined, showing(invitation))).status).toBe(404);
    expect(JSON.stringify(seen.body)).not.toContain(invitation);
    expect((await as('bank', 'POST', `${url}/branches`, vote('bank-b'), showing(invitation))).status).toBe(403);
    expect((await as('alice', 'POST', `${url}/commit?waitMs=0`)).status).toBe(202);
  });

  it('may abort, as it could vote no', async () => {
    const held = { participant: 'bank-a', branchId: randomUUID(), instance: 'bank-a-1' };
    for (const payload of [undefined, ...(leader.bus.instances ? [{ branches: [held] }] : [])]) {
      const invitation = newInvitation();
      const url = `${TRANSACTIONS}/${await begun(invitation)}/abort`;
      expect((await as('bank', 'POST', url, payload)).status).toBe(404);
      expect((await as('bank', 'POST', url, payload, showing(newInvitation()))).status).toBe(404);
      expect((await as('bank', 'POST', url, payload, showing(invitation))).status).toBe(200);
    }
  });

  it('commits nothing by it', async () => {
    const invitation = newInvitation();
    const url = `${TRANSACTIONS}/${await begun(invitation)}/commit`;
    expect((await as('shop', 'POST', url, undefined, showing(invitation))).status).toBe(404);
  });

  it('is none where the transaction was begun without', async () => {
    const id = await begun();
    const refused = await as(
      'bank',
      'POST',
      `${TRANSACTIONS}/${id}/branches`,
      vote('bank-a'),
      showing(newInvitation()),
    );
    expect(refused.status).toBe(404);
  });

  it('may be who has begun it, without showing anything', async () => {
    const { body } = await as('shop', 'POST', TRANSACTIONS, {}, showing(newInvitation()));
    const joined = await as('shop', 'POST', `${TRANSACTIONS}/${String(body['id'])}/branches`, vote('shop'));
    expect(joined.status).toBe(201);
  });

  it.each(['short', 'x'.repeat(129), `${newInvitation()} `.repeat(2), 'with spaces that are many enough'])(
    'shows what is none: %j',
    async (wrong) => {
      const headers = { 'concordat-invitation': wrong };
      for (const [path, body] of [
        ['', {}],
        [`/${randomUUID()}/branches`, vote('bank-a')],
      ] as const) {
        const answer = await as(path === '' ? 'alice' : 'bank', 'POST', `${TRANSACTIONS}${path}`, body, headers);
        expect(answer).toMatchObject({ status: 400, body: { errors: [{ path: 'Concordat-Invitation' }] } });
      }
    },
  );

  it('joins at the next leader, which knows the transaction from the log', async () => {
    const invitation = newInvitation();
    const id = await begun(invitation);
    const before = leader;
    await before.stop();
    group.nodes.delete(before.nodeId);
    leader = await group.leader([before.nodeId]);
    const url = `${TRANSACTIONS}/${id}/branches`;
    expect((await as('bank', 'POST', url, vote('bank-a'), showing(newInvitation()))).status).toBe(404);
    expect((await as('bank', 'POST', url, vote('bank-a'), showing(invitation))).status).toBe(201);
  });
});
