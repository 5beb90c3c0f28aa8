import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { ConcordatClient } from '../concordat-client.js';
import { sampleTransaction, TRANSACTION_ID } from '../testing/samples.js';
import { answer, broken, problem, refused, silent, type Step } from '../testing/scripted-fetch.js';
import { settle, turns, URLS, virtualClient } from '../testing/virtual-client.js';
import type { ClientOptions } from './options.js';

const good = answer(200, sampleTransaction());
const created = answer(201, sampleTransaction());
const noLeader = problem('NO_LEADER', 503, {}, { 'retry-after': '1' });

const coordinators = (script: { sent: readonly { coordinator: string }[] }) =>
  script.sent.map(({ coordinator }) => coordinator.replace('http://', ''));

describe('fail-over', () => {
  it('asks the next coordinator at once, and stays with the one that answered', async () => {
    const { client, script, clock } = virtualClient([refused, good, good]);
    await settle(clock, client.get(TRANSACTION_ID));
    await client.get(TRANSACTION_ID);
    expect(coordinators(script)).toEqual(['one', 'two', 'two']);
    expect(clock.monotonic()).toBe(0);
  });

  it('asks the leader next, where an answer names one that it knows', async () => {
    const forwarded = (leader: string): Step => answer(200, sampleTransaction(), { 'concordat-leader': leader });
    const { client, script } = virtualClient([forwarded('http://three/'), forwarded('http://elsewhere'), good]);
    for (let call = 0; call < 3; call++) await client.get(TRANSACTION_ID);
    expect(coordinators(script)).toEqual(['one', 'three', 'three']);
  });

  it('goes round all of them, with a pause after each round', async () => {
    const { client, script, clock } = virtualClient([refused, refused, refused, refused, good]);
    await settle(clock, client.get(TRANSACTION_ID));
    expect(coordinators(script)).toEqual(['one', 'two', 'three', 'one', 'two']);
    expect(clock.monotonic()).toBe(50);
  });

  it('leaves a coordinator that gives no answer', async () => {
    const { client, script, clock } = virtualClient([silent, good]);
    await settle(clock, client.get(TRANSACTION_ID, { attemptTimeoutMs: 300 }));
    expect(coordinators(script)).toEqual(['one', 'two']);
    expect(clock.monotonic()).toBe(300);
    expect(script.sent[0]!.signal.aborted).toBe(true);
  });

  it('leaves it in time to ask another one, also in a call that is short', async () => {
    const { client, script, clock } = virtualClient([silent, good]);
    await settle(clock, client.get(TRANSACTION_ID, { timeoutMs: 3_000 }));
    expect(coordinators(script)).toEqual(['one', 'two']);
    expect(clock.monotonic()).toBe(1_000);
  });

  it('asks another one first when a whole call got no answer', async () => {
    const { client, script, clock } = virtualClient([silent, good]);
    const options = { timeoutMs: 300, attemptTimeoutMs: 300 };
    await expect(settle(clock, client.get(TRANSACTION_ID, options))).rejects.toMatchObject({ code: 'CALL_TIMEOUT' });
    await client.get(TRANSACTION_ID);
    expect(coordinators(script)).toEqual(['one', 'two']);
  });

  it('gives a coordinator that waits its time', async () => {
    const { client, clock } = virtualClient([silent, answer(202, sampleTransaction())]);
    await settle(clock, client.commit(TRANSACTION_ID, { waitMs: 5_000, attemptTimeoutMs: 300 }));
    expect(clock.monotonic()).toBe(5_300);
  });

  it('waits as long as an answer asks for', async () => {
    const { client, script, clock } = virtualClient([noLeader, good]);
    await settle(clock, client.get(TRANSACTION_ID));
    expect(coordinators(script)).toEqual(['one', 'two']);
    expect(clock.monotonic()).toBe(1_000);
  });

  it('repeats with the same key', async () => {
    const { client, script, clock } = virtualClient([broken, noLeader, created]);
    await settle(clock, client.begin());
    const keys = script.sent.map(({ headers }) => headers.get('idempotency-key'));
    expect(new Set(keys).size).toBe(1);
    expect(keys).toHaveLength(3);
  });

  it.each<[string, Step, number]>([
    ['does not repeat what may have happened', broken, 1],
    ['repeats what cannot have happened', refused, 2],
  ])('without a key it %s', async (_, first, requests) => {
    const { client, script, clock } = virtualClient([first, created]);
    await settle(
      clock,
      client.begin({}, { idempotencyKey: null }).catch(() => undefined),
    );
    expect(script.sent).toHaveLength(requests);
    expect(script.sent[0]!.headers.has('idempotency-key')).toBe(false);
  });

  it('repeats a branch with an id of its own, with a key or without', async () => {
    const branchId = TRANSACTION_ID;
    const branch = { branchId, participant: 'bank-a', operations: [], vote: 'yes', state: 'prepared' };
    const { client, clock } = virtualClient([broken, answer(200, branch)]);
    const enlisted = { participant: 'bank-a', branchId, vote: 'yes' } as const;
    expect(await settle(clock, client.enlist(TRANSACTION_ID, enlisted, { idempotencyKey: null }))).toEqual(branch);
  });

  it('gives up with what is known', async () => {
    const { client, clock } = virtualClient([refused, refused], { retry: { rounds: 1 }, coordinators: URLS.slice(1) });
    const error = {
      code: 'CONNECTION_FAILED',
      mayHaveTakenEffect: false,
      message: expect.stringMatching(/three.*refused/),
    };
    await expect(settle(clock, client.begin())).rejects.toMatchObject(error);
    const unsure = virtualClient([broken, noLeader], { retry: { rounds: 1 }, coordinators: URLS.slice(1) });
    await expect(settle(unsure.clock, unsure.client.begin())).rejects.toMatchObject({
      name: 'OutcomeUnknownError',
      code: 'OUTCOME_UNKNOWN',
      mayHaveTakenEffect: true,
      cause: { code: 'NO_LEADER' },
    });
  });

  it('treats the page of a gateway as a failure of that way', async () => {
    const page: Step = () => new Response('<html>Bad gateway', { status: 502 });
    const { client, script, clock } = virtualClient([page, good]);
    await settle(clock, client.get(TRANSACTION_ID));
    expect(coordinators(script)).toEqual(['one', 'two']);
  });
});

