import { describe, expect, it } from '@jest/globals';
import { VirtualClock } from '@concordat/foundation';
import { BranchOccupiedError, HeldBranchesExhaustedError } from './errors.js';
import { HeldPlaces } from './held-places.js';
import { turns } from './testing/runtime-system.js';

function places(maximum: number, maximumWaiting = 10) {
  const clock = new VirtualClock();
  const room = { has: true };
  const held = new HeldPlaces({ clock, maximum, maximumWaiting, hasRoom: () => room.has, onFreed: () => undefined });
  const log: string[] = [];
  const take = (branchId: string, limitMs = 1_000, suspends: readonly string[] = []): Promise<void> =>
    held.take(branchId, limitMs, suspends).then(
      () => void log.push(branchId),
      (error: Error) =>
        void log.push(`${branchId}: ${error instanceof HeldBranchesExhaustedError ? 'exhausted' : error.name}`),
    );
  return { clock, held, log, take, room };
}

describe('the places for held branches', () => {
  it('are given in the order of the requests', async () => {
    const { held, log, take } = places(1);
    void take('a');
    void take('b');
    void take('c');
    await turns();
    expect(log).toEqual(['a']);
    held.free('a');
    await turns();
    expect([log, held.takenCount, held.waitingCount]).toEqual([['a', 'b'], 1, 1]);
  });

  it('are not waited for beyond the deadline', async () => {
    const { clock, held, log, take } = places(1);
    void take('a');
    void take('b', 100);
    void take('late', 0);
    clock.advance(99);
    await turns();
    expect(log).toEqual(['a', 'late: exhausted']);
    clock.advance(1);
    await turns();
    held.free('a');
    await turns();
    expect([log.at(-1), held.takenCount, held.waitingCount]).toEqual(['b: exhausted', 0, 0]);
  });

  it('are refused at once to a wait for oneself, also through others', async () => {
    const { log, take } = places(2);
    void take('outer-1');
    void take('outer-2');
    void take('inner-1', 1_000, ['outer-1']); // outer-2 may still end
    await turns();
    expect(log).toEqual(['outer-1', 'outer-2']);
    void take('inner-2', 1_000, ['outer-2']); // now nothing can end
    await turns();
    expect(log).toEqual(['outer-1', 'outer-2', 'inner-2: exhausted']);
  });

  it('are given again when the refused one has let its own go', async () => {
    const { held, log, take } = places(1);
    void take('outer');
    void take('inner', 1_000, ['outer']);
    await turns();
    held.free('outer');
    void take('next');
    await turns();
    expect(log).toEqual(['outer', 'inner: exhausted', 'next']);
  });

  it('wait for room in the database', async () => {
    const { held, log, room, take } = places(2);
    room.has = false;
    void take('a');
    await turns();
    expect(log).toEqual([]);
    room.has = true;
    held.wake();
    await turns();
    expect(log).toEqual(['a']);
  });

  it('have a bounded queue, and one place for one branch', async () => {
    const { held, log, take } = places(1, 1);
    void take('a');
    void take('b');
    void take('c');
    await turns();
    expect(log).toEqual(['a', 'c: exhausted']);
    await expect(held.take('a', 1_000, [])).rejects.toThrow(BranchOccupiedError);
    await expect(held.take('b', 1_000, [])).rejects.toThrow(BranchOccupiedError);
  });
});
