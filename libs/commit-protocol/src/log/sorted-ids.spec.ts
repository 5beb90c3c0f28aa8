import { describe, expect, it } from '@jest/globals';
import { SeededRandom, randomChance, randomInteger } from '@concordat/foundation';
import { SortedIds } from './sorted-ids.js';

const textOf = (number: number): string => String(number).padStart(6, '0');

describe('ids in their order', () => {
  it('are walked from either end, and from any place', () => {
    const ids = new SortedIds();
    for (const id of ['c', 'a', 'e']) ids.add(id);
    expect([...ids.below()]).toEqual(['e', 'c', 'a']);
    expect([...ids.above()]).toEqual(['a', 'c', 'e']);
    expect(['a', 'b', 'c', 'f'].map((id) => [...ids.below(id)].join(''))).toEqual(['', 'a', 'a', 'eca']);
    expect(['', 'a', 'b', 'c', 'f'].map((id) => [...ids.above(id)].join(''))).toEqual(['ace', 'ce', 'ce', 'e', '']);
  });

  it('are none to begin with, and when all were removed', () => {
    const ids = new SortedIds();
    for (const id of [undefined, 'a']) expect([...ids.below(id), ...ids.above(id)]).toEqual([]);
    ids.add('a');
    ids.delete('b');
    ids.delete('a');
    expect([...ids.below(), ...ids.above()]).toEqual([]);
  });

  it.each([1, 2, 3, 4])('are those of a plain set that is sorted, whatever was added and removed (seed %d)', (seed) => {
    const random = new SeededRandom(seed);
    const ids = new SortedIds();
    const model = new Set<string>();
    const growing = (step: number): number => ((step >> 12) % 2 === 0 ? 0.7 : 0.3);
    for (let step = 0; step < 20_000; step++) {
      const ascending = randomChance(random, 0.5);
      const id = textOf(ascending ? step * 2 : randomInteger(random, 0, 40_000));
      if (!model.has(id) && randomChance(random, growing(step))) {
        model.add(id);
        ids.add(id);
      } else {
        const victim = model.has(id) ? id : ([...model.keys()][0] ?? id);
        model.delete(victim);
        ids.delete(victim);
      }
      if (step % 1_000 !== 0) continue;
      const sorted = [...model].sort();
      const from = textOf(randomInteger(random, 0, 40_000));
      expect([...ids.above()]).toEqual(sorted);
      expect([...ids.below(from)]).toEqual(sorted.filter((other) => other < from).reverse());
      expect([...ids.above(from)]).toEqual(sorted.filter((other) => other > from));
    }
  });

  it('are replaced as a whole', () => {
    const ids = new SortedIds();
    ids.add('x');
    const many = Array.from({ length: 5_000 }, (_, number) => textOf(number));
    ids.reset([...many].reverse());
    expect([...ids.above()]).toEqual(many);
    ids.add(textOf(2_000) + 'a');
    expect([...ids.above(textOf(1_999))].slice(0, 3)).toEqual([textOf(2_000), `${textOf(2_000)}a`, textOf(2_001)]);
  });
});