describe('time-outs and signals', () => {
  it.each<[string, (client: ConcordatClient) => Promise<unknown>, boolean]>([
    ['a read', (client) => client.get(TRANSACTION_ID), false],
    ['a change', (client) => client.begin(), true],
  ])('%s ends at its time-out', async (_, call, mayHaveTakenEffect) => {
    const { client, clock } = virtualClient([silent, silent], { timeoutMs: 1_000, attemptTimeoutMs: 700 });
    const message = expect.stringMatching(/^(GET|POST) \/v1\/transactions\S* took longer than 1000 ms; /);
    await expect(settle(clock, call(client))).rejects.toMatchObject({
      code: 'CALL_TIMEOUT',
      message,
      mayHaveTakenEffect,
    });
    expect(clock.monotonic()).toBe(1_000);
  });

  it('a call may have a time-out of its own', async () => {
    const { client, clock } = virtualClient([silent, silent, silent]);
    await expect(settle(clock, client.get(TRANSACTION_ID, { timeoutMs: 40 }))).rejects.toMatchObject({
      code: 'CALL_TIMEOUT',
    });
    expect(clock.monotonic()).toBe(40);
  });

  it('an aborted signal ends the call with its own reason: before it, in a request, in a pause', async () => {
    const reason = new Error('the user went away');
    const before = virtualClient([good]);
    await expect(before.client.get(TRANSACTION_ID, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(before.script.sent).toEqual([]);

    for (const step of [silent, noLeader]) {
      const { client, script } = virtualClient([step]);
      const user = new AbortController();
      const call = client.get(TRANSACTION_ID, { signal: user.signal });
      const outcome = expect(call).rejects.toBe(reason);
      await turns();
      user.abort(reason);
      await outcome;
      expect(script.sent).toHaveLength(1);
    }
  });

  it('leaves no timer behind', async () => {
    const { client, clock } = virtualClient([refused, good]);
    await settle(clock, client.get(TRANSACTION_ID));
    expect(clock.nextDueAt()).toBeUndefined();
  });
});

describe('headers', () => {
  it('come from the client, anew for each request, and from the call', async () => {
    let span = 0;
    const headers = async () => ({ traceparent: `00-${++span}`, authorization: 'Bearer x', tenant: undefined });
    const { client, script, clock } = virtualClient([refused, created], { headers });
    await settle(clock, client.begin({}, { headers: { authorization: 'Bearer y' }, idempotencyKey: 'k' }));
    const sent = script.sent.map((request) => Object.fromEntries(request.headers));
    const common = { authorization: 'Bearer y', 'content-type': 'application/json', 'idempotency-key': 'k' };
    expect(sent).toEqual([
      { ...common, traceparent: '00-1' },
      { ...common, traceparent: '00-2' },
    ]);
  });
});

describe('the options of a client', () => {
  it.each<[string, Partial<ClientOptions>, string]>([
    ['no coordinator', { coordinators: [] }, 'at least one URL'],
    ['no list', { coordinators: 'http://x' as never }, 'at least one URL'],
    ['no URL', { coordinators: ['localhost'] }, 'write it as http://host:port'],
    ['another protocol', { coordinators: ['localhost:8081'] }, 'must begin with http:// or https://'],
    ['a password', { coordinators: ['http://me:secret@x'] }, 'must not carry a password'],
    ['a query', { coordinators: ['http://x/?a=1'] }, 'without "?" and "#"'],
    ['a time-out of nothing', { timeoutMs: 0 }, 'timeoutMs must be a number from 1'],
    ['a time-out that is no number', { attemptTimeoutMs: Number.NaN }, 'attemptTimeoutMs must be'],
    ['no round', { retry: { rounds: 0 } }, 'retry.rounds must be'],
    ['a cap below the base', { retry: { baseMs: 10, capMs: 5 } }, 'retry.capMs must be a number from 10'],
  ])('%s', (_, options, part) => {
    expect(() => new ConcordatClient({ coordinators: ['http://x'], ...options })).toThrow(part);
  });

  it.each([
    'http://me:secret@x',
    'ftp://me:secret@x',
    'me:secret@x',
    'http://me:secret@x:99999',
    'http://me:secret@x/?a',
  ])('do not show a password that they refuse: %s', (url) => {
    let told = '';
    try {
      new ConcordatClient({ coordinators: [url] });
    } catch (error) {
      told = inspect(error);
    }
    expect(told).toContain('must not carry a password');
    expect(told).not.toContain('secret');
  });

  it('may name a path before the interface', async () => {
    const { client, script } = virtualClient([good], { coordinators: ['http://gateway/concordat/'] });
    await client.get(TRANSACTION_ID);
    expect(script.sent[0]!.path).toBe(`/concordat/v1/transactions/${TRANSACTION_ID}`);
  });
});
