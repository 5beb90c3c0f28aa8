import { describe, expect, it } from '@jest/globals';
import { VirtualClock } from '@concordat/foundation';
import { PacedWork } from './paced-work.js';

/** Work that notes its number; what it sets going is settled when the test says so. */
function setUp(perSlice: number) {
  const clock = new VirtualClock();
  const done: number[] = [];
  let slices = 0;
  let settle: () => void = () => undefined;
  let settled: Promise<void> = Promise.resolve();
  const work = new PacedWork({ clock, perSlice, settled: () => settled, onSlice: () => void slices++ });
  return {
    clock,
    done,
    work,
    slices: () => slices,
    add: (count: number): void => {
      for (let number = 0; number < count; number++) work.add(() => void done.push(done.length));
    },
    hold: (): void => {
      settled = new Promise((resolve) => (settle = resolve));
    },
    settle: (): void => settle(),
    turn: async (): Promise<void> => {
      clock.advance(0);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

describe('paced work', () => {
  it('is done at once as long as it is little, turn after turn', async () => {
    const { add, done, turn, slices } = setUp(3);
    for (let count = 1; count <= 4; count++) {
      add(3);
      expect(done).toHaveLength(3 * count);
      await turn();
    }
    expect(slices()).toBe(0);
  });

  it('goes on in slices, each in a turn of its own, in order', async () => {
    const { add, done, turn, work, slices } = setUp(3);
    add(8);
    expect(done).toHaveLength(3);
    add(1); // does not overtake what waits
    expect([done.length, work.waitingCount]).toEqual([3, 6]);
    await turn();
    expect(done).toHaveLength(6);
    await turn();
    expect(done).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    await turn();
    expect([slices(), work.waitingCount]).toEqual([2, 0]);
    add(3);
    expect(done).toHaveLength(12);
  });

  it('counts a heavy piece as several, and gives one that is heavier than a slice a slice of its own', async () => {
    const { work, done, turn } = setUp(4);
    for (const weight of [1, 3, 2, 9, 1, 4]) work.add(() => void done.push(weight), weight);
    expect(done).toEqual([1, 3]);
    const slices: number[][] = [];
    while (work.waitingCount > 0) {
      done.length = 0;
      await turn();
      slices.push([...done]);
    }
    expect(slices).toEqual([[2], [9], [1], [4]]);
  });

  it('waits until what the slice before has set going is settled', async () => {
    const { add, done, turn, hold, settle } = setUp(2);
    hold();
    add(5);
    await turn();
    await turn();
    expect(done).toHaveLength(2);
    settle();
    await turn();
    expect(done).toHaveLength(4);
  });

  it('does nothing any more when it is closed', async () => {
    const { add, done, turn, work } = setUp(2);
    add(5);
    work.close();
    await turn();
    add(1);
    expect([done.length, work.waitingCount]).toEqual([2, 0]);
  });
});
