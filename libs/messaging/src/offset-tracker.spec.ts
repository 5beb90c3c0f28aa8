import { describe, expect, it } from '@jest/globals';
import { SeededRandom, randomInteger } from '@concordat/foundation';
import { OffsetTracker } from './offset-tracker.js';

describe('OffsetTracker', () => {
  it('stays at the lowest unfinished offset', () => {
    const tracker = new OffsetTracker(10);
    expect(tracker.position).toBe(10);
    for (const offset of [10, 11, 14]) tracker.begin(offset);
    tracker.finish(11);
    expect(tracker.position).toBe(10);
    expect(tracker.unfinished).toBe(2);
    tracker.finish(10);
    expect(tracker.position).toBe(14);
    tracker.finish(14);
    expect(tracker.position).toBe(15);
    expect(tracker.unfinished).toBe(0);
  });

  it('refuses offsets that go back', () => {
    const tracker = new OffsetTracker(5);
    tracker.begin(7);
    expect(() => tracker.begin(7)).toThrow('growing order');
  });

  it('agrees with a plain model over random orders', () => {
    const random = new SeededRandom(7);
    for (let run = 0; run < 20; run++) {
      const tracker = new OffsetTracker(0);
      const open: number[] = [];
      let next = 0;
      for (let step = 0; step < 400; step++) {
        if (open.length === 0 || (open.length < 40 && randomInteger(random, 0, 1) === 0)) {
          tracker.begin(next);
          open.push(next++);
        } else {
          tracker.finish(open.splice(randomInteger(random, 0, open.length - 1), 1)[0]!);
        }
        expect(tracker.unfinished).toBe(open.length);
        expect(tracker.position).toBe(open.length === 0 ? next : Math.min(...open));
      }
    }
  });
});
