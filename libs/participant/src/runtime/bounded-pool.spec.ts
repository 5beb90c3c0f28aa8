import { describe, expect, it } from '@jest/globals';
import { VirtualClock } from '@concordat/foundation';
import { BoundedPool } from './bounded-pool.js';

const hang = (): Promise<void> => new Promise(() => undefined);

function createPool(): { pool: BoundedPool; clock: VirtualClock } {
  const clock = new VirtualClock();
  return { pool: new BoundedPool(2, 1, clock), clock };
}

describe('BoundedPool', () => {
  it('runs as many at once as it may, lets some wait and refuses the rest', async () => {
    const { pool } = createPool();
    let end: () => void = () => undefined;
    const ran: string[] = [];
    pool.submit('a', () => new Promise((resolve) => (end = resolve)));
    pool.submit('b', hang);
    expect(pool.submit('c', async () => void ran.push('c'))).toBe(true);
    expect(pool.submit('d', hang)).toBe(false);
    expect([pool.runningCount, pool.waitingCount]).toEqual([2, 1]);
    end();
    await new Promise((resolve) => setImmediate(resolve));
    expect([ran, pool.runningCount, pool.waitingCount]).toEqual([['c'], 1, 0]);
  });

  it('starts nothing while there is no room, and everything in order when there is', async () => {
    let room = 0;
    const pool = new BoundedPool(2, 4, new VirtualClock(), (running) => running < room);
    const ran: string[] = [];
    for (const key of ['a', 'b', 'c']) pool.submit(key, async () => void ran.push(key));
    expect([ran, pool.waitingCount]).toEqual([[], 3]);
    room = 1;
    pool.submit('d', async () => void ran.push('d'));
    expect([ran, pool.waitingCount]).toEqual([[], 4]); // it does not overtake
    pool.wake();
    await new Promise((resolve) => setImmediate(resolve));
    expect([ran, pool.runningCount, pool.waitingCount]).toEqual([['a', 'b', 'c', 'd'], 0, 0]);
  });

  it('tells how long the oldest has been running', () => {
    const { pool, clock } = createPool();
    expect(pool.oldestRunningMs).toBe(0);
    pool.submit('a', hang);
    clock.advance(500);
    pool.submit('b', hang);
    clock.advance(100);
    expect(pool.oldestRunningMs).toBe(600);
  });

  it('counts what should have ended, from its deadline or its start, whichever is later', () => {
    const { pool, clock } = createPool();
    pool.submit('work', hang, () => 30_000);
    pool.submit('decision', hang);
    clock.advance(60_000);
    expect(pool.overdueCount).toBe(0);
    clock.advance(1);
    expect(pool.overdueCount).toBe(1);
    clock.advance(30_000);
    expect(pool.overdueCount).toBe(2);
  });
});
