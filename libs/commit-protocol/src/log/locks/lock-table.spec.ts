import { describe, expect, it } from '@jest/globals';
import { SeededRandom, randomInteger, randomItem } from '@concordat/foundation';
import { LIMITS } from '../../vocabulary/limits.js';
import type { Refusal } from '../apply-result.js';
import { DecisionState } from '../decision-state.js';
import type { DecisionStateSnapshot } from '../decision-state-snapshot.js';
import { PlainEndedTransactions } from '../../testing/plain-ended-transactions.js';
import { isLockRecord, type LockRecord } from './lock-records.js';
import type { LockLease } from './lock-lease.js';
import { LockTable } from './lock-table.js';

const AT = 1_000_000;
const TTL = 1_000;

/** A record at a time after `AT`. */
const acquire = (owner: string, afterMs = 0, name = 'lock', ttlMs = TTL): LockRecord => ({
  type: 'lock-acquire',
  name,
  owner,
  ttlMs,
  at: AT + afterMs,
});
const renew = (owner: string, fencingToken: number, afterMs = 0, ttlMs = TTL): LockRecord => ({
  type: 'lock-renew',
  name: 'lock',
  owner,
  fencingToken,
  ttlMs,
  at: AT + afterMs,
});
const release = (owner: string, fencingToken: number, unrenewedSince?: number): LockRecord => ({
  type: 'lock-release',
  name: 'lock',
  owner,
  fencingToken,
  ...(unrenewedSince !== undefined && { unrenewedSince }),
  at: AT,
});
const expire = (renewedIndex: number, afterMs: number, name = 'lock'): LockRecord => ({
  type: 'lock-expire',
  leases: [{ name, renewedIndex }],
  at: AT + afterMs,
});

/** Records at the indices 1, 2, … */
function after(...records: readonly LockRecord[]): DecisionState {
  const state = new DecisionState(new PlainEndedTransactions());
  records.forEach((record, place) => state.apply(record, place + 1));
  return state;
}

const held = (owner: string, fencingToken: number, renewedIndex: number, expiresAfterMs: number): LockLease => ({
  name: 'lock',
  owner,
  fencingToken,
  renewedIndex,
  ttlMs: TTL,
  expiresAt: AT + expiresAfterMs,
});

