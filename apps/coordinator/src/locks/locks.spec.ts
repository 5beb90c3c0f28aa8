import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { VirtualClock, type CodedError } from '@concordat/foundation';
import { LIMITS } from '@concordat/commit-protocol';
import { ControlledLog } from '../transactions/testing/controlled-log.js';
import type { GroupClocks } from '../transactions/clocks/group-clocks.js';
import { Locks } from './locks.js';
import type { AcquireRequest, LockView } from './locks.api.js';

const TTL = 1_000;

/** What has become of a promise. */
interface Watched<T> {
  value: T | undefined;
  error: CodedError | undefined;
}

function watch<T>(promise: Promise<T>): Watched<T> {
  const watched: Watched<T> = { value: undefined, error: undefined };
  promise.then(
    (value) => void (watched.value = value),
    (error: CodedError) => void (watched.error = error),
  );
  return watched;
}

let clock: VirtualClock;
let log: ControlledLog;
let locks: Locks;

beforeEach(() => {
  clock = new VirtualClock();
  log = new ControlledLog(1);
  locks = new Locks({ log, clock, queueLimits: { perLock: 3, inAll: 4 } });
  log.lead();
});
afterEach(() => locks.stop());

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
async function pass(milliseconds: number): Promise<void> {
  await settle();
  clock.advance(milliseconds);
  await settle();
}
const wants = (owner: string, changes: Partial<AcquireRequest> = {}): AcquireRequest => ({
  name: 'lock',
  owner,
  ttlMs: TTL,
  waitMs: 0,
  ...changes,
});
const waiting = (owner: string, gone?: AbortSignal): Watched<LockView> =>
  watch(locks.acquire(wants(owner, { waitMs: 60_000 }), gone));
const holder = (name = 'lock'): string | undefined => log.state.locks.get(name)?.owner;
const recordsOf = (type: string): number => log.applied.filter(({ record }) => record.type === type).length;

describe('a lock', () => {
  it('is granted under the index of its record, renewed, and given back', async () => {
    const lock = await locks.acquire(wants('a'));
    expect(lock).toEqual({
      name: 'lock',
      owner: 'a',
      fencingToken: log.appliedIndex,
      expiresAt: new Date(clock.now() + TTL).toISOString(),
    });
    await pass(400);
    const { fencingToken } = lock;
    const proof = { name: 'lock', owner: 'a', fencingToken };
    expect(await locks.renew({ ...proof, ttlMs: 5_000 })).toMatchObject({
      fencingToken,
      expiresAt: new Date(clock.now() + 5_000).toISOString(),
    });
    expect(await locks.acquire(wants('a'))).toMatchObject({ fencingToken });
    await locks.release(proof);
    expect(holder()).toBeUndefined();
    expect((await locks.acquire(wants('b'))).fencingToken).toBeGreaterThan(fencingToken);
  });

  it('is refused to others, who learn who has it and until when at the earliest', async () => {
    const { expiresAt } = await locks.acquire(wants('a'));
    await expect(locks.acquire(wants('b'))).rejects.toMatchObject({
      code: 'LOCK_HELD',
      details: { holder: { owner: 'a', expiresAt } },
    });
    await expect(locks.renew({ name: 'lock', owner: 'b', fencingToken: 1, ttlMs: TTL })).rejects.toMatchObject({
      code: 'LOCK_NOT_HELD',
    });
    await expect(locks.release({ name: 'lock', owner: 'a', fencingToken: 1 })).rejects.toMatchObject({
      code: 'LOCK_NOT_HELD',
    });
  });

  it('is refused by a leader only when it is sure to lead', async () => {
    await locks.acquire(wants('a'));
    log.confirmationsHeld = true;
    const refused = watch(locks.acquire(wants('b')));
    await settle();
    expect(refused.error).toBeUndefined();
    log.refuseConfirmations();
    await settle();
    expect(refused.error?.code).toBe('LOG_UNAVAILABLE');
  });

  it('that was freed while the leader confirmed is granted', async () => {
    const { fencingToken } = await locks.acquire(wants('a'));
    log.confirmationsHeld = true;
    const other = watch(locks.acquire(wants('b')));
    await settle();
    await locks.release({ name: 'lock', owner: 'a', fencingToken });
    log.answerConfirmations();
    await settle();
    expect(other.value?.owner).toBe('b');
  });

  it('goes to the one that is first in the log when two ask at once; the other learns who', async () => {
    const [one, other] = [watch(locks.acquire(wants('a'))), watch(locks.acquire(wants('b')))];
    await settle();
    expect([one.value?.owner, other.error?.details]).toMatchObject(['a', { holder: { owner: 'a' } }]);
  });

  it('is not given by a node that does not lead, nor before the group is born', async () => {
    log.follow();
    await expect(locks.acquire(wants('a'))).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE', reason: 'no-leader' });
    const unborn = new ControlledLog();
    const early = new Locks({ log: unborn, clock });
    unborn.lead();
    await expect(early.acquire(wants('a'))).rejects.toMatchObject({ reason: 'no-leader' });
    unborn.apply({ type: 'group-born', at: clock.now() });
    expect(await early.acquire(wants('a'))).toMatchObject({ owner: 'a' });
    early.stop();
  });

  it('of too many is refused, and says so', async () => {
    for (let at = 0; at < LIMITS.locks; at++)
      log.state.apply({ type: 'lock-acquire', ...wants('a'), name: `n${at}`, at: 1 }, at + 10);
    await expect(locks.acquire(wants('b'))).rejects.toMatchObject({ code: 'TOO_MANY_LOCKS', retryable: true });
  });
});

