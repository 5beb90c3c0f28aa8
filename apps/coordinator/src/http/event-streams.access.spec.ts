import { request as httpRequest, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { readFilesAgain } from '@concordat/foundation';
import { TestIssuer } from '../auth/testing/issuer.js';
import { EventStreams } from './event-streams.js';
import { active, ID } from './testing/fake-engine.js';
import { Secured, type Bearer } from './testing/secured.js';
import { createTestNode, type TestNode } from './testing/test-node.js';

let secured: Secured;
let node: TestNode;
beforeAll(async () => {
  secured = await Secured.create();
  node = await createTestNode(secured.environment);
});
afterAll(async () => {
  await node.app.close();
  secured.remove();
});

/** Opens a stream for each of these senders. */
async function openAll(
  from: TestNode,
  senders: readonly Readonly<Record<string, string>>[],
  path = '/v1/events',
): Promise<IncomingMessage[]> {
  const url = `${await from.listen()}${path}`;
  return Promise.all(
    senders.map(async (headers) => {
      const call = httpRequest(url, { headers, agent: false });
      call.end();
      const [response] = (await once(call, 'response')) as [IncomingMessage];
      return response.resume();
    }),
  );
}

/** Changes a transaction of each of these owners. */
function publish(to: TestNode, ...owners: string[]): void {
  for (const [index, owner] of owners.entries()) {
    const event = { logIndex: 12 + index, transaction: { ...active, owner } };
    for (const listener of to.transactions.listeners) listener(event);
  }
}

describe('a stream of events', () => {
  afterEach(() => void jest.useRealTimers());

  it('ends with the credential with which it was opened', async () => {
    const url = `${await node.listen()}/v1/events`;
    const [short, long] = [5, 60].map((expiresIn) => secured.issuer.token(Date.now(), ['client'], { expiresIn }));
    const headers = { authorization: `Bearer ${await short!}` };
    const lasting = { authorization: `Bearer ${await long!}` };
    // only the clock and the keep-alive of the streams, each 15 s
    const others = [
      'nextTick',
      'setImmediate',
      'clearImmediate',
      'setTimeout',
      'clearTimeout',
      'queueMicrotask',
    ] as const;
    jest.useFakeTimers({ doNotFake: [...others, 'performance', 'hrtime'] });
    const responses = await Promise.all(
      [headers, lasting].map(async (own) => {
        const call = httpRequest(url, { headers: own, agent: false });
        call.end();
        const [response] = (await once(call, 'response')) as [IncomingMessage];
        return response.resume();
      }),
    );
    expect(responses.map(({ statusCode }) => statusCode)).toEqual([200, 200]);
    const ended = once(responses[0]!, 'end');
    jest.advanceTimersByTime(15_000);
    await ended;
    expect(node.app.get(EventStreams, { strict: false }).size).toBe(1);
    responses[1]!.destroy();
  });

  it('leaves room for those of others: a principal has half of them at most', async () => {
    const small = await createTestNode({ ...secured.environment, CONCORDAT_MAX_CONNECTIONS: '16' }); // 8 streams
    const base = await small.listen();
    const open = async (bearer: Bearer) => {
      const call = httpRequest(`${base}/v1/events`, { headers: secured.header(bearer), agent: false });
      call.end();
      const [response] = (await once(call, 'response')) as [IncomingMessage];
      return response;
    };
    const taken = await Promise.all(Array.from({ length: 4 }, () => open('alice')));
    const refused = await open('alice');
    let body = '';
    for await (const chunk of refused.setEncoding('utf8')) body += String(chunk);
    expect([refused.statusCode, body]).toEqual([503, expect.stringContaining('4 event streams of this principal')]);
    taken.push(await open('bob'), await open('watcher'));
    expect(new Set(taken.map(({ statusCode }) => statusCode))).toEqual(new Set([200]));
    for (const response of taken) response.destroy();
    await small.app.close();
  });

  it('gets nothing more when the file has its token no longer, or says something else of it', async () => {
    const own = await Secured.create();
    const other = await createTestNode(own.environment);
    const [alice, bob, watcher] = await openAll(
      other,
      (['alice', 'bob', 'watcher'] as const).map((bearer) => own.header(bearer)),
    );
    const lines = readFileSync(own.tokenFile, 'utf8').split('\n');
    const without = lines
      .filter((line) => !line.includes(' alice '))
      .map((line) => line.replace(' bob client', ' bob metrics'));
    writeFileSync(own.tokenFile, without.join('\n'));
    readFilesAgain();
    const ended = Promise.all([once(alice!, 'end'), once(bob!, 'end')]);
    publish(other, 'token:alice', 'token:bob');
    await ended;
    expect(other.app.get(EventStreams, { strict: false }).size).toBe(1);
    watcher!.destroy();
    await other.app.close();
    own.remove();
  });

  it('gets nothing more when the key of its JWT is withdrawn, of all transactions and of one', async () => {
    const own = await Secured.create();
    const second = await TestIssuer.create('ES256', 'key-2');
    writeFileSync(own.keyFile, JSON.stringify(await own.issuer.keySet(second)));
    const other = await createTestNode(own.environment);
    const [first, later] = await Promise.all(
      [own.issuer, second].map((issuer) => issuer.token(Date.now(), ['observer'])),
    );
    const headers = [first, later].map((token) => ({ authorization: `Bearer ${token}` }));
    const [all, stays] = await openAll(other, headers);
    const [one, oneStays] = await openAll(other, headers, `/v1/transactions/${ID}/events`);
    writeFileSync(own.keyFile, JSON.stringify(await second.keySet()));
    readFilesAgain();
    const ended = Promise.all([once(all!, 'end'), once(one!, 'end')]);
    publish(other, 'token:alice');
    await ended;
    expect(other.app.get(EventStreams, { strict: false }).size).toBe(2);
    const answers = headers.map((own) => other.app.inject({ method: 'GET', url: '/v1/in-doubt', headers: own }));
    expect((await Promise.all(answers)).map(({ statusCode }) => statusCode)).toEqual([401, 200]);
    for (const response of [stays, oneStays]) response!.destroy();
    await other.app.close();
    own.remove();
  });
});
