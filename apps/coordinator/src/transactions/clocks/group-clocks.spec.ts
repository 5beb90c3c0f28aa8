import { describe, expect, it } from '@jest/globals';
import { SINGLE_VOTER, compareClocks, READING_LIFETIME_MS, type GroupClocks } from './group-clocks.js';

const OWN = Date.UTC(2026, 0, 1);
const NOW = 100_000;
const HOUR = 3_600_000;

/** Clocks of the others, by how much they are ahead of this node's. */
function group(voters: number, ...ahead: readonly number[]): GroupClocks {
  return { voters, readings: () => ahead.map((by) => ({ unixMs: OWN + by, readAt: NOW, errorMs: 2 })) };
}

describe('clocks of a group', () => {
  it.each<[string, GroupClocks, string, number, number]>([
    ['a node that votes alone agrees with itself', SINGLE_VOTER, 'agreed', 0, 0],
    ['three agree', group(3, 4, -3), 'agreed', -3, 0],
    ['two of three agree, and the third is hours ahead', group(3, 10, 3 * HOUR), 'agreed', 0, 10],
    [
      'two of three agree, and this one is hours behind',
      group(3, 3 * HOUR, 3 * HOUR + 5),
      'agreed',
      3 * HOUR,
      3 * HOUR + 5,
    ],
    ['one of three is known', group(3), 'unheard', 0, 0],
    ['two of three are known, and do not agree', group(3, HOUR), 'apart', 0, HOUR],
    ['no two of three agree', group(3, HOUR, -HOUR), 'apart', -HOUR, HOUR],
    ['two pairs of four are no majority', group(4, 1, HOUR, HOUR + 1), 'apart', 0, HOUR + 1],
    ['three of five agree', group(5, HOUR, 2 * HOUR, 3, 4), 'agreed', 0, 4],
    ['four learners and no voter but this one', group(1, HOUR), 'agreed', 0, 0],
  ])('%s', (_name, clocks, verdict, lowest, highest) => {
    const comparison = compareClocks(OWN, NOW, clocks);
    expect([comparison.verdict, comparison.lowest - OWN, comparison.highest - OWN]).toEqual([verdict, lowest, highest]);
  });

  it('are compared as they go on since they were read', () => {
    const readings = [{ unixMs: OWN - 9_000, readAt: NOW - 9_000, errorMs: 1 }];
    expect(compareClocks(OWN, NOW, { voters: 3, readings: () => readings })).toMatchObject({
      verdict: 'agreed',
      skewMs: 0,
    });
  });

  it('say nothing any more when they were read long ago, or took long to read', () => {
    for (const reading of [
      { unixMs: OWN, readAt: NOW - READING_LIFETIME_MS - 1, errorMs: 1 },
      { unixMs: OWN, readAt: NOW, errorMs: 1_001 },
    ])
      expect(compareClocks(OWN, NOW, { voters: 3, readings: () => [reading] }).verdict).toBe('unheard');
  });

  it('have a skew, and a latest time, of all that are known', () => {
    expect(compareClocks(OWN, NOW, group(3, 10, HOUR))).toMatchObject({ skewMs: HOUR, latest: OWN + HOUR + 2 });
  });
});
