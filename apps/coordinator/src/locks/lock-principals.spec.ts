import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { VirtualClock } from '@concordat/foundation';
import { ControlledLog } from '../transactions/testing/controlled-log.js';
import { decodeRecord, encodeRecord } from '../decision-log/record-codec.js';
import { Locks } from './locks.js';
import type { AcquireRequest, LockView } from './locks.api.js';

const TTL = 10_000;
const ALICE = 'token:alice';
const MALLORY = 'token:mallory';

let clock: VirtualClock;
let log: ControlledLog;
let locks: Locks;

beforeEach(() => {
  clock = new VirtualClock();
  log = new ControlledLog(1);
  locks = new Locks({ log, clock });
  log.lead();
});
afterEach(() => locks.stop());

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const take = (principal: string | undefined, changes: Partial<AcquireRequest> = {}): Promise<LockView> =>
  locks.acquire({
    name: 'lock',
    owner: 'worker',
    ttlMs: TTL,
    waitMs: 0,
    ...(principal !== undefined && { principal }),
    ...changes,
  });
const held = () => log.state.locks.get('lock');
const lockRecords = (): number => log.applied.filter(({ record }) => record.type.startsWith('lock-')).length;

describe('a lock that a principal has taken', () => {
  it('is renewed and released by it, and remembers it', async () => {
    const { fencingToken, ...view } = await take(ALICE);
    expect(view).not.toHaveProperty('principal');
    expect(held()).toMatchObject({ owner: 'worker', principal: ALICE });
    const proof = { name: 'lock', owner: 'worker', fencingToken, principal: ALICE };
    await locks.renew({ ...proof, ttlMs: TTL });
    expect(held()).toMatchObject({ principal: ALICE });
    expect(await take(ALICE)).toMatchObject({ fencingToken });
    await locks.release(proof);
    expect(held()).toBeUndefined();
  });

  it('is neither renewed nor released by another who knows owner and token, and nothing is logged', async () => {
    const { fencingToken } = await take(ALICE);
    const before = [held(), lockRecords()];
    const stolen = { name: 'lock', owner: 'worker', fencingToken, principal: MALLORY };
    const refused = { code: 'FORBIDDEN', message: expect.stringContaining('taken by another principal') };
    await expect(locks.renew({ ...stolen, ttlMs: 100 })).rejects.toMatchObject(refused);
    await expect(locks.release(stolen)).rejects.toMatchObject(refused);
    const wrong = { ...stolen, fencingToken: fencingToken + 1 }; // that of a record that is about to be logged, say
    await expect(locks.release(wrong)).rejects.toMatchObject({ code: 'LOCK_NOT_HELD' });
    expect([held(), lockRecords()]).toEqual(before);
    expect(locks.figures().events.refused).toBe(3);
  });

  it('is not another principal’s by the same owner, whether it asks later, waits, or at the same moment', async () => {
    const [lease, thief] = [take(ALICE), take(MALLORY, { ttlMs: 100 }).catch((error: unknown) => error)];
    const { fencingToken, expiresAt } = await lease;
    expect(await thief).toMatchObject({ code: 'LOCK_HELD', details: { holder: { owner: 'worker', expiresAt } } });
    await expect(take(MALLORY)).rejects.toMatchObject({ code: 'LOCK_HELD' });
    const waiting = take(MALLORY, { waitMs: 60_000 });
    await take(ALICE); // its owner gets it at once, and this is not its owner
    await settle();
    expect(held()).toMatchObject({ principal: ALICE, fencingToken });
    await locks.release({ name: 'lock', owner: 'worker', fencingToken, principal: ALICE });
    expect((await waiting).fencingToken).toBeGreaterThan(fencingToken);
    expect(held()).toMatchObject({ principal: MALLORY });
  });

  it('is renewed and released by force', async () => {
    const { fencingToken } = await take(ALICE);
    const forced = { name: 'lock', owner: 'worker', fencingToken, principal: 'jwt:oscar', isForced: true } as const;
    await locks.renew({ ...forced, ttlMs: 2 * TTL });
    expect(held()).toMatchObject({ principal: ALICE, ttlMs: 2 * TTL });
    await locks.release(forced);
    expect(held()).toBeUndefined();
  });

  it('is everybody’s when nobody is asked any more', async () => {
    const { fencingToken } = await take(ALICE);
    expect(await take(undefined)).toMatchObject({ fencingToken });
    await locks.release({ name: 'lock', owner: 'worker', fencingToken });
    expect(held()).toBeUndefined();
  });

  it('stands in the list with its principal, in that of its principal, and in no other’s', async () => {
    await take(ALICE);
    await take(MALLORY, { name: 'other' });
    await take(undefined, { name: 'nobody’s' });
    const list = async (principal?: string) => {
      const { value } = await locks.list({ limit: 10, ...(principal !== undefined && { principal }) }, 'linearizable');
      return value.items.map(({ name, principal: by }) => [name, by]);
    };
    expect(await list()).toEqual([
      ['lock', ALICE],
      ['other', MALLORY],
      ['nobody’s', undefined],
    ]);
    expect(await list(ALICE)).toEqual([['lock', ALICE]]);
    expect(await list('token:bob')).toEqual([]);
  });
});

describe('during a rolling update', () => {
  it('a lease that a former release granted is known by owner and token alone, and keeps working', async () => {
    const former = '{"type":"lock-acquire","name":"lock","owner":"worker","ttlMs":10000,"at":1}';
    const record = decodeRecord(Buffer.concat([Buffer.of(1), Buffer.from(former)]));
    log.apply(record);
    const fencingToken = log.appliedIndex;
    expect(held()).toEqual({
      name: 'lock',
      owner: 'worker',
      fencingToken,
      renewedIndex: fencingToken,
      ttlMs: TTL,
      expiresAt: expect.any(Number),
    });
    expect(await take(ALICE)).toMatchObject({ fencingToken });
    const proof = { name: 'lock', owner: 'worker', fencingToken, principal: MALLORY };
    await locks.renew({ ...proof, ttlMs: TTL });
    expect(held()).not.toHaveProperty('principal');
    await locks.release(proof);
    expect(held()).toBeUndefined();
  });

  it('records are as those of a former release where nobody is asked, and decide alike where a principal is named', async () => {
    await take(undefined);
    await take(ALICE, { name: 'second' });
    const [plain, named] = log.applied
      .map(({ record }) => record)
      .filter(({ type }) => type === 'lock-acquire')
      .map((record) => Buffer.from(encodeRecord(record)).subarray(1).toString());
    expect(plain).toBe('{"type":"lock-acquire","name":"lock","owner":"worker","ttlMs":10000,"at":' + clock.now() + '}');
    expect(JSON.parse(named!)).toMatchObject({ owner: 'worker', principal: ALICE });
  });
});
