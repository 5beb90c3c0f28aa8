import { describe, expect, it } from '@jest/globals';
import { SeededRandom } from '@concordat/foundation';
import { ElectionTimer } from './election-timer.js';

describe('ElectionTimer', () => {
  it('draws every wait from [n, 2n) ticks', () => {
    const timer = new ElectionTimer(10, new SeededRandom(1));
    const waits = new Set<number>();
    for (let election = 0; election < 500; election++) {
      let ticks = 1;
      while (!timer.tick()) ticks++;
      waits.add(ticks);
      timer.reset();
    }
    expect([...waits].sort((left, right) => left - right)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
  });

  it('is within the shortest wait for n ticks', () => {
    const timer = new ElectionTimer(3, new SeededRandom(1));
    const within = [timer.isWithinMinimum()];
    for (let ticks = 0; ticks < 3; ticks++) {
      timer.tick();
      within.push(timer.isWithinMinimum());
    }
    timer.reset();
    expect([...within, timer.isWithinMinimum()]).toEqual([true, true, true, false, true]);
  });
});
