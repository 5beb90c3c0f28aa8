import { describe, expect, it } from '@jest/globals';
import { SystemClock, VirtualClock } from './clock.js';
import { SeededRandom, randomInteger } from './random.js';

describe('VirtualClock', () => {
  it('stands still until it is moved, and moves both scales', () => {
    const clock = new VirtualClock(1000);
    expect([clock.now(), clock.monotonic(), clock.nextDueAt()]).toEqual([1000, 0, undefined]);
    clock.advance(7);
    expect([clock.now(), clock.monotonic()]).toEqual([1007, 7]);
  });

  it('fires in the order of time, then of setting', () => {
    const clock = new VirtualClock();
    const fired: string[] = [];
    for (const [name, delayMs] of [
      ['c', 20],
      ['a', 10],
      ['b', 10],
      ['now', -5],
    ] as const) {
      clock.setTimer(delayMs, () => fired.push(name));
    }
    expect(fired).toEqual([]);
    clock.advance(10);
    expect(fired).toEqual(['now', 'a', 'b']);
    clock.advance(9);
    expect(clock.nextDueAt()).toBe(20);
    clock.advance(1);
    expect(fired).toEqual(['now', 'a', 'b', 'c']);
  });

  it('shows a timer its own time, and fires what it sets if that is due', () => {
    const clock = new VirtualClock();
    const times: number[] = [];
    clock.setTimer(5, () => {
      times.push(clock.monotonic());
      clock.setTimer(3, () => times.push(clock.monotonic()));
    });
    clock.advance(10);
    expect([times, clock.monotonic()]).toEqual([[5, 8], 10]);
  });

  it('does not fire what was cancelled, however often', () => {
    const clock = new VirtualClock();
    const timer = clock.setTimer(1, () => expect('this').toBe('never fired'));
    timer.cancel();
    timer.cancel();
    expect([clock.nextDueAt(), clock.fireNext()]).toEqual([undefined, false]);
  });

  it('does not stand still for a timer that sets itself again without a delay', () => {
    const clock = new VirtualClock();
    const again = (): void => void clock.setTimer(0, again);
    again();
    expect(() => clock.advance(1)).toThrow('time stands still at 0 ms: a timer sets itself again');
  });

  it('orders thousands of timers', () => {
    const clock = new VirtualClock();
    const random = new SeededRandom(1);
    const fired: number[] = [];
    const delays = Array.from({ length: 3000 }, () => randomInteger(random, 0, 500));
    for (const delayMs of delays) {
      const timer = clock.setTimer(delayMs, () => fired.push(delayMs));
      if (delayMs % 7 === 0) timer.cancel();
    }
    while (clock.fireNext());
    expect(fired).toEqual(delays.filter((delayMs) => delayMs % 7 > 0).sort((a, b) => a - b));
  });
});

describe('SystemClock', () => {
  it('fires after the delay, never at once, and not when cancelled', async () => {
    const clock = new SystemClock();
    const startedAt = clock.monotonic();
    let fired = 0;
    clock.setTimer(0, () => fired++).cancel();
    const waited = new Promise<void>((resolve) => clock.setTimer(5, resolve));
    expect(fired).toBe(0);
    await waited;
    expect(fired).toBe(0);
    expect(clock.monotonic() - startedAt).toBeGreaterThanOrEqual(4);
    expect(Math.abs(clock.now() - Date.now())).toBeLessThan(1000);
  });
});
