import { describe, expect, it } from '@jest/globals';
import { VirtualClock } from '@concordat/foundation';
import type { LockLostError } from '../errors/errors.js';
import { answer, broken, problem, silent, type SentRequest, type Step } from '../testing/scripted-fetch.js';
import { settle, turns, virtualClient } from '../testing/virtual-client.js';

const NAME = 'invoice-7';
const TTL_MS = 9_000;
const options = { ttlMs: TTL_MS, owner: 'me' };
const lease = { name: NAME, owner: 'me', fencingToken: 41, expiresAt: '2026-01-01T00:00:09.000Z' };
const granted = answer(200, lease);
const released = answer(204);
const holder = { owner: 'another', expiresAt: '2026-01-01T00:00:05.000Z' };
const held = problem('LOCK_HELD', 409, { holder });
const notHeld = problem('LOCK_NOT_HELD', 409);

/** An answer that takes its time. */
const after =
  (clock: VirtualClock, delayMs: number, step: Step): Step =>
  async (request) => {
    await new Promise<void>((resolve) => clock.setTimer(delayMs, resolve));
    request.signal.throwIfAborted();
    return step(request);
  };

async function advance(clock: VirtualClock, durationMs: number): Promise<void> {
  const until = clock.monotonic() + durationMs;
  await turns();
  for (let due = clock.nextDueAt(); due !== undefined && due <= until; due = clock.nextDueAt()) {
    clock.fireNext();
    await turns();
  }
  clock.advance(until - clock.monotonic());
  await turns();
}

async function acquired(steps: readonly Step[], clock = new VirtualClock()) {
  const started = virtualClient([granted, ...steps], { coordinators: ['http://one'] }, clock);
  const lock = await started.client.locks.acquire(NAME, options);
  return { ...started, lock };
}

const times = (sent: readonly SentRequest[]): string[] => sent.map(({ method, path }) => `${method} ${path}`);