describe('the lock table', () => {
  it.each<[string, readonly LockRecord[], LockLease | undefined]>([
    ['a free lock is granted; the token is the index', [acquire('a')], held('a', 1, 1, TTL)],
    [
      'the holder that asks again renews, and keeps its token',
      [acquire('a'), acquire('a', 400)],
      held('a', 1, 2, 1_400),
    ],
    ['a renewal keeps the token', [acquire('a'), renew('a', 1, 300)], held('a', 1, 2, 1_300)],
    ['another owner changes nothing', [acquire('a'), acquire('b', 10)], held('a', 1, 1, TTL)],
    ['a release makes it free', [acquire('a'), release('a', 1)], undefined],
    ['the next holder has a higher token', [acquire('a'), release('a', 1), acquire('b')], held('b', 3, 3, TTL)],
    [
      'the same owner later has a higher token, too',
      [acquire('a'), release('a', 1), acquire('a')],
      held('a', 3, 3, TTL),
    ],
    ['a lease that has run out ends', [acquire('a'), expire(1, TTL)], undefined],
    ['a lease lasts until a record ends it', [acquire('a'), acquire('b', 50 * TTL)], held('a', 1, 1, TTL)],
    ['and can be renewed until then', [acquire('a'), renew('a', 1, 50 * TTL)], held('a', 1, 2, 51 * TTL)],
    ['an expiry before the time does nothing', [acquire('a'), expire(1, TTL - 1)], held('a', 1, 1, TTL)],
    ['a renewal saves it from an expiry', [acquire('a'), renew('a', 1), expire(1, TTL)], held('a', 1, 2, TTL)],
    ['an expiry of another lease does nothing', [acquire('a'), expire(1, 9 * TTL, 'other')], held('a', 1, 1, TTL)],
    ['what was given back by a client that went away is free', [acquire('a'), release('a', 1, 1)], undefined],
    ['unless its owner asked again', [acquire('a'), acquire('a'), release('a', 1, 1)], held('a', 1, 2, TTL)],
    [
      'log time counts, not the time of a record that is late',
      [acquire('b', 700, 'x'), acquire('a')],
      held('a', 2, 2, 1_700),
    ],
  ])('%s', (_name, records, lease) => {
    expect(after(...records).locks.get('lock')).toEqual(lease);
  });

  it.each<[string, readonly LockRecord[], LockRecord, Refusal, LockLease | undefined]>([
    ['held by another', [acquire('a')], acquire('b'), 'LOCK_HELD', held('a', 1, 1, TTL)],
    ['renewed by another', [acquire('a')], renew('b', 1), 'LOCK_NOT_HELD', held('a', 1, 1, TTL)],
    ['renewed under another token', [acquire('a')], renew('a', 7), 'LOCK_NOT_HELD', held('a', 1, 1, TTL)],
    ['renewed when it is free', [], renew('a', 1), 'LOCK_NOT_HELD', undefined],
    ['released by another', [acquire('a')], release('b', 1), 'LOCK_NOT_HELD', held('a', 1, 1, TTL)],
    ['released under another token', [acquire('a')], release('a', 2), 'LOCK_NOT_HELD', held('a', 1, 1, TTL)],
    ['released twice', [acquire('a'), release('a', 1)], release('a', 1), 'LOCK_NOT_HELD', undefined],
    [
      'renewed after it expired and another has it',
      [acquire('a'), expire(1, TTL), acquire('b', TTL)],
      renew('a', 1, TTL),
      'LOCK_NOT_HELD',
      held('b', 3, 3, 2 * TTL),
    ],
  ])('refuses what is %s, and changes nothing', (_name, records, record, refusal, standing) => {
    const state = after(...records);
    const before = JSON.stringify([...state.locks.all()]);
    const result = state.apply(record, records.length + 1);
    expect([result.refusal, result.lock, result.transactions]).toEqual([refusal, standing, []]);
    expect(JSON.stringify([...state.locks.all()])).toBe(before);
  });

  it('says which leases a record has ended', () => {
    const state = after(acquire('a'), acquire('b', 0, 'other'), acquire('c', 0, 'third', 9_000));
    const leases = ['lock', 'other', 'third', 'unknown'].map((name, place) => ({ name, renewedIndex: place + 1 }));
    const { endedLocks } = state.apply({ type: 'lock-expire', leases, at: AT + TTL }, 4);
    expect(endedLocks?.map(({ name }) => name)).toEqual(['lock', 'other']);
    expect(
      state.apply({ ...acquire('c', 0, 'third'), type: 'lock-release', fencingToken: 3 } as LockRecord, 5),
    ).toMatchObject({ endedLocks: [{ name: 'third' }] });
  });

  it('lists by token, also after renewals', () => {
    const state = after(acquire('a'), acquire('b', 0, 'other'), renew('a', 1));
    expect(Array.from(state.locks.all(), ({ name }) => name)).toEqual(['lock', 'other']);
  });

  it('holds so many locks and no more; the holders can still renew', () => {
    const state = new DecisionState(new PlainEndedTransactions());
    for (let index = 1; index <= LIMITS.locks; index++) state.apply(acquire('a', 0, `lock-${index}`), index);
    expect(state.apply(acquire('a', 0, 'one more'), LIMITS.locks + 1)).toEqual({
      refusal: 'TOO_MANY_LOCKS',
      transactions: [],
    });
    expect(state.apply(acquire('a', 0, 'lock-1'), LIMITS.locks + 2).refusal).toBeUndefined();
    expect(state.locks.size).toBe(LIMITS.locks);
  });

  it('asserts that a token is never granted twice, and that no snapshot breaks the order', () => {
    const table = new LockTable();
    table.apply(acquire('a'), 5, AT);
    table.apply(release('a', 5), 6, AT);
    expect(() => table.apply(acquire('b'), 5, AT)).toThrow('a fencing token is higher than all before it');
    const [low, high] = [held('a', 1, 1, TTL), { ...held('b', 2, 2, TTL), name: 'other' }];
    expect(() => table.restore([high, low])).toThrow('a fencing token is higher than all before it');
    expect(() => table.restore([low, { ...high, name: low.name }])).toThrow('a lock has at most one lease');
  });

  it('continues from a snapshot as if it had applied the records itself; a snapshot without locks has none', () => {
    const random = new SeededRandom(3);
    const [state, copy] = [after(), after()];
    for (let index = 1; index < 3_000; index++) {
      const record = anyRecord(random, state, index);
      const result = state.apply(record, index);
      if (index > 1) expect(copy.apply(record, index)).toEqual(result);
      copy.restoreSnapshot(JSON.parse(JSON.stringify(state.takeSnapshot())) as DecisionStateSnapshot);
    }
    const { locks: _none, ...old } = state.takeSnapshot();
    copy.restoreSnapshot(old);
    expect(copy.locks.size).toBe(0);
  });

  it('freezes with the state, while locks change', () => {
    const state = after(acquire('a'), acquire('b', 0, 'other'));
    const frozen = state.freeze(2);
    state.apply(renew('a', 1, 500), 3);
    state.apply(release('a', 1), 4);
    expect(frozen.locks.map(({ owner, renewedIndex }) => [owner, renewedIndex])).toEqual([
      ['a', 1],
      ['b', 2],
    ]);
  });

  it('keeps its rules under any records: one lease at a time, and only higher tokens', () => {
    const random = new SeededRandom(7);
    const state = after();
    const highest = new Map<string, number>();
    let latest = 0;
    for (let index = 1; index <= 20_000; index++) {
      const before = new Map(Array.from(state.locks.all(), (lease) => [lease.name, lease] as const));
      const record = anyRecord(random, state, index);
      state.apply(record, index);
      for (const lease of state.locks.all()) {
        const standing = before.get(lease.name);
        if (standing?.fencingToken === lease.fencingToken) expect(standing.owner).toBe(lease.owner);
        else {
          expect(standing).toBeUndefined(); // only a release or an expiry comes between two holders
          expect(lease.fencingToken).toBeGreaterThan(Math.max(latest, highest.get(lease.name) ?? 0));
          latest = lease.fencingToken;
          highest.set(lease.name, latest);
        }
      }
    }
    expect(highest.size).toBe(3);
  });
});

