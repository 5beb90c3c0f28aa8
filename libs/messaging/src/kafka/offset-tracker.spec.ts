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

  it('gives the oldest up when too many have gathered behind it, and remembers no more than that', () => {
    const tracker = new OffsetTracker(0, 100);
    tracker.begin(0); // its handler never settles
    const givenUp: number[] = [];
    let widest = 0;
    for (let offset = 1; offset < 200_000; offset++) {
      const lost = tracker.begin(offset);
      if (lost !== undefined) givenUp.push(lost);
      tracker.finish(offset);
      widest = Math.max(widest, tracker.span);
    }
    expect(widest).toBe(100);
    expect(givenUp).toEqual([0]);
    expect(tracker.position).toBe(200_000);
    tracker.finish(0);
    expect([tracker.position, tracker.unfinished]).toEqual([200_000, 0]);
  });

  it('gives up only what is not finished', () => {
    const tracker = new OffsetTracker(0, 3);
    for (const offset of [0, 1, 2]) expect(tracker.begin(offset)).toBeUndefined();
    tracker.finish(1);
    expect(tracker.begin(3)).toBe(0);
    expect([tracker.position, tracker.unfinished, tracker.span]).toEqual([2, 2, 2]);
    tracker.finish(0);
    tracker.finish(2);
    tracker.finish(3);
    expect([tracker.position, tracker.unfinished]).toEqual([4, 0]);
  });
});