describe('a lock that is held', () => {
  it('is taken with an owner, and given back', async () => {
    const { client, script, clock, lock } = await acquired([released]);
    expect(lock).toMatchObject({ name: NAME, owner: 'me', fencingToken: 41, remainingMs: 8_100 });
    expect(lock.signal.aborted).toBe(false);
    await lock.release();
    await lock.release();
    expect(script.sent).toMatchObject([
      { method: 'PUT', path: '/v1/locks/invoice-7', body: { owner: 'me', ttlMs: TTL_MS, waitMs: 0 } },
      { method: 'DELETE', path: '/v1/locks/invoice-7?owner=me&fencingToken=41' },
    ]);
    expect(lock.signal.aborted).toBe(false);
    expect(lock.remainingMs).toBe(0);
    expect(clock.nextDueAt()).toBeUndefined();
    expect(client.locks).toBeDefined();
  });

  it('is given back at the end of its block', async () => {
    const { client, script } = virtualClient([granted, released]);
    {
      await using lock = await client.locks.acquire(NAME, options);
      expect(lock.remainingMs).toBeGreaterThan(0);
    }
    expect(script.remaining).toBe(0);
  });

  it('is given back when its work has ended, and when it has failed', async () => {
    const { client, script } = virtualClient([granted, released, granted, released]);
    expect(await client.locks.run(NAME, options, ({ fencingToken }) => fencingToken)).toBe(41);
    const failing = client.locks.run(NAME, options, () => Promise.reject(new Error('no paper')));
    await expect(failing).rejects.toThrow('no paper');
    expect(script.remaining).toBe(0);
  });

  it('is an error of its work when it was lost meanwhile', async () => {
    const { client, clock } = virtualClient([granted, notHeld, released], { coordinators: ['http://one'] });
    const work = client.locks.run(NAME, options, () => advance(clock, TTL_MS));
    await expect(work).rejects.toMatchObject({ code: 'LOCK_LOST' });
  });

  it('has an owner of its own for each acquisition', async () => {
    const { client, script } = virtualClient([granted, granted, released, released]);
    const locks = [await client.locks.acquire(NAME), await client.locks.acquire(NAME)];
    const owners = script.sent.map(({ body }) => (body as { owner: string }).owner);
    expect(new Set(owners).size).toBe(2);
    for (const lock of locks) await lock.release();
  });

  it('is renewed after each third of its lease', async () => {
    const { clock, script, lock } = await acquired([granted, granted, granted, released]);
    await advance(clock, 2_999);
    expect(script.sent).toHaveLength(1);
    await advance(clock, 6_001);
    expect(script.sent).toHaveLength(4);
    expect(script.sent[1]).toMatchObject({
      method: 'POST',
      path: '/v1/locks/invoice-7/renew',
      body: { owner: 'me', fencingToken: 41, ttlMs: TTL_MS },
    });
    expect(lock.signal.aborted).toBe(false);
    expect(lock.remainingMs).toBe(8_100);
    await lock.release();
  });

  it('survives renewals that fail for a while', async () => {
    const noLeader = problem('NO_LEADER', 503, {}, { 'retry-after': '1' });
    const { clock, lock } = await acquired([broken, noLeader, noLeader, granted, released]);
    await advance(clock, 5_500);
    expect(lock.signal.aborted).toBe(false);
    expect(lock.remainingMs).toBeGreaterThan(5_000);
    await lock.release();
  });

  it.each<[string, Step[]]>([
    ['no answer comes', Array.from({ length: 50 }, () => silent)],
    ['there is no leader', Array.from({ length: 500 }, () => problem('NO_LEADER', 503))],
    ['every connection breaks', Array.from({ length: 500 }, () => broken)],
    ['the answers are wrong', Array.from({ length: 500 }, () => answer(200, {}))],
  ])('is lost before its lease can have ended when %s', async (_, steps) => {
    const { clock, lock } = await acquired(steps);
    await advance(clock, 8_099);
    expect(lock.signal.aborted).toBe(false);
    expect(() => lock.throwIfLost()).not.toThrow();
    await advance(clock, 1);
    expect(lock.signal.aborted).toBe(true);
    const reason = lock.signal.reason as LockLostError;
    expect(reason).toMatchObject({ code: 'LOCK_LOST', lockName: NAME, message: expect.stringContaining('in time') });
    expect(() => lock.throwIfLost()).toThrow(reason);
    expect(lock.remainingMs).toBe(0);
    expect(clock.nextDueAt()).toBeUndefined();
  });

  it('is lost at once when a renewal says so', async () => {
    const { clock, lock } = await acquired([notHeld]);
    await advance(clock, 3_000);
    expect(lock.signal.reason).toMatchObject({ code: 'LOCK_LOST', cause: { code: 'LOCK_NOT_HELD' } });
  });

  it('counts from when a request was sent, not from its answer', async () => {
    const clock = new VirtualClock();
    const slow = (step: Step) => after(clock, 2_000, step);
    const started = virtualClient(
      [slow(granted), slow(granted), silent, silent, silent, silent],
      {
        coordinators: ['http://one'],
      },
      clock,
    );
    const lock = await settle(clock, started.client.locks.acquire(NAME, options));
    expect(lock.remainingMs).toBe(6_100);
    await advance(clock, 3_000); // renewed: asked at 3,000, answered at 5,000
    expect(lock.remainingMs).toBe(6_100);
    await advance(clock, 6_100);
    expect(lock.signal.aborted).toBe(true);
  });

  it('notices that this process has stood still, before the timer does', async () => {
    const { clock, lock } = await acquired([]);
    jumpOver(clock, 10_000);
    expect(lock.signal.aborted).toBe(false);
    expect(() => lock.throwIfLost()).toThrow('could not be renewed in time');
    expect(lock.signal.aborted).toBe(true);
  });

  it('stays lost when an answer comes too late', async () => {
    const clock = new VirtualClock();
    const late = after(clock, 100, granted);
    const started = await acquired([late, released], clock);
    await advance(clock, 3_000);
    jumpOver(clock, 9_000);
    expect(() => started.lock.throwIfLost()).toThrow('could not be renewed');
    await advance(clock, 10_000);
    expect(started.lock.signal.aborted).toBe(true);
    await started.lock.release();
  });
});

describe('the release of a lock', () => {
  it('repeated after doubt, is done when the lock is not held', async () => {
    const { clock, lock, script } = await acquired([broken, notHeld]);
    await settle(clock, lock.release());
    expect(times(script.sent).slice(1)).toEqual(Array(2).fill('DELETE /v1/locks/invoice-7?owner=me&fencingToken=41'));
  });

  it('says when the lease had ended unnoticed, also at the end of a block', async () => {
    for (const end of ['release', Symbol.asyncDispose] as const) {
      const { lock } = await acquired([notHeld]);
      await expect(lock[end]()).rejects.toMatchObject({ code: 'LOCK_NOT_HELD' });
    }
  });

  it('of a lost lock gives back what may be left of it', async () => {
    const { clock, lock, script } = await acquired([notHeld, notHeld]);
    await advance(clock, 3_000);
    await lock.release();
    expect(script.remaining).toBe(0);
  });

  it('that fails throws; at the end of a block the lease ends by itself', async () => {
    const failing = await acquired([]);
    await expect(settle(failing.clock, failing.lock.release())).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
    const { clock, lock } = await acquired([]);
    await settle(clock, lock[Symbol.asyncDispose]());
    expect(lock.signal.aborted).toBe(false);
  });
});

