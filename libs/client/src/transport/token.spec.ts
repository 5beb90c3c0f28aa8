import { describe, expect, it } from '@jest/globals';
import { sampleTransaction, TRANSACTION_ID } from '../testing/samples.js';
import { answer, problem, refused } from '../testing/scripted-fetch.js';
import { settle, virtualClient } from '../testing/virtual-client.js';

const good = answer(200, sampleTransaction());

describe('the token of a client', () => {
  it('goes with every request, and a function is asked anew for each', async () => {
    const fixed = virtualClient([good, good], { token: 'cct_abc' });
    await fixed.client.get(TRANSACTION_ID);
    await fixed.client.get(TRANSACTION_ID);
    expect(fixed.script.sent.map(({ headers }) => headers.get('authorization'))).toEqual(
      Array(2).fill('Bearer cct_abc'),
    );
    let count = 0;
    const fresh = virtualClient([refused, good], { token: () => Promise.resolve(`t${++count}`) });
    await settle(fresh.clock, fresh.client.get(TRANSACTION_ID));
    expect(fresh.script.sent.map(({ headers }) => headers.get('authorization'))).toEqual(['Bearer t1', 'Bearer t2']);
  });

  it('is not there when none is set, and gives way to a header of the call', async () => {
    const { client, script } = virtualClient([good]);
    await client.get(TRANSACTION_ID);
    expect(script.sent[0]!.headers.has('authorization')).toBe(false);
    const own = virtualClient([good], { token: 'a', headers: { authorization: 'Bearer b' } });
    await own.client.get(TRANSACTION_ID, { headers: { authorization: 'Bearer c' } });
    expect(own.script.sent[0]!.headers.get('authorization')).toBe('Bearer c');
  });

  it.each(['', 'a b', 'a\r\nX-Forged: 1', 'ä', 'Bearer abc', 7 as unknown as string])(
    'that cannot be sent is refused without showing it: %j',
    async (token) => {
      expect(() => virtualClient([], { token })).toThrow(/token must be a token/);
      const { client, script } = virtualClient([good], { token: () => token });
      const error = (await client.get(TRANSACTION_ID).catch((thrown: unknown) => thrown)) as Error;
      expect(error).toMatchObject({ name: 'TokenError', code: 'TOKEN_FAILED', mayHaveTakenEffect: false });
      if (typeof token === 'string' && token.length > 1) expect(error.message).not.toContain(token);
      expect(script.sent).toEqual([]);
    },
  );

  it('that cannot be had is an error with its cause, and nothing is sent', async () => {
    const cause = new Error('the issuer is down');
    const { client, script } = virtualClient([good], { token: () => Promise.reject(cause) });
    await expect(client.begin()).rejects.toMatchObject({ code: 'TOKEN_FAILED', cause });
    expect(script.sent).toEqual([]);
  });
});

describe('a coordinator that asks who calls', () => {
  it.each([
    ['UNAUTHENTICATED', 401, 'UnauthenticatedError'],
    ['FORBIDDEN', 403, 'ForbiddenError'],
  ])('answers %s, which is not repeated', async (code, status, name) => {
    const { client, script } = virtualClient([problem(code, status)]);
    await expect(client.get(TRANSACTION_ID)).rejects.toMatchObject({ code, status, name, mayHaveTakenEffect: false });
    expect(script.sent).toHaveLength(1);
  });

  it.each([
    ['RATE_LIMITED', 429],
    ['AUTHENTICATION_UNAVAILABLE', 503],
  ])('answers %s, which is repeated when it says', async (code, status) => {
    const { client, clock } = virtualClient([
      problem(code, status, {}, { 'retry-after': '2' }),
      answer(201, sampleTransaction()),
    ]);
    await settle(clock, client.begin());
    expect(clock.monotonic()).toBe(2_000);
  });
});