describe('a lease', () => {
  it('ends by a record when its whole length has passed, and not before', async () => {
    await locks.acquire(wants('a'));
    await pass(TTL - 1);
    expect(holder()).toBe('a');
    await pass(20);
    expect([holder(), recordsOf('lock-expire')]).toEqual([undefined, 1]);
    expect(locks.figures().events).toMatchObject({ granted: 1, expired: 1 });
  });

  it('begins anew with each renewal, also a shorter one', async () => {
    const { fencingToken } = await locks.acquire(wants('a'));
    const proof = { name: 'lock', owner: 'a', fencingToken };
    await pass(900);
    await locks.renew({ ...proof, ttlMs: 3_600_000 });
    await pass(900);
    await locks.renew({ ...proof, ttlMs: 100 });
    await pass(99);
    expect(holder()).toBe('a');
    await pass(20);
    expect(holder()).toBeUndefined();
  });

  it('that runs out together with others ends in one record', async () => {
    for (const name of ['x', 'y', 'z']) await locks.acquire(wants('a', { name }));
    await pass(TTL + 20);
    expect([locks.figures().held, recordsOf('lock-expire')]).toEqual([0, 1]);
  });

  it('is ended again when the log could not take the record', async () => {
    await locks.acquire(wants('a'));
    log.overloaded = true;
    await pass(TTL + 20);
    expect(holder()).toBe('a');
    log.overloaded = false;
    await pass(600);
    expect(holder()).toBeUndefined();
  });

  it('that was renewed while its end was proposed stays', async () => {
    const { fencingToken } = await locks.acquire(wants('a'));
    log.held = true;
    const renewed = watch(locks.renew({ name: 'lock', owner: 'a', fencingToken, ttlMs: TTL }));
    await pass(TTL + 20);
    expect(log.proposed.map(({ type }) => type)).toEqual(['lock-renew', 'lock-expire']);
    log.release();
    await settle();
    expect([renewed.value?.fencingToken, holder()]).toEqual([fencingToken, 'a']);
  });

  it.each([
    ['forward', 3_600_000],
    ['back', -3_600_000],
  ])('is as long as it was when the clock of the leader is set %s', async (_where, stepMs) => {
    let aheadMs = 0;
    const machine = {
      now: () => clock.now() + aheadMs,
      monotonic: () => clock.monotonic(),
      setTimer: (delayMs: number, action: () => void) => clock.setTimer(delayMs, action),
    };
    const own = new ControlledLog(1);
    const node = new Locks({ log: own, clock: machine });
    own.lead();
    await node.acquire(wants('a'));
    aheadMs = stepMs;
    own.apply({ type: 'branches-done', items: [], publishedIndex: 0, at: machine.now() }); // log time makes a step
    await pass(TTL - 10);
    expect(own.state.locks.get('lock')?.owner).toBe('a');
    await pass(2 * TTL); // behind log time that is ahead, it may take twice as long
    expect(own.state.locks.get('lock')).toBeUndefined();
    node.stop();
  });

  it('is measured by every node, so that a new leader neither shortens nor restarts it', async () => {
    log.follow();
    log.apply({ type: 'lock-acquire', ...wants('a'), at: clock.now() });
    await pass(700);
    log.lead();
    await pass(290);
    expect(holder()).toBe('a');
    await pass(30);
    expect(holder()).toBeUndefined();
  });

  it('of a snapshot begins when it arrives', async () => {
    log.followLeader(2);
    log.install([{ type: 'lock-acquire', ...wants('a'), at: clock.now() - 50 * TTL }]);
    log.lead();
    await pass(TTL - 10);
    expect(holder()).toBe('a');
    await pass(30);
    expect(holder()).toBeUndefined();
  });

  it('that a snapshot repeats keeps its age', async () => {
    log.follow();
    log.apply({ type: 'lock-acquire', ...wants('a'), at: clock.now() });
    await pass(700);
    log.install([]);
    log.lead();
    await pass(320);
    expect(holder()).toBeUndefined();
  });

  it('is watched by a new leader also when there are thousands', async () => {
    log.follow();
    for (let at = 0; at < 2_500; at++)
      log.apply({ type: 'lock-acquire', ...wants('a'), name: `n${at}`, at: clock.now() });
    log.lead();
    for (let turn = 0; turn < 5; turn++) await pass(0);
    await pass(TTL + 20);
    expect(log.state.locks.size).toBe(0);
    expect(recordsOf('lock-expire')).toBe(Math.ceil(2_500 / LIMITS.lockExpiriesPerRecord));
  });

  it('needs no agreement of the clocks: its length is measured', async () => {
    const apart: GroupClocks = {
      voters: 3,
      readings: () => [60_000, 120_000].map((ms) => ({ unixMs: ms, readAt: clock.monotonic(), errorMs: 0 })),
    };
    const own = new ControlledLog(1);
    const node = new Locks({ log: own, clock, groupClocks: apart });
    own.lead();
    await node.acquire(wants('a'));
    await pass(TTL + 20);
    expect(own.state.locks.get('lock')).toBeUndefined();
    node.stop();
  });
});

