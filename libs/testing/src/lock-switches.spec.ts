import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { ConcordatClient, LockHeldError, LockLostError, OutcomeUnknownError } from '@concordat/client';
import {
  InvalidArgumentError,
  UnknownNameError,
  startTestCoordinator,
  type LockRequest,
  type TestCoordinator,
} from './index.js';

let coordinator: TestCoordinator;
let client: ConcordatClient;
let next = 0;

const lockName = (): string => `invoice-${++next}`;
const request = { owner: 'orders', ttlMs: 30_000 };

beforeAll(async () => {
  coordinator = await startTestCoordinator({ seed: 7 });
  client = new ConcordatClient({ coordinators: [coordinator.url] });
});

afterEach(() => coordinator.reset());

afterAll(() => coordinator.stop());

describe('a lock that is refused', () => {
  it('is held by another owner, once', async () => {
    const refusal = coordinator.locks.refuseNext();
    const name = lockName();
    const error: unknown = await client.locks.acquire(name, { waitMs: 0 }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(LockHeldError);
    expect(refusal.hits).toBe(1);
    await using lock = await client.locks.acquire(name);
    expect(lock.fencingToken).toBeGreaterThan(0);
  });

  it('is that of the name, and no other', async () => {
    const name = lockName();
    const refusal = coordinator.locks.refuseNext({ name });
    await using _other = await client.locks.acquire(lockName());
    expect(refusal.hits).toBe(0);
    await expect(client.locks.acquire(name)).rejects.toBeInstanceOf(LockHeldError);
  });
});

describe('a lock that is lost', () => {
  it('aborts the signal of its holder at the next renewal, and another can have it', async () => {
    const name = lockName();
    const held = await client.locks.acquire(name, { ttlMs: 300 });
    await coordinator.locks.lose(name);
    const lost = new Promise<unknown>((resolve) =>
      held.signal.addEventListener('abort', () => resolve(held.signal.reason), { once: true }),
    );
    await using other = await client.locks.acquire(name);
    expect(other.fencingToken).toBeGreaterThan(held.fencingToken);
    expect(await lost).toBeInstanceOf(LockLostError);
    await held.release();
  });

  it('must be held', async () => {
    await expect(coordinator.locks.lose('nobody-has-it')).rejects.toThrow(
      'nobody holds the lock "nobody-has-it"; acquire it first',
    );
  });
});

describe('lost requests and replies', () => {
  it.each<[string, LockRequest]>([
    ['loseReply', 'acquire'],
    ['loseRequest', 'acquire'],
    ['loseReply', 'renew'],
    ['loseRequest', 'renew'],
    ['loseReply', 'release'],
    ['loseRequest', 'release'],
  ])('%s of %s is made good by asking again', async (method, kind) => {
    const loss = coordinator.locks[method as 'loseReply' | 'loseRequest'](kind);
    const name = lockName();
    const lock = await client.locks.acquire(name, { ttlMs: 300 });
    await client.locks.calls.renew(name, { ...request, owner: lock.owner, fencingToken: lock.fencingToken });
    await lock.release();
    expect(loss.hits).toBe(1);
    const again = await client.locks.acquire(name);
    await again.release();
  });

  it('without an end are an unknown outcome, whether the lock was taken or not', async () => {
    const impatient = new ConcordatClient({ coordinators: [coordinator.url], retry: { rounds: 1 } });
    const name = lockName();
    coordinator.locks.loseReply('acquire', { times: 10 });
    await expect(impatient.locks.calls.acquire(name, request)).rejects.toBeInstanceOf(OutcomeUnknownError);
    await coordinator.locks.lose(name); // it was
    coordinator.locks.loseRequest('acquire', { times: 10 });
    await expect(impatient.locks.calls.acquire(name, request)).rejects.toBeInstanceOf(OutcomeUnknownError);
    await expect(coordinator.locks.lose(name)).rejects.toBeInstanceOf(UnknownNameError); // it was not
  });
});

describe('what happens to transactions happens to locks', () => {
  it('delay: each request by a time of its own', async () => {
    const delay = coordinator.locks.delay([40, 60], ['acquire', 'release']);
    const startedAt = performance.now();
    const lock = await client.locks.acquire(lockName());
    await lock.release();
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(78); // timers may be early by 1 ms
    expect(delay.hits).toBe(2);
  });

  it.each(['crashBefore', 'crashAfter'] as const)('%s: the lock is taken by the repetition', async (method) => {
    const name = lockName();
    const crash = coordinator[method]('lock-acquire');
    const lock = await client.locks.acquire(name, { owner: 'orders' });
    await crash.happened;
    const page = await client.locks.calls.listPage();
    expect(page.items.map(({ name: held, owner }) => [held, owner])).toEqual([[name, 'orders']]);
    await lock.release();
  });

  it('crashAfter a release, and the lock is free', async () => {
    const name = lockName();
    const lock = await client.locks.acquire(name);
    const crash = coordinator.crashAfter('lock-release');
    await lock.release().catch((error: unknown) => expect(error).toMatchObject({ code: 'LOCK_NOT_HELD' }));
    await crash.happened;
    await using again = await client.locks.acquire(name);
    expect(again.fencingToken).toBeGreaterThan(lock.fencingToken);
  });

  it('failOver: the lock stays with its holder, and who waits gets it after', async () => {
    const name = lockName();
    const lock = await client.locks.acquire(name, { ttlMs: 2_000 });
    await coordinator.failOver();
    lock.throwIfLost();
    await expect(client.locks.acquire(name)).rejects.toBeInstanceOf(LockHeldError);
    await lock.release();
    await using _next = await client.locks.acquire(name);
  });
});

describe('what there is not', () => {
  it('is refused by name', () => {
    expect(() => coordinator.locks.loseReply('steal' as LockRequest)).toThrow(
      'nothing that is asked of a lock is called "steal"; there are: acquire, renew, release',
    );
    expect(() => coordinator.locks.delay(5, [])).toThrow(InvalidArgumentError);
    expect(() => coordinator.locks.delay(-1)).toThrow(InvalidArgumentError);
    expect(() => coordinator.locks.refuseNext({ times: 0 })).toThrow('a whole number above 0');
  });
});
