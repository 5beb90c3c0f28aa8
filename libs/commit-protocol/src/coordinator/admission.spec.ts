import { describe, expect, it } from '@jest/globals';
import { SeededRandom, randomChance, randomInteger, randomItem } from '@concordat/foundation';
import { AdmissionQueue, admissionKeys } from './admission.js';

describe('admission by keys', () => {
  it('admits at once what declares no key or meets nobody', () => {
    const queue = new AdmissionQueue(10);
    expect([queue.enter('t1', []), queue.enter('t2', ['a']), queue.enter('t3', ['b'])]).toEqual([true, true, true]);
    expect([queue.isFree(['a']), queue.isFree(['c']), queue.isFree([])]).toEqual([false, true, true]);
  });

  it('admits in the order of arrival, one after another for each key', () => {
    const queue = new AdmissionQueue(10);
    expect(['t1', 't2', 't3'].map((id) => queue.enter(id, ['a']))).toEqual([true, false, false]);
    expect([queue.leave('t1'), queue.leave('t2'), queue.leave('t3')]).toEqual([['t2'], ['t3'], []]);
    expect(queue.isFree(['a'])).toBe(true);
  });

  it('admits only who is first in all its queues', () => {
    const queue = new AdmissionQueue(10);
    queue.enter('t1', ['a']);
    queue.enter('t2', ['b']);
    expect(queue.enter('t3', ['b', 'a', 'b'])).toBe(false);
    expect(queue.leave('t1')).toEqual([]);
    expect(queue.leave('t2')).toEqual(['t3']);
  });

  it('lets one that waits give up without admitting others wrongly', () => {
    const queue = new AdmissionQueue(10);
    queue.enter('t1', ['a']);
    queue.enter('t2', ['a', 'b']);
    queue.enter('t3', ['b']);
    expect(queue.leave('t2')).toEqual(['t3']); // it was first for b
    expect([queue.leave('t2'), queue.leave('t1'), queue.waitingCount]).toEqual([[], [], 0]);
  });

  it('is full when as many wait as may', () => {
    const queue = new AdmissionQueue(1);
    queue.enter('t1', ['a']);
    expect(queue.isFull).toBe(false);
    queue.enter('t2', ['a']);
    expect([queue.isFull, queue.waitingCount]).toEqual([true, 1]);
    queue.leave('t1');
    expect(queue.isFull).toBe(false);
  });

  it('takes a transaction once', () => {
    const queue = new AdmissionQueue(1);
    queue.enter('t1', ['a']);
    expect(() => queue.enter('t1', ['b'])).toThrow('a transaction enters admission once');
  });

  it('keeps keys of participants apart', () => {
    const operations = [{ keys: ['x', 'y'] }, { keys: ['x'] }];
    const keys = admissionKeys([
      { participant: 'a', operations },
      { participant: 'b', operations: [{ keys: ['x'] }] },
    ]);
    expect([...keys]).toEqual(['a/x', 'a/y', 'b/x']);
  });

  it.each([1, 2, 3, 4, 5])('never admits two with a common key, and always somebody (seed %i)', (seed) => {
    const random = new SeededRandom(seed);
    const queue = new AdmissionQueue(1000);
    const keysOf = new Map<string, string[]>();
    const admitted = new Set<string>();
    for (let step = 0; step < 2000; step++) {
      if (randomChance(random, 0.5) || keysOf.size === 0) {
        const keys = Array.from({ length: randomInteger(random, 1, 3) }, () => `k${randomInteger(random, 0, 9)}`);
        keysOf.set(`t${step}`, keys);
        if (queue.enter(`t${step}`, keys)) admitted.add(`t${step}`);
      } else {
        const leaving = randomItem(random, [...keysOf.keys()]);
        keysOf.delete(leaving);
        admitted.delete(leaving);
        for (const next of queue.leave(leaving)) admitted.add(next);
      }
      const held = [...admitted].flatMap((id) => [...new Set(keysOf.get(id))]);
      expect(new Set(held).size).toBe(held.length);
      expect(admitted.size > 0).toBe(keysOf.size > 0); // nobody waits for each other
      expect(queue.waitingCount).toBe(keysOf.size - admitted.size);
    }
  });
});