describe('clients that wait', () => {
  it('get the lock in the order of arrival, each when the one before gives it back', async () => {
    const first = await locks.acquire(wants('a'));
    const [b, c, d] = ['b', 'c', 'd'].map((owner) => waiting(owner)) as [
      Watched<LockView>,
      Watched<LockView>,
      Watched<LockView>,
    ];
    await settle();
    expect((await locks.list({ limit: 5 }, 'linearizable')).value.items).toMatchObject([{ owner: 'a', waiters: 3 }]);
    let token = first.fencingToken;
    for (const [watched, before] of [
      [b, 'a'],
      [c, 'b'],
      [d, 'c'],
    ] as const) {
      expect(watched.value).toBeUndefined();
      await locks.release({ name: 'lock', owner: before, fencingToken: token });
      await settle();
      expect(watched.value!.fencingToken).toBeGreaterThan(token);
      token = watched.value!.fencingToken;
    }
  });

  it('get it when the lease of the holder ends', async () => {
    await locks.acquire(wants('a'));
    const b = waiting('b');
    await pass(TTL + 20);
    expect(b.value?.owner).toBe('b');
  });

  it('are before anyone who comes when the lock is free', async () => {
    const { fencingToken } = await locks.acquire(wants('a'));
    const b = waiting('b');
    await settle();
    log.held = true;
    const released = watch(locks.release({ name: 'lock', owner: 'a', fencingToken }));
    await settle();
    log.applyNext();
    const c = watch(locks.acquire(wants('c', { waitMs: 10 })));
    log.release();
    await settle();
    expect([released.error, b.value?.owner, c.value]).toEqual([undefined, 'b', undefined]);
  });

  it('keep their place when somebody was in the log before', async () => {
    const { fencingToken } = await locks.acquire(wants('a'));
    const [b, c] = [waiting('b'), waiting('c')];
    await settle();
    log.held = true;
    watch(locks.release({ name: 'lock', owner: 'a', fencingToken }));
    log.confirmationsHeld = false;
    const hasty = watch(locks.acquire(wants('h'))); // confirmed and refused, or proposed behind the release
    await settle();
    log.apply({ type: 'lock-release', name: 'lock', owner: 'a', fencingToken, at: clock.now() });
    log.apply({ type: 'lock-acquire', ...wants('x'), at: clock.now() });
    log.release();
    await settle();
    expect([b.value, b.error, c.value, hasty.error?.code]).toEqual([undefined, undefined, undefined, 'LOCK_HELD']);
    await locks.release({ name: 'lock', owner: 'x', fencingToken: log.state.locks.get('lock')!.fencingToken });
    await settle();
    expect([b.value?.owner, c.value]).toEqual(['b', undefined]);
  });

  it('are told who has it when their time is over', async () => {
    await locks.acquire(wants('a', { ttlMs: 60_000 }));
    const b = watch(locks.acquire(wants('b', { waitMs: 500 })));
    await pass(499);
    expect(b.error).toBeUndefined();
    await pass(1);
    expect(b.error).toMatchObject({ code: 'LOCK_HELD', details: { holder: { owner: 'a' } } });
    expect(locks.figures().waiting).toBe(0);
  });

  it('of the owner that gets the lock get it together: they are one', async () => {
    const { fencingToken } = await locks.acquire(wants('a'));
    const [one, other, again] = [waiting('b'), waiting('c'), waiting('b')];
    await settle();
    await locks.release({ name: 'lock', owner: 'a', fencingToken });
    await settle();
    expect(one.value!.fencingToken).toBe(again.value?.fencingToken);
    expect(other.value).toBeUndefined();
    expect(recordsOf('lock-acquire')).toBe(3);
  });

  it('leave the queue when they go away', async () => {
    const { fencingToken } = await locks.acquire(wants('a'));
    const gone = new AbortController();
    waiting('b', gone.signal);
    const c = waiting('c');
    await settle();
    gone.abort();
    await settle();
    expect(locks.figures().waiting).toBe(1);
    await locks.release({ name: 'lock', owner: 'a', fencingToken });
    await settle();
    expect(c.value?.owner).toBe('c');
  });

  it('that went away while the lock was granted to them do not keep it', async () => {
    const { fencingToken } = await locks.acquire(wants('a'));
    const gone = new AbortController();
    waiting('b', gone.signal);
    const c = waiting('c');
    await settle();
    log.held = true;
    watch(locks.release({ name: 'lock', owner: 'a', fencingToken }));
    await settle();
    log.applyNext();
    gone.abort();
    log.release();
    await settle();
    expect([c.value?.owner, locks.figures().events.abandoned]).toEqual(['c', 1]);
  });

  it('that went away are refused at once, and a holder that went away keeps what it had', async () => {
    const gone = AbortSignal.abort();
    const { fencingToken } = await locks.acquire(wants('a'));
    await locks.acquire(wants('a'), gone);
    await settle();
    expect(holder()).toBe('a');
    const b = waiting('b', gone);
    await settle();
    expect([b.value, locks.figures().waiting]).toEqual([undefined, 0]);
    await locks.release({ name: 'lock', owner: 'a', fencingToken });
    watch(locks.acquire(wants('d'), gone));
    await settle();
    expect(holder()).toBeUndefined();
  });

  it('are refused when too many wait for one lock, or for all', async () => {
    for (const name of ['lock', 'other']) await locks.acquire(wants('a', { name }));
    for (const owner of ['b', 'c', 'd']) waiting(owner);
    await settle();
    await expect(locks.acquire(wants('e', { waitMs: 9 }))).rejects.toMatchObject({ code: 'TOO_MANY_WAITERS' });
    watch(locks.acquire(wants('e', { name: 'other', waitMs: 9 })));
    await expect(locks.acquire(wants('f', { name: 'other', waitMs: 9 }))).rejects.toMatchObject({
      code: 'TOO_MANY_WAITERS',
      retryable: true,
    });
  });

  it('must ask the next leader when this one is deposed, and another node when this one stops', async () => {
    await locks.acquire(wants('a'));
    const b = waiting('b');
    await settle();
    log.follow();
    await settle();
    expect(b.error).toMatchObject({ code: 'LOG_UNAVAILABLE', reason: 'no-leader', retryable: true });
    log.lead();
    const c = waiting('c');
    await settle();
    locks.endWaits();
    await settle();
    expect(c.error).toMatchObject({ code: 'LOG_UNAVAILABLE', reason: 'handing-over' });
  });

  it('learn that nobody knows when the leader is deposed while their grant is in flight', async () => {
    const { fencingToken } = await locks.acquire(wants('a'));
    const b = waiting('b');
    await settle();
    log.held = true;
    watch(locks.release({ name: 'lock', owner: 'a', fencingToken }));
    await settle();
    log.applyNext();
    log.follow(1);
    await settle();
    expect(b.error?.code).toBe('OUTCOME_UNKNOWN');
    log.held = false;
    log.lead();
    expect(await locks.acquire(wants('b'))).toMatchObject({ owner: 'b' }); // the repeat finds it
  });
});

