import { describe, expect, it } from '@jest/globals';
import { foreignShare, machineTicks } from '../bench/machine/foreign-cpu.js';
import { withDescendants } from '../bench/machine/proc-files.js';
import { doubtsOf, foreignText, measureSteadily, type Conditions, type Doubt } from '../bench/rows/steady-row.js';
import { inTurn } from '../bench/transfer/interleaved.js';
import { hasSettled, warmUp } from '../bench/warm-up.js';

describe('the share of the machine that others use', () => {
  const reading = (busy: number, total: number, own: number) => ({ busy, total, own });

  it('is what was busy without what was the own, of all processors', () => {
    expect(foreignShare(reading(100, 1000, 40), reading(700, 2000, 440))).toBeCloseTo(0.2);
  });

  it('is none, not less, where the kernel has rounded to the own advantage', () => {
    expect(foreignShare(reading(0, 0, 0), reading(500, 1000, 505))).toBe(0);
  });

  it('is unknown where the system does not tell', () => {
    expect(foreignShare(reading(0, 0, 0), reading(0, 0, 0))).toBeUndefined();
  });

  it('counts kernel, interrupts and what the host has taken as busy, and waiting for disks as idle', () => {
    const stat = 'cpu  1 2 4 100 200 8 16 32 64 128\ncpu0 7 7 7 7 7 7 7 7 7 7\n'; // guests are part of user time
    expect(machineTicks(stat)).toEqual({ busy: 63, total: 363 });
  });

  it('is not that of descendants', () => {
    const children = new Map([
      [1, [2, 9]],
      [2, [3]],
      [3, [4, 5]],
    ]);
    expect([...withDescendants([2], children)].sort()).toEqual([2, 3, 4, 5]);
  });
});

describe('a row', () => {
  const conditions = (share: number | undefined, leaderChanged = false): Conditions => ({
    foreignShare: share,
    leaderChanged,
  });

  /** Gives one after the other, and fails when more are asked for. */
  async function rowOf(...all: Conditions[]) {
    const repeats: Doubt[][] = [];
    let next = 0;
    const measure = async () => {
      if (next === all.length) throw new Error('measured once more than expected');
      return { ...all[next]!, value: ++next };
    };
    const row = await measureSteadily(measure, (doubts) => repeats.push([...doubts]), 2);
    return { row, repeats };
  }

  it('is doubtful above 8 % and after a change of the leadership', () => {
    expect(doubtsOf(conditions(0.08))).toEqual([]);
    expect(doubtsOf(conditions(0.081))).toEqual(['foreign-cpu']);
    expect(doubtsOf(conditions(0.2, true))).toEqual(['foreign-cpu', 'leader-change']);
    expect(doubtsOf(conditions(undefined))).toEqual([]);
  });

  it('is measured once when nothing disturbs it', async () => {
    const { row, repeats } = await rowOf(conditions(0.01));
    expect(row).toMatchObject({ value: 1, attempts: 1, doubts: [] });
    expect(repeats).toEqual([]);
  });

  it('is measured again while it is doubtful, and the first without doubt counts', async () => {
    const { row, repeats } = await rowOf(conditions(0.3), conditions(0.02, true), conditions(0.05));
    expect(row).toMatchObject({ value: 3, attempts: 3, doubts: [], foreignShare: 0.05 });
    expect(repeats).toEqual([['foreign-cpu'], ['leader-change']]);
  });

  it('is marked for good after two repeats; the least disturbed one counts', async () => {
    const { row } = await rowOf(conditions(0.3), conditions(0.1), conditions(0.2));
    expect(row).toMatchObject({ value: 2, attempts: 3, doubts: ['foreign-cpu'], foreignShare: 0.1 });
  });

  it('is rather one with a busy machine than one with two leaders', async () => {
    const { row } = await rowOf(conditions(0, true), conditions(0.5), conditions(0.01, true));
    expect(row).toMatchObject({ value: 2, doubts: ['foreign-cpu'] });
  });

  it('shows the largest share and every mark of its rounds', () => {
    const rows = [
      { foreignShare: 0.09, doubts: ['foreign-cpu' as const] },
      { foreignShare: 0.01, doubts: ['leader-change' as const] },
    ];
    expect(foreignText(rows)).toBe('9.0 %!~');
    expect(foreignText([{ foreignShare: 0.012, doubts: [] }])).toBe('1.2 %');
    expect(foreignText([{ foreignShare: undefined, doubts: [] }])).toBe('?');
  });
});

describe('a warm-up', () => {
  const limits = { minimumSlices: 3, agreement: 0.03 };

  it('ends when two slices in a row agree, not before the third', () => {
    expect(hasSettled([100, 100], limits)).toBe(false);
    expect(hasSettled([50, 100, 103], limits)).toBe(true);
    expect(hasSettled([50, 103, 100], limits)).toBe(true);
    expect(hasSettled([50, 100, 104], limits)).toBe(false);
    expect(hasSettled([0, 0, 0], limits)).toBe(false);
  });

  it('ends when its patience is over, and says so', async () => {
    const run = (perSecond: readonly number[]) =>
      warmUp({ ...limits, maximumSlices: 4, slice: async (slice) => perSecond[slice - 1]! });
    expect(await run([10, 20, 40, 80])).toEqual({ slices: 4, settled: false });
    expect(await run([10, 80, 80])).toEqual({ slices: 3, settled: true });
  });
});

describe('systems in turn', () => {
  it('begin each round with another one', () => {
    expect([1, 2, 3, 4].map((round) => inTurn(['a', 'b', 'c'], round).join(''))).toEqual(['bca', 'cab', 'abc', 'bca']);
    expect(inTurn(['a'], 5)).toEqual(['a']);
  });
});
