import { describe, expect, it } from '@jest/globals';
import { SeededRandom, SystemRandom, randomChance, randomFraction, randomInteger, randomItem } from './random.js';

const draw = (random: { uint32(): number }, count: number): number[] =>
  Array.from({ length: count }, () => random.uint32());

describe('SeededRandom', () => {
  it('repeats itself from its seed, and differs from other seeds', () => {
    expect(draw(new SeededRandom(7), 100)).toEqual(draw(new SeededRandom(7), 100));
    expect(draw(new SeededRandom(7), 4)).not.toEqual(draw(new SeededRandom(8), 4));
  });

  it('gives a fork that the draws of its origin do not shift', () => {
    const [a, b] = [new SeededRandom(7), new SeededRandom(7)];
    const [forkOfA, forkOfB] = [a.fork(), b.fork()];
    draw(a, 50);
    expect(draw(forkOfA, 10)).toEqual(draw(forkOfB, 10));
    expect(draw(b, 50)).not.toEqual(draw(forkOfA, 50));
  });

  it('is uniform: 16 bins of 160,000 draws within 5 % of their share', () => {
    const bins = new Array<number>(16).fill(0);
    for (const value of draw(new SeededRandom(3), 160_000)) bins[value >>> 28]!++;
    for (const count of bins) expect(Math.abs(count - 10_000)).toBeLessThan(500);
  });
});

describe('SystemRandom', () => {
  it('gives unlike numbers of 32 bits, across its blocks', () => {
    const values = draw(new SystemRandom(), 1000);
    expect(new Set(values).size).toBeGreaterThan(990);
    for (const value of values) expect(value >>> 0).toBe(value);
  });
});

describe('draws', () => {
  const least = { uint32: () => 0 };
  const most = { uint32: () => 0xffff_ffff };

  it('stay within their bounds, which they reach', () => {
    expect([randomFraction(least), randomFraction(most) < 1]).toEqual([0, true]);
    expect([randomInteger(least, -3, 5), randomInteger(most, -3, 5)]).toEqual([-3, 5]);
    expect([randomItem(least, ['a', 'b']), randomItem(most, ['a', 'b'])]).toEqual(['a', 'b']);
    expect([randomChance(least, 0), randomChance(most, 1)]).toEqual([false, true]);
  });

  it('need something to draw from', () => {
    expect(() => randomInteger(least, 1, 0)).toThrow('a random range is not empty');
    expect(() => randomItem(least, [])).toThrow('there is an item to choose');
  });
});
