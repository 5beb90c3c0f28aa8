import { describe, expect, it } from '@jest/globals';
import { VirtualClock } from '@concordat/foundation';
import { ScanTurns } from './scan-turns.js';

async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe('turns of lists', () => {
  it('are shared as long as little is looked at', () => {
    const scans = new ScanTurns(new VirtualClock(), 1_000);
    for (let count = 0; count < 5; count++) {
      expect(scans.turn()).toBeUndefined();
      scans.used(49);
    }
    expect(scans.turn()).toBeUndefined();
  });

  it('go to one list after the other when much is looked at', async () => {
    const clock = new VirtualClock();
    const scans = new ScanTurns(clock, 1_000);
    const done: number[] = [];
    for (const list of [1, 2, 3]) {
      const look = (): void => {
        done.push(list);
        scans.used(900);
      };
      const awaited = scans.turn();
      if (awaited) void awaited.then(look);
      else look();
    }
    for (const expected of [[1], [1, 2], [1, 2, 3]]) {
      expect(done).toEqual(expected);
      clock.fireNext();
      await settle();
    }
  });
});