it('a record about a lock is told from others by its type', () => {
  expect([acquire('a'), expire(1, 1)].every(isLockRecord)).toBe(true);
  expect(isLockRecord({ type: 'branches-done' })).toBe(false);
});

/** Often about leases that stand; sometimes stale. */
function anyRecord(random: SeededRandom, state: DecisionState, index: number): LockRecord {
  const name = randomItem(random, ['one', 'two', 'three']);
  const owner = randomItem(random, ['a', 'b', 'c']);
  const lease = state.locks.get(name);
  const [fencingToken, renewedIndex] = [lease?.fencingToken ?? 1, lease?.renewedIndex ?? 1].map(
    (at) => at - (randomInteger(random, 0, 3) === 0 ? 1 : 0),
  ) as [number, number];
  const at = AT + index * 40 + randomInteger(random, -500, 500);
  const proof = { name, owner: randomInteger(random, 0, 2) === 0 ? owner : (lease?.owner ?? owner), fencingToken, at };
  switch (randomInteger(random, 0, 3)) {
    case 0:
      return { type: 'lock-acquire', name, owner, ttlMs: TTL, at };
    case 1:
      return { type: 'lock-renew', ...proof, ttlMs: TTL };
    case 2:
      return { type: 'lock-release', ...proof };
    default:
      return { type: 'lock-expire', leases: [{ name, renewedIndex }], at };
  }
}