describe('waiting for a lock', () => {
  it('says who holds it', async () => {
    const { client } = virtualClient([held]);
    const error = { name: 'LockHeldError', code: 'LOCK_HELD', holder };
    await expect(client.locks.acquire(NAME, options)).rejects.toMatchObject(error);
  });

  it('renews after a long wait, because nobody knows when the lease began', async () => {
    const clock = new VirtualClock();
    const waited = after(clock, 20_000, granted);
    const started = virtualClient([waited, granted, released], {}, clock);
    const lock = await settle(clock, started.client.locks.acquire(NAME, { ...options, waitMs: 25_000 }));
    expect(times(started.script.sent)).toEqual(['PUT /v1/locks/invoice-7', 'POST /v1/locks/invoice-7/renew']);
    expect(lock.remainingMs).toBe(8_100);
    await lock.release();
  });

  it('asks again when that lease has ended meanwhile', async () => {
    const clock = new VirtualClock();
    const waited = after(clock, 20_000, granted);
    const started = virtualClient([waited, notHeld, granted, released], {}, clock);
    const lock = await settle(clock, started.client.locks.acquire(NAME, { ...options, waitMs: 25_000 }));
    expect(started.script.sent[2]).toMatchObject({ method: 'PUT', body: { waitMs: 5_000 } });
    await lock.release();
  });

  it('asks again for a wait that one request cannot have', async () => {
    const clock = new VirtualClock();
    const refused = after(clock, 60_000, held);
    const started = virtualClient([refused, after(clock, 30_000, held)], {}, clock);
    const waiting = settle(clock, started.client.locks.acquire(NAME, { ...options, waitMs: 90_000 }));
    await expect(waiting).rejects.toMatchObject({ code: 'LOCK_HELD' });
    const waits = started.script.sent.map(({ body }) => (body as { waitMs: number }).waitMs);
    expect(waits).toEqual([60_000, 30_000]);
  });

  it('refuses a lease that would be over when it is known', async () => {
    const clock = new VirtualClock();
    const slow = () => after(clock, 95, granted);
    const started = virtualClient([slow(), slow()], {}, clock);
    const acquiring = settle(clock, started.client.locks.acquire(NAME, { ...options, ttlMs: 100 }));
    await expect(acquiring).rejects.toMatchObject({
      code: 'LOCK_LOST',
      message: expect.stringContaining('longer ttlMs'),
    });
  });

  it('ends with the reason of the signal', async () => {
    const { client } = virtualClient([silent]);
    const user = new AbortController();
    const reason = new Error('enough');
    const outcome = expect(client.locks.acquire(NAME, { ...options, waitMs: 1_000, signal: user.signal })).rejects.toBe(
      reason,
    );
    await turns();
    user.abort(reason);
    await outcome;
  });

  it.each([
    ['a bad name', '../x', {}, 'INVALID_LOCK_NAME'],
    ['no name', '', {}, 'INVALID_LOCK_NAME'],
    ['a short lease', NAME, { ttlMs: 99 }, 'INVALID_OPTION'],
    ['a long lease', NAME, { ttlMs: 3_600_001 }, 'INVALID_OPTION'],
    ['a bad wait', NAME, { waitMs: -1 }, 'INVALID_OPTION'],
  ])('refuses %s', async (_, name, wrong, code) => {
    const { client, script } = virtualClient([]);
    await expect(client.locks.acquire(name, wrong)).rejects.toMatchObject({ code });
    expect(script.sent).toEqual([]);
  });
});

describe('the list of locks', () => {
  it('comes page by page', async () => {
    const listed = { ...lease, waiters: 2 };
    const { client, script } = virtualClient([
      answer(200, { items: [listed], nextCursor: 'next' }),
      answer(200, { items: [{ ...listed, waiters: null }], nextCursor: null }),
    ]);
    const locks = [];
    for await (const lock of client.locks.calls.list({ limit: 1 }, { consistency: 'stale' })) locks.push(lock);
    expect(locks.map(({ waiters }) => waiters)).toEqual([2, null]);
    expect(script.sent[1]!.path).toBe('/v1/locks?limit=1&cursor=next&consistency=stale');
  });
});

/** Moves the time without letting a timer run, as when a process is stopped. */
function jumpOver(clock: VirtualClock, durationMs: number): void {
  const read = clock.monotonic.bind(clock);
  clock.monotonic = () => read() + durationMs;
}