describe('the list of locks', () => {
  it('is paged by token, and complete on the leader', async () => {
    const tokens: number[] = [];
    for (const name of ['z', 'y', 'x']) tokens.push((await locks.acquire(wants('a', { name }))).fencingToken);
    const first = await locks.list({ limit: 2 }, 'linearizable');
    expect(first).toMatchObject({ leaderKnowsMore: false, appliedIndex: log.appliedIndex });
    expect(first.value).toMatchObject({ items: [{ name: 'z', waiters: 0 }, { name: 'y' }], nextCursor: tokens[1] });
    const second = await locks.list({ limit: 2, cursor: first.value.nextCursor! }, 'linearizable');
    expect(second.value).toMatchObject({ items: [{ name: 'x' }], nextCursor: null });
  });

  it('of a follower lacks only those who wait, which the leader knows', async () => {
    log.followLeader(2);
    expect(await locks.list({ limit: 5 }, 'linearizable')).toMatchObject({ leaderKnowsMore: false });
    log.unapplied.push({ type: 'lock-acquire', ...wants('a'), at: 1 });
    const stale = await locks.list({ limit: 5 }, 'stale');
    expect(stale).toMatchObject({ leaderKnowsMore: false, value: { items: [{ owner: 'a', waiters: null }] } });
    expect(await locks.list({ limit: 5 }, 'linearizable')).toMatchObject({ leaderKnowsMore: true });
  });
});
